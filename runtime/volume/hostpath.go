package volume

import (
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
)

// checkHostPath makes sure of what hostPath.type promises, with the kubelet's
// words; only the OrCreate types make anything, and the unset one, whose
// missing path runtimes make a directory, as Docker did.
func checkHostPath(src *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if src.Type != nil {
		kind = *src.Type
	}
	want, words, known := asks(kind)
	if !known {
		return permanent("%s is an invalid volume type", kind)
	}
	st, err := os.Stat(src.Path)
	switch missing := errors.Is(err, os.ErrNotExist); {
	case missing && (kind == corev1.HostPathUnset || kind == corev1.HostPathDirectoryOrCreate):
		return os.MkdirAll(src.Path, 0o755)
	case missing && kind == corev1.HostPathFileOrCreate:
		return makeFile(src.Path)
	case missing:
		err = fmt.Errorf("path %q does not exist", src.Path)
		fallthrough
	case err != nil:
		return fmt.Errorf("hostPath type check failed, %s is not a %s, unable to determine its type: %w", src.Path, words, err)
	}
	if is := typeOf(st.Mode()); kind != corev1.HostPathUnset && is != want {
		return fmt.Errorf("hostPath type check failed: %s is not a %s, it's a %s", src.Path, words, is)
	}
	return nil
}

// asks is what a type asks for, as a type that names just that and in words.
func asks(kind corev1.HostPathType) (is corev1.HostPathType, words string, known bool) {
	switch kind {
	case corev1.HostPathUnset:
		return kind, "file or directory", true
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return corev1.HostPathDirectory, "directory", true
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return corev1.HostPathFile, "file", true
	case corev1.HostPathSocket:
		return kind, "socket file", true
	case corev1.HostPathCharDev:
		return kind, "character device", true
	case corev1.HostPathBlockDev:
		return kind, "block device", true
	}
	return kind, "", false
}

// typeOf is unset for what no type asks for, such as a FIFO.
func typeOf(mode os.FileMode) corev1.HostPathType {
	switch {
	case mode.IsDir():
		return corev1.HostPathDirectory
	case mode.IsRegular():
		return corev1.HostPathFile
	case mode&os.ModeSocket != 0:
		return corev1.HostPathSocket
	case mode&os.ModeCharDevice != 0:
		return corev1.HostPathCharDev
	case mode&os.ModeDevice != 0:
		return corev1.HostPathBlockDev
	}
	return corev1.HostPathUnset
}

// makeFile does not make the directory that it is to be in, as a kubelet
// doesn't.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// checkHostPath makes sure of what hostPath.type promises, with the kubelet's
// words; only the OrCreate types make anything.
func checkHostPath(src *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if src.Type != nil {
		kind = *src.Type
	}
	st, err := os.Stat(src.Path)
	missing := errors.Is(err, os.ErrNotExist)
	switch {
	case err != nil && !missing:
		return err
	case missing && kind == corev1.HostPathUnset:
		// The runtime makes a missing source a directory, as Docker did.
		return os.MkdirAll(src.Path, 0o755)
	case missing && kind == corev1.HostPathDirectoryOrCreate:
		return os.MkdirAll(src.Path, 0o755)
	case missing && kind == corev1.HostPathFileOrCreate:
		return makeFile(src.Path)
	case missing:
		return fmt.Errorf("hostPath type check failed: %s is not a %s", src.Path, describe(kind))
	}
	if !isA(st.Mode(), kind) {
		return fmt.Errorf("hostPath type check failed: %s is not a %s", src.Path, describe(kind))
	}
	return nil
}

func makeFile(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return err // as a kubelet: the parent must be there
	}
	f, err := os.OpenFile(path, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func isA(mode os.FileMode, kind corev1.HostPathType) bool {
	switch kind {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return mode.IsDir()
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return mode.IsRegular()
	case corev1.HostPathSocket:
		return mode&os.ModeSocket != 0
	case corev1.HostPathCharDev:
		return mode&os.ModeCharDevice != 0
	case corev1.HostPathBlockDev:
		return mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0
	}
	return true
}

func describe(kind corev1.HostPathType) string {
	return map[corev1.HostPathType]string{
		corev1.HostPathDirectory: "directory", corev1.HostPathDirectoryOrCreate: "directory",
		corev1.HostPathFile: "file", corev1.HostPathFileOrCreate: "file",
		corev1.HostPathSocket: "socket file", corev1.HostPathCharDev: "character device",
		corev1.HostPathBlockDev: "block device",
	}[kind]
}

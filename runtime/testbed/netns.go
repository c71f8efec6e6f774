package testbed

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

func (b *Bed) netnsPath(uid types.UID) string { return b.Path("run", "netns", string(uid)) }

// netns makes an empty network namespace for a pod, or finds it.
func (b *Bed) netns(uid types.UID) (string, error) {
	path := b.netnsPath(uid)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return "", err
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
		failed <- err
	}()
	return path, <-failed
}

func (b *Bed) removeNetns(uid types.UID) {
	path := b.netnsPath(uid)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.ENOENT) {
		b.t.Errorf("unmount %s: %v", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Error(err)
	}
}

package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

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
	cmd := exec.Command("mount", "--bind", "/proc/self/ns/net", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make a network namespace: %w: %s", err, out)
	}
	return path, nil
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

package cni

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/types"
)

func (n *Network) nsPath(uid types.UID) string {
	return filepath.Join(n.cfg.RunDir, "netns", string(uid))
}

// Namespace gives the path of a pod's network namespace, and makes it if it is
// missing: bound to <run dir>/netns/<uid>, its loopback interface up.
func (n *Network) Namespace(_ context.Context, uid types.UID) (string, error) {
	n.making.Lock()
	defer n.making.Unlock()
	path := n.nsPath(uid)
	if isNamespace(path) {
		return path, nil
	}
	if err := makeNamespace(path); err != nil {
		return "", failure(fmt.Errorf("make network namespace: %w", err))
	}
	return path, nil
}

// isNamespace tells a namespace bound there from a plain file, as one is after
// a boot.
func isNamespace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// namespaceID tells a namespace from every other one, before and after a boot
// too. Inode numbers are given anew, also within one boot; the kernel's cookie
// of a network namespace is not (SO_NETNS_COOKIE, Linux 5.14).
func namespaceID(path string) (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	var id uint64
	err = away(func() error {
		if err := enter(path); err != nil {
			return err
		}
		id, err = cookie()
		return err
	})
	if errors.Is(err, unix.ENOPROTOOPT) {
		var st unix.Stat_t
		err = unix.Stat(path, &st)
		id = st.Ino
	}
	if err != nil {
		return "", fmt.Errorf("look at network namespace: %w", err)
	}
	return fmt.Sprintf("%s/%d", strings.TrimSpace(string(boot)), id), nil
}

// cookie is that of the thread's network namespace.
func cookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

func makeNamespace(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	if err := away(func() error { return inNewNamespace(path) }); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// away runs f, which may change its thread's network namespace, in a goroutine
// of its own. The thread goes back to where it was before it serves others:
// were it to end with the goroutine instead, the process' first thread, which
// can't end, would stay in there.
func away(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err, back := andBack(f)
		if back == nil {
			runtime.UnlockOSThread()
		} // else the thread ends
		done <- errors.Join(err, back)
	}()
	return <-done
}

func andBack(f func() error) (err, back error) {
	host, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err, nil
	}
	defer host.Close()
	err = f()
	if back := unix.Setns(int(host.Fd()), unix.CLONE_NEWNET); back != nil {
		return err, fmt.Errorf("go back to the host's network namespace: %w", back)
	}
	return err, nil
}

func inNewNamespace(path string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set the loopback interface up: %w", err)
	}
	if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind it to %s: %w", path, err)
	}
	return nil
}

// removeNamespace unbinds it; the kernel removes it with its last user.
func removeNamespace(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unbind network namespace %s: %w", path, err)
	}
	if err := removeIfThere(path); err != nil {
		return fmt.Errorf("remove network namespace %s: %w", path, err)
	}
	return nil
}

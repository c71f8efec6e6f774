package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/podd-io/podd/pod"
)

// shmSize is that of the runtimes a kubelet uses.
const shmSize = "size=67108864"

// makeFiles makes what the pod's containers share. Done twice it changes
// nothing, but for the text of the files.
func (s *Sandboxes) makeFiles(cfg pod.SandboxConfig) error {
	etc := filepath.Join(s.rt.PodDir(cfg.Pod.UID), "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return fmt.Errorf("make the pod's directory: %w", err)
	}
	for name, text := range map[string]string{"hostname": cfg.Hostname + "\n", "resolv.conf": cfg.ResolvConf} {
		path := filepath.Join(etc, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the pod's /etc/%s: %w", name, err)
		}
		if err := os.Chmod(path, 0o644); err != nil { // whatever the umask
			return fmt.Errorf("write the pod's /etc/%s: %w", name, err)
		}
	}
	logs := filepath.Join(s.cfg.LogDir, fmt.Sprintf("%s_%s_%s", cfg.Pod.Namespace, cfg.Pod.Name, cfg.Pod.UID))
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return fmt.Errorf("make the pod's log directory: %w", err)
	}
	if cfg.Pod.Spec.HostIPC {
		return nil
	}
	return makeShm(filepath.Join(s.rt.RunPodDir(cfg.Pod.UID), "shm"))
}

func makeShm(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the pod's /dev/shm: %w", err)
	}
	if mounted, err := mountinfo.Mounted(dir); err != nil || mounted {
		return err
	}
	flags := uintptr(unix.MS_NOEXEC | unix.MS_NOSUID | unix.MS_NODEV)
	if err := unix.Mount("shm", dir, "tmpfs", flags, "mode=1777,"+shmSize); err != nil {
		return fmt.Errorf("mount the pod's /dev/shm: %w", err)
	}
	return nil
}

func removeShm(dir string) error {
	err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

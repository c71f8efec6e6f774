package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// PodDir is where a pod has its files; RunPodDir those that end with the boot.
func (c *Client) PodDir(uid types.UID) string { return filepath.Join(c.cfg.Root, "pods", string(uid)) }

// RunPodDir holds the pod's /dev/shm.
func (c *Client) RunPodDir(uid types.UID) string {
	return filepath.Join(c.cfg.RunDir, "pods", string(uid))
}

func (c *Client) messagePath(cfg pod.ContainerConfig) string {
	return filepath.Join(c.PodDir(cfg.Pod.UID), "containers", cfg.Container.Name, strconv.Itoa(cfg.Attempt)+".termination")
}

// mounts are the pod's volumes and its managed files. A volume takes the place
// of a managed file at the same path.
func (c *Client) mounts(cfg pod.ContainerConfig) ([]specs.Mount, error) {
	out, err := c.managedFiles(cfg)
	if err != nil {
		return nil, err
	}
	for i, m := range cfg.Container.VolumeMounts {
		mount, err := c.volumeMount(cfg, i, m)
		if err != nil {
			return nil, err
		}
		out = append(out, mount)
	}
	return out, nil
}

// withMounts adds mounts to the usual ones. Of two at one path the later one
// counts, and one inside another comes after it.
func withMounts(mounts []specs.Mount) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Mounts = orderMounts(slices.Concat(s.Mounts, []specs.Mount{cgroupMount()}, mounts))
		s.Linux.RootfsPropagation = rootPropagation(mounts)
		return nil
	}
}

// cgroupMount is read-only. It is a new one every time: a privileged
// container's is made writable.
func cgroupMount() specs.Mount {
	return specs.Mount{
		Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"},
	}
}

func orderMounts(all []specs.Mount) []specs.Mount {
	at := map[string]specs.Mount{}
	for _, m := range all {
		at[filepath.Clean(m.Destination)] = m
	}
	depth := func(path string) int { return strings.Count(strings.TrimSuffix(path, "/"), "/") }
	paths := slices.SortedFunc(maps.Keys(at), func(a, b string) int {
		return cmp.Or(cmp.Compare(depth(a), depth(b)), strings.Compare(a, b))
	})
	out := make([]specs.Mount, len(paths))
	for i, path := range paths {
		out[i] = at[path]
	}
	return out
}

// rootPropagation is what the root needs for the mounts in it to propagate; the
// OCI runtimes' default is private.
func rootPropagation(mounts []specs.Mount) string {
	var out string
	for _, m := range mounts {
		switch {
		case slices.Contains(m.Options, "rshared"):
			return "rshared"
		case slices.Contains(m.Options, "rslave"):
			out = "rslave"
		}
	}
	return out
}

func (c *Client) volumeMount(cfg pod.ContainerConfig, i int, m corev1.VolumeMount) (specs.Mount, error) {
	vol, ok := volumeOf(cfg.Pod, m.Name)
	if !ok {
		return specs.Mount{}, configFailure(fmt.Errorf("volumeMounts[%d]: the pod has no volume %q", i, m.Name))
	}
	source := c.cfg.VolumePath(cfg.Pod.UID, vol)
	sub, err := subPath(m, cfg.Env)
	if err == nil && sub != "" {
		source, err = c.bindSubPath(cfg, i, m.Name, source, sub)
	}
	if err != nil {
		return specs.Mount{}, configFailure(fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", m.Name, cfg.Container.Name, err))
	}
	mode, err := accessMode(m)
	if err != nil {
		return specs.Mount{}, configFailure(fmt.Errorf("volumeMount %q of container %q: %w", m.Name, cfg.Container.Name, err))
	}
	return specs.Mount{
		Destination: filepath.Join("/", m.MountPath), Type: "bind", Source: source,
		Options: []string{"rbind", propagation(m.MountPropagation), mode},
	}, nil
}

func volumeOf(p *corev1.Pod, name string) (corev1.Volume, bool) {
	for _, v := range p.Spec.Volumes {
		if v.Name == name {
			return v, true
		}
	}
	return corev1.Volume{}, false
}

func propagation(mode *corev1.MountPropagationMode) string {
	switch {
	case mode == nil:
	case *mode == corev1.MountPropagationHostToContainer:
		return "rslave"
	case *mode == corev1.MountPropagationBidirectional:
		return "rshared"
	}
	return "rprivate"
}

// accessMode: "rro" makes what is mounted below read-only as well.
func accessMode(m corev1.VolumeMount) (string, error) {
	wish := corev1.RecursiveReadOnlyDisabled
	if m.RecursiveReadOnly != nil {
		wish = *m.RecursiveReadOnly
	}
	switch {
	case !m.ReadOnly:
		return "rw", nil
	case wish == corev1.RecursiveReadOnlyDisabled:
		return "ro", nil
	case canRecursiveReadOnly():
		return "rro", nil
	case wish == corev1.RecursiveReadOnlyIfPossible:
		return "ro", nil
	}
	return "", errors.New("recursive read-only mounts need Linux 5.12 or later")
}

// canRecursiveReadOnly tells whether the kernel has mount_setattr(2).
var canRecursiveReadOnly = sync.OnceValue(func() bool {
	err := unix.MountSetattr(-1, "", unix.AT_RECURSIVE, &unix.MountAttr{})
	return !errors.Is(err, unix.ENOSYS)
})

// managedFiles are what a kubelet puts into every container: /etc/hosts,
// /etc/hostname, /etc/resolv.conf, /dev/shm and the termination message file.
func (c *Client) managedFiles(cfg pod.ContainerConfig) ([]specs.Mount, error) {
	etc := filepath.Join(c.PodDir(cfg.Pod.UID), "etc")
	hosts := filepath.Join(etc, "hosts")
	if err := writeHosts(hosts, cfg); err != nil {
		return nil, fmt.Errorf("write the pod's /etc/hosts: %w", err)
	}
	mode := "rw"
	if sc := cfg.Container.SecurityContext; sc != nil && isTrue(sc.ReadOnlyRootFilesystem) {
		mode = "ro"
	}
	bind := func(dest, source, mode string) specs.Mount {
		return specs.Mount{Destination: dest, Type: "bind", Source: source, Options: []string{"rbind", "rprivate", mode}}
	}
	out := []specs.Mount{
		bind("/etc/hosts", hosts, "rw"),
		bind("/etc/hostname", filepath.Join(etc, "hostname"), mode),
		bind("/etc/resolv.conf", filepath.Join(etc, "resolv.conf"), mode),
		bind("/dev/shm", c.shm(cfg.Pod), "rw"),
	}
	if cfg.Container.TerminationMessagePath == "" {
		return out, nil
	}
	msg := c.messagePath(cfg)
	if err := makeMessageFile(msg); err != nil {
		return nil, fmt.Errorf("make the termination message file: %w", err)
	}
	return append(out, bind(cfg.Container.TerminationMessagePath, msg, "rw")), nil
}

func (c *Client) shm(p *corev1.Pod) string {
	if p.Spec.HostIPC {
		return "/dev/shm"
	}
	return filepath.Join(c.RunPodDir(p.UID), "shm")
}

// makeMessageFile makes it writable for every user of the container.
func makeMessageFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(0o666) // whatever the umask
}

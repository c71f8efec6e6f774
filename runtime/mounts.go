package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
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

// mounts are the pod's volumes, its managed files, and what every container
// has. The order matters: a mount inside another one comes after it.
func (c *Client) mounts(cfg pod.ContainerConfig) ([]specs.Mount, error) {
	out := []specs.Mount{{
		Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"nosuid", "noexec", "nodev", "relatime", cgroupMode(cfg)},
	}}
	managed, err := c.managedFiles(cfg)
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for i, m := range cfg.Container.VolumeMounts {
		taken[filepath.Clean(m.MountPath)] = true
		mount, err := c.volumeMount(cfg, i, m)
		if err != nil {
			return nil, err
		}
		out = append(out, mount)
	}
	for _, m := range managed {
		if !taken[m.Destination] {
			out = append(out, m)
		}
	}
	return out, nil
}

func cgroupMode(cfg pod.ContainerConfig) string {
	if sc := cfg.Container.SecurityContext; sc != nil && isTrue(sc.Privileged) {
		return "rw"
	}
	return "ro"
}

func (c *Client) volumeMount(cfg pod.ContainerConfig, i int, m corev1.VolumeMount) (specs.Mount, error) {
	vol, ok := volumeOf(cfg.Pod, m.Name)
	if !ok {
		return specs.Mount{}, configFailure(fmt.Errorf("volumeMounts[%d]: the pod has no volume %q", i, m.Name))
	}
	source := c.cfg.VolumePath(cfg.Pod.UID, vol)
	sub := m.SubPath
	if m.SubPathExpr != "" {
		sub = expandFrom(m.SubPathExpr, cfg.Env)
	}
	if sub != "" {
		var err error
		if source, err = c.bindSubPath(cfg, i, m.Name, source, sub); err != nil {
			return specs.Mount{}, configFailure(fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", m.Name, cfg.Container.Name, err))
		}
	}
	return specs.Mount{
		Destination: m.MountPath, Type: "bind", Source: source,
		Options: []string{"rbind", propagation(m.MountPropagation), accessMode(m)},
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
func accessMode(m corev1.VolumeMount) string {
	switch {
	case !m.ReadOnly:
		return "rw"
	case m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyDisabled:
		return "rro"
	}
	return "ro"
}

// expandFrom expands $(NAME) from the container's environment, for subPathExpr.
// Validation has refused names that are not there.
func expandFrom(expr string, env []string) string {
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		expr = strings.ReplaceAll(expr, "$("+name+")", value)
	}
	return expr
}

// managedFiles are what a kubelet puts into every container: /etc/hosts,
// /etc/hostname, /etc/resolv.conf, /dev/shm and the termination message file.
func (c *Client) managedFiles(cfg pod.ContainerConfig) ([]specs.Mount, error) {
	etc := filepath.Join(c.PodDir(cfg.Pod.UID), "etc")
	hosts := filepath.Join(etc, "hosts")
	if err := writeHosts(hosts, cfg); err != nil {
		return nil, fmt.Errorf("write the pod's /etc/hosts: %w", err)
	}
	readOnlyRoot := "rw"
	if sc := cfg.Container.SecurityContext; sc != nil && isTrue(sc.ReadOnlyRootFilesystem) {
		readOnlyRoot = "ro"
	}
	bind := func(dest, source, mode string) specs.Mount {
		return specs.Mount{Destination: dest, Type: "bind", Source: source, Options: []string{"rbind", "rprivate", mode}}
	}
	out := []specs.Mount{
		bind("/etc/hosts", hosts, readOnlyRoot),
		bind("/etc/hostname", filepath.Join(etc, "hostname"), readOnlyRoot),
		bind("/etc/resolv.conf", filepath.Join(etc, "resolv.conf"), readOnlyRoot),
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

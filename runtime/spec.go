package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/cgroups"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// spec is the OCI spec of one attempt, as a list of containerd's options; they
// run in order, once the snapshot is there.
func (c *Client) spec(ctx context.Context, cfg pod.ContainerConfig, img containerd.Image) ([]oci.SpecOpts, error) {
	image, err := img.Spec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of image %s: %w", cfg.Container.Image, err)
	}
	args, err := processArgs(cfg, image.Config)
	if err != nil {
		return nil, err
	}
	namespaces, err := c.joined(ctx, cfg)
	if err != nil {
		return nil, err
	}
	mounts, err := c.mounts(cfg)
	if err != nil {
		return nil, err
	}
	sec := effective(cfg.Pod, cfg.Container)
	security, err := c.securityOpts(cfg, sec)
	if err != nil {
		return nil, err
	}
	opts := []oci.SpecOpts{
		c.SpecVersion,
		noRlimits,
		oci.WithoutRunMount,
		withMounts(mounts),
		oci.WithProcessArgs(args...),
		oci.WithProcessCwd(workingDir(cfg, image.Config)),
		environment(cfg, image.Config),
		withTTY(cfg.Container.TTY),
		namespaces,
		oci.WithCgroup(c.cfg.CgroupRoot.ContainerSpec(cfg.Pod.UID, cfg.ID)),
		oci.WithAnnotations(map[string]string{SandboxAnnotation: cfg.SandboxID}),
		oci.WithAnnotations(c.cfg.CgroupRoot.Annotations(fmt.Sprintf("Container %s of pod %s/%s", cfg.Container.Name, cfg.Pod.Namespace, cfg.Pod.Name))),
		resources(cfg.Container.Resources),
		c.cfg.CgroupRoot.noTaskLimit(),
		oomScore(cfg.OOMScoreAdj),
	}
	opts = append(opts, userOpts(cfg.Pod, sec, image.Config.User)...)
	return append(opts, security...), nil
}

// noRlimits leaves the limits that containerd itself has, as under a kubelet.
func noRlimits(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Process.Rlimits = nil
	return nil
}

func processArgs(cfg pod.ContainerConfig, image ocispec.ImageConfig) ([]string, error) {
	command, args := cfg.Command, cfg.Args
	if len(command) == 0 {
		command = image.Entrypoint
		if len(args) == 0 {
			args = image.Cmd
		}
	}
	if all := slices.Concat(command, args); len(all) > 0 {
		return all, nil
	}
	return nil, &pod.Failure{Kind: pod.Permanent, Reason: "CreateContainerError",
		Message: fmt.Sprintf("no command specified: neither container %q nor its image %q names one", cfg.Container.Name, cfg.Container.Image)}
}

func workingDir(cfg pod.ContainerConfig, image ocispec.ImageConfig) string {
	switch {
	case cfg.Container.WorkingDir != "":
		return cfg.Container.WorkingDir
	case image.WorkingDir != "":
		return image.WorkingDir
	}
	return "/"
}

// environment is the image's, then HOSTNAME, then the pod's; later ones win.
func environment(cfg pod.ContainerConfig, image ocispec.ImageConfig) oci.SpecOpts {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if cfg.Container.TTY {
		env = append(env, "TERM=xterm")
	}
	env = slices.Concat(env, image.Env, []string{"HOSTNAME=" + kernelHostname(cfg)}, cfg.Env)
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Process.Env = mergeEnv(env)
		return nil
	}
}

// kernelHostname is what the kernel calls the pod.
func kernelHostname(cfg pod.ContainerConfig) string {
	if isTrue(cfg.Pod.Spec.SetHostnameAsFQDN) && cfg.Domain != "" {
		return cfg.Hostname + "." + cfg.Domain
	}
	return cfg.Hostname
}

// mergeEnv keeps of each name the last value, in the place of the first.
func mergeEnv(env []string) []string {
	at := map[string]int{}
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if i, ok := at[name]; ok {
			out[i] = kv
			continue
		}
		at[name] = len(out)
		out = append(out, kv)
	}
	return out
}

func withTTY(tty bool) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Process.Terminal = tty
		return nil
	}
}

// joined makes the container join its sandbox's namespaces.
func (c *Client) joined(ctx context.Context, cfg pod.ContainerConfig) (oci.SpecOpts, error) {
	task, err := c.task(ctx, cfg.SandboxID)
	if err != nil {
		return nil, fmt.Errorf("look at the sandbox: %w", err)
	}
	if task == nil {
		return nil, &pod.Failure{Kind: pod.NotFound, Reason: "CreateContainerError",
			Message: "the pod's sandbox does not run"}
	}
	opts := []oci.SpecOpts{join(cfg.Pod.Spec, task.Pid())}
	if cfg.TargetID != "" {
		target, err := c.joinTarget(ctx, cfg.TargetID)
		if err != nil {
			return nil, err
		}
		opts = append(opts, target)
	}
	if cgroups.IsCgroup2UnifiedMode() && !privileged(cfg.Container) {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.CgroupNamespace}))
	}
	return oci.Compose(opts...), nil
}

// joinTarget makes the container share the process namespace of another.
func (c *Client) joinTarget(ctx context.Context, id string) (oci.SpecOpts, error) {
	task, err := c.task(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("look at the target: %w", err)
	}
	if task == nil {
		return nil, &pod.Failure{Kind: pod.NotFound, Reason: "CreateContainerError",
			Message: fmt.Sprintf("invalid target container: container %q is not running - in state CONTAINER_EXITED", id)}
	}
	return oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.PIDNamespace, Path: fmt.Sprintf("/proc/%d/ns/pid", task.Pid())}), nil
}

// join sets the namespaces of a container whose sandbox's process is pid. Those
// that the pod shares with the host are left out of the spec, which means the
// host's; the uts namespace goes with the network.
func join(p corev1.PodSpec, pid uint32) oci.SpecOpts {
	var opts []oci.SpecOpts
	shared := func(kind specs.LinuxNamespaceType, name string, host bool) {
		if host {
			opts = append(opts, oci.WithHostNamespace(kind))
			return
		}
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: kind, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, name)}))
	}
	shared(specs.NetworkNamespace, "net", p.HostNetwork)
	shared(specs.UTSNamespace, "uts", p.HostNetwork)
	shared(specs.IPCNamespace, "ipc", p.HostIPC)
	if p.HostPID || isTrue(p.ShareProcessNamespace) {
		shared(specs.PIDNamespace, "pid", p.HostPID)
	}
	return oci.Compose(opts...)
}

package runtime

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/pod"
)

// CgroupPath is a container's cgroup, below the roots of the hierarchies.
func CgroupPath(root string, uid types.UID, id string) string {
	return path.Join(root, "pod"+string(uid), id)
}

// spec is the OCI spec of one attempt, as a list of containerd's options; they
// run in order, once the snapshot is there.
func (c *Client) spec(ctx context.Context, cfg pod.ContainerConfig, img containerd.Image) ([]oci.SpecOpts, error) {
	image, err := img.Spec(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of image %s: %w", cfg.Container.Image, err)
	}
	sec := effective(cfg.Pod, cfg.Container)
	if err := checkNonRoot(cfg, sec, image.Config.User); err != nil {
		return nil, err
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
	opts := []oci.SpecOpts{
		noRlimits,
		oci.WithoutRunMount,
		oci.WithoutMounts("/dev/shm"),
		oci.WithMounts(mounts),
		oci.WithProcessArgs(args...),
		oci.WithProcessCwd(workingDir(cfg, image.Config)),
		environment(cfg, image.Config),
		withTTY(cfg.Container.TTY),
		namespaces,
		oci.WithCgroup(CgroupPath(c.cfg.CgroupRoot, cfg.Pod.UID, cfg.ID)),
		oci.WithAnnotations(map[string]string{SandboxAnnotation: cfg.SandboxID}),
		resources(cfg.Container.Resources),
		oomScore(cfg.OOMScoreAdj),
	}
	opts = append(opts, userOpts(cfg, sec, image.Config.User)...)
	security, err := c.securityOpts(cfg, sec)
	if err != nil {
		return nil, err
	}
	return append(opts, security...), nil
}

// noRlimits leaves the limits that podd itself has, as a kubelet's runtime does.
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
	env = slices.Concat(env, image.Env, []string{"HOSTNAME=" + cfg.Hostname}, cfg.Env)
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Process.Env = mergeEnv(env)
		return nil
	}
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
	return Joined(cfg.Pod.Spec.HostNetwork, cfg.Pod.Spec.HostIPC, cfg.Pod.Spec.HostPID,
		cfg.Pod.Spec.ShareProcessNamespace != nil && *cfg.Pod.Spec.ShareProcessNamespace, task.Pid()), nil
}

// Joined sets the namespaces of a container whose sandbox's process is pid.
// Host namespaces are left out of the spec, which means the host's; so is uts
// for hostNetwork pods, as a kubelet's runtime does.
func Joined(hostNetwork, hostIPC, hostPID, sharePID bool, pid uint32) oci.SpecOpts {
	join := map[specs.LinuxNamespaceType]string{
		specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
	}
	host := map[specs.LinuxNamespaceType]bool{
		specs.NetworkNamespace: hostNetwork, specs.UTSNamespace: hostNetwork,
		specs.IPCNamespace: hostIPC, specs.PIDNamespace: hostPID,
	}
	if sharePID && !hostPID {
		join[specs.PIDNamespace] = "pid"
	}
	var opts []oci.SpecOpts
	for _, kind := range slices.Sorted(maps.Keys(join)) {
		if !host[kind] {
			opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{
				Type: kind, Path: fmt.Sprintf("/proc/%d/ns/%s", pid, join[kind])}))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(host)) {
		if host[kind] {
			opts = append(opts, oci.WithHostNamespace(kind))
		}
	}
	return oci.Compose(opts...)
}

package sandbox

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
	"github.com/podd-io/podd/runtime"
	"github.com/podd-io/podd/runtime/pause"
)

// pauseOOMScoreAdj is the kubelet's for sandboxes: the last to be killed.
const pauseOOMScoreAdj = -998

// pauseShares is the kubelet's least weight.
const pauseShares = 2

// spec is the pause container's: its own namespaces but those that the pod
// shares with the host, no capabilities, a read-only root.
func (s *Sandboxes) spec(cfg pod.SandboxConfig, netns string) []oci.SpecOpts {
	opts := []oci.SpecOpts{
		s.rt.SpecVersion,
		oci.WithProcessArgs(pause.Program),
		oci.WithProcessCwd("/"),
		oci.WithEnv([]string{"PATH=/"}),
		oci.WithoutRunMount,
		oci.WithoutMounts("/dev/shm"),
		oci.WithMounts(s.mounts(cfg)),
		oci.WithRootFSReadonly(),
		oci.WithCapabilities(nil),
		oci.WithNoNewPrivileges,
		oci.WithUIDGID(65535, 65535),
		oci.WithCgroup(s.cfg.CgroupRoot.SandboxSpec(cfg.Pod.UID, cfg.ID)),
		oci.WithAnnotations(map[string]string{runtime.SandboxAnnotation: cfg.ID}),
		oci.WithAnnotations(s.cfg.CgroupRoot.Annotations(fmt.Sprintf("Sandbox of pod %s/%s", cfg.Pod.Namespace, cfg.Pod.Name))),
		oci.WithCPUShares(pauseShares),
		process,
		namespaces(cfg, netns),
	}
	if hasPrivileged(cfg.Pod) {
		// The first mount of a sysfs decides for all in its network namespace.
		opts = append(opts, oci.WithWriteableSysfs)
	}
	if cfg.Seccomp {
		opts = append(opts, seccomp.WithDefaultProfile())
	}
	return opts
}

func hasPrivileged(p *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Containers(p), func(c *corev1.Container) bool {
		return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
	})
}

func (s *Sandboxes) mounts(cfg pod.SandboxConfig) []specs.Mount {
	shm := "/dev/shm"
	if !cfg.Pod.Spec.HostIPC {
		shm = filepath.Join(s.rt.RunPodDir(cfg.Pod.UID), "shm")
	}
	return []specs.Mount{{
		Destination: "/dev/shm", Type: "bind", Source: shm,
		Options: []string{"rbind", "rprivate", "ro"},
	}}
}

func process(_ context.Context, _ oci.Client, _ *containers.Container, spec *oci.Spec) error {
	adj := runtime.OOMScoreAdj(pauseOOMScoreAdj)
	spec.Process.OOMScoreAdj = &adj
	spec.Process.Rlimits = nil
	return nil
}

// namespaces: what the pod shares with the host is left out of the spec.
// Sysctls belong to the namespaces, so they are set here.
func namespaces(cfg pod.SandboxConfig, netns string) oci.SpecOpts {
	opts := []oci.SpecOpts{}
	if cfg.HostNetwork {
		opts = append(opts, oci.WithHostNamespace(specs.NetworkNamespace), oci.WithHostNamespace(specs.UTSNamespace))
	} else {
		opts = append(opts, oci.WithHostname(cfg.Hostname),
			oci.WithLinuxNamespace(specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: netns}))
	}
	if cfg.Pod.Spec.HostIPC {
		opts = append(opts, oci.WithHostNamespace(specs.IPCNamespace))
	}
	if cfg.Pod.Spec.HostPID {
		opts = append(opts, oci.WithHostNamespace(specs.PIDNamespace))
	}
	return oci.Compose(append(opts, sysctls(cfg))...)
}

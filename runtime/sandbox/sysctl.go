package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// safeSysctls concern the pod alone: they are in its namespaces, and can't
// harm the node or other pods. The list is Kubernetes', see "Using sysctls in
// a Kubernetes Cluster" in its documentation.
var safeSysctls = []string{
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_wmem",
}

// checkSysctls refuses what is not safe, with the kubelet's reason.
func checkSysctls(p *corev1.Pod) error {
	for name := range asked(p) {
		if !slices.Contains(safeSysctls, name) {
			return &pod.Failure{
				Kind: pod.Permanent, Reason: "SysctlForbidden",
				Message: fmt.Sprintf("forbidden sysctl: %q not allowlisted", name),
			}
		}
	}
	return nil
}

// asked are the sysctls of the pod's security context.
func asked(p *corev1.Pod) map[string]string {
	out := map[string]string{}
	if sc := p.Spec.SecurityContext; sc != nil {
		for _, ctl := range sc.Sysctls {
			out[dotted(ctl.Name)] = ctl.Value
		}
	}
	return out
}

// dotted writes a name with dots between its parts. Where the first separator
// is a slash, dots and slashes have changed places, see sysctl.d(5).
func dotted(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '.' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}

// sysctls are those the pod asks for and, in a network of its own, what lets
// every user of it take low ports and ping, as containerd does by default.
func sysctls(cfg pod.SandboxConfig) oci.SpecOpts {
	all := map[string]string{}
	if !cfg.HostNetwork {
		all["net.ipv4.ip_unprivileged_port_start"] = "0"
		all["net.ipv4.ping_group_range"] = "0 2147483647"
	}
	for name, value := range asked(cfg.Pod) {
		all[name] = value
	}
	return func(_ context.Context, _ oci.Client, _ *containers.Container, spec *oci.Spec) error {
		spec.Linux.Sysctl = all
		return nil
	}
}

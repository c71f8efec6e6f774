package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/contrib/apparmor"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	pkgapparmor "github.com/containerd/containerd/v2/pkg/apparmor"
	"github.com/containerd/containerd/v2/pkg/oci"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// securityOpts are what a container may do. They come last: the seccomp
// profile depends on the capabilities.
func (c *Client) securityOpts(cfg pod.ContainerConfig, sec corev1.SecurityContext) ([]oci.SpecOpts, error) {
	armor, err := appArmor(sec.AppArmorProfile, isTrue(sec.Privileged))
	if err != nil {
		return nil, err
	}
	opts := []oci.SpecOpts{readonlyRoot(sec), noNewPrivileges(sec)}
	if isTrue(sec.Privileged) {
		// As under a kubelet, what it adds, drops and filters does not matter then.
		return append(opts, oci.WithPrivileged, oci.WithHostDevices, oci.WithAllDevicesAllowed, armor), nil
	}
	opts = append(opts, capabilities(sec.Capabilities)...)
	if sec.ProcMount != nil && *sec.ProcMount == corev1.UnmaskedProcMount {
		opts = append(opts, oci.WithMaskedPaths(nil), oci.WithReadonlyPaths(nil))
	}
	filter, err := c.seccomp(sec.SeccompProfile, cfg.SeccompDefault)
	if err != nil {
		return nil, err
	}
	return append(opts, armor, filter), nil
}

func privileged(ctr *corev1.Container) bool {
	return ctr.SecurityContext != nil && isTrue(ctr.SecurityContext.Privileged)
}

func nothing(context.Context, oci.Client, *containers.Container, *oci.Spec) error { return nil }

// capabilities adds and drops; ALL goes first, so that "drop ALL, add X" and
// "add ALL, drop X" mean what they say.
func capabilities(caps *corev1.Capabilities) []oci.SpecOpts {
	if caps == nil {
		return nil
	}
	var all, some []oci.SpecOpts
	for _, name := range caps.Add {
		if strings.EqualFold(string(name), "ALL") {
			all = append(all, oci.WithAllCurrentCapabilities)
		} else {
			some = append(some, oci.WithAddedCapabilities([]string{capName(name)}))
		}
	}
	for _, name := range caps.Drop {
		if strings.EqualFold(string(name), "ALL") {
			all = append(all, oci.WithCapabilities(nil))
		} else {
			some = append(some, oci.WithDroppedCapabilities([]string{capName(name)}))
		}
	}
	return append(all, some...)
}

func capName(c corev1.Capability) string {
	name := strings.ToUpper(string(c))
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	return name
}

func readonlyRoot(sec corev1.SecurityContext) oci.SpecOpts {
	if isTrue(sec.ReadOnlyRootFilesystem) {
		return oci.WithRootFSReadonly()
	}
	return nothing
}

// noNewPrivileges: allowPrivilegeEscalation is true unless it says otherwise.
func noNewPrivileges(sec corev1.SecurityContext) oci.SpecOpts {
	if sec.AllowPrivilegeEscalation != nil && !*sec.AllowPrivilegeEscalation {
		return oci.WithNoNewPrivileges
	}
	return oci.WithNewPrivileges
}

// seccomp is the profile the pod asks for; without one it is RuntimeDefault or
// none, as the node says.
func (c *Client) seccomp(profile *corev1.SeccompProfile, byDefault bool) (oci.SpecOpts, error) {
	kind := corev1.SeccompProfileTypeUnconfined
	if byDefault {
		kind = corev1.SeccompProfileTypeRuntimeDefault
	}
	if profile != nil {
		kind = profile.Type
	}
	switch kind {
	case corev1.SeccompProfileTypeRuntimeDefault:
		return seccomp.WithDefaultProfile(), nil
	case corev1.SeccompProfileTypeLocalhost:
		if profile.LocalhostProfile == nil {
			return nil, configFailure(errors.New("localhostProfile must be set if seccompProfile type is Localhost"))
		}
		// Relative to <root>/seccomp, as a kubelet's are to its own root;
		// validation has refused paths that lead out of it.
		path := filepath.Join(c.cfg.Root, "seccomp", *profile.LocalhostProfile)
		if _, err := os.Stat(path); err != nil {
			return nil, configFailure(fmt.Errorf("seccomp profile: %w", err))
		}
		return seccomp.WithProfile(path), nil
	}
	return nothing, nil
}

// defaultAppArmor is the profile that containerd itself loads.
const defaultAppArmor = "cri-containerd.apparmor.d"

// appArmor is the profile the pod asks for. A host without AppArmor can't
// honour one, and needs none where none is asked for.
func appArmor(profile *corev1.AppArmorProfile, privileged bool) (oci.SpecOpts, error) {
	host := pkgapparmor.HostSupports()
	switch {
	case profile == nil && (!host || privileged):
		return nothing, nil
	case profile != nil && profile.Type == corev1.AppArmorProfileTypeUnconfined:
		return nothing, nil
	case !host:
		return nil, configFailure(fmt.Errorf("cannot enforce AppArmor: AppArmor is not enabled on the host"))
	case profile != nil && profile.Type == corev1.AppArmorProfileTypeLocalhost:
		return apparmor.WithProfile(*profile.LocalhostProfile), nil
	}
	return apparmor.WithDefaultProfile(defaultAppArmor), nil
}

func configFailure(err error) error {
	return &pod.Failure{Kind: pod.Permanent, Reason: "CreateContainerConfigError", Message: err.Error()}
}

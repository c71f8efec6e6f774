package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// effective merges the pod's security context into the container's, whose own
// values win.
func effective(p *corev1.Pod, ctr *corev1.Container) corev1.SecurityContext {
	var out corev1.SecurityContext
	if ctr.SecurityContext != nil {
		out = *ctr.SecurityContext.DeepCopy()
	}
	sc := p.Spec.SecurityContext
	if sc == nil {
		return out
	}
	out.RunAsUser = first(out.RunAsUser, sc.RunAsUser)
	out.RunAsGroup = first(out.RunAsGroup, sc.RunAsGroup)
	out.RunAsNonRoot = first(out.RunAsNonRoot, sc.RunAsNonRoot)
	out.SeccompProfile = first(out.SeccompProfile, sc.SeccompProfile)
	out.AppArmorProfile = first(out.AppArmorProfile, sc.AppArmorProfile)
	return out
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func isTrue(b *bool) bool { return b != nil && *b }

// checkNonRoot is the kubelet's check of runAsNonRoot, in its words.
func checkNonRoot(cfg pod.ContainerConfig, sec corev1.SecurityContext, imageUser string) error {
	if !isTrue(sec.RunAsNonRoot) {
		return nil
	}
	who := fmt.Sprintf("(pod: %q, container: %s)", cfg.Pod.Name+"_"+cfg.Pod.Namespace+"("+string(cfg.Pod.UID)+")", cfg.Container.Name)
	user, _, _ := strings.Cut(imageUser, ":")
	var why string
	switch uid, err := strconv.ParseInt(user, 10, 64); {
	case sec.RunAsUser != nil && *sec.RunAsUser == 0:
		why = "container's runAsUser breaks non-root policy " + who
	case sec.RunAsUser != nil:
	case user == "" || err == nil && uid == 0:
		why = "container has runAsNonRoot and image will run as root " + who
	case err != nil:
		why = fmt.Sprintf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", user, who)
	}
	if why == "" {
		return nil
	}
	return &pod.Failure{Kind: pod.Permanent, Reason: "CreateContainerConfigError", Message: why}
}

// userOpts set the process' user and groups: what the pod says, else what the
// image says. Names are looked up in the container's own /etc/passwd.
func userOpts(cfg pod.ContainerConfig, sec corev1.SecurityContext, imageUser string) []oci.SpecOpts {
	user := imageUser
	if sec.RunAsUser != nil {
		user = strconv.FormatInt(*sec.RunAsUser, 10)
	}
	name, _, _ := strings.Cut(user, ":")
	if sec.RunAsGroup != nil {
		user = fmt.Sprintf("%s:%d", name, *sec.RunAsGroup)
	}
	if name == "" {
		name = "0"
	}
	opts := []oci.SpecOpts{oci.WithUser(strings.TrimPrefix(user, ":"))}
	if user == "" {
		opts = []oci.SpecOpts{oci.WithUIDGID(0, 0)}
	}
	// The image's own groups of the user come first, as with policy Merge.
	return append(opts, oci.WithAdditionalGIDs(name), extraGroups(cfg.Pod.Spec.SecurityContext))
}

func extraGroups(sc *corev1.PodSecurityContext) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		if sc == nil {
			return nil
		}
		groups := slices.Clone(sc.SupplementalGroups)
		if sc.FSGroup != nil {
			groups = append(groups, *sc.FSGroup)
		}
		for _, g := range groups {
			if !slices.Contains(s.Process.User.AdditionalGids, uint32(g)) {
				s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, uint32(g))
			}
		}
		return nil
	}
}

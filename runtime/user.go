package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	corev1 "k8s.io/api/core/v1"
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

// userOf is who a process runs as, in the form "user" or "user:group" of an
// image, and the user alone. Without a group it is the user's own in the
// image's /etc/passwd, or root's.
func userOf(sec corev1.SecurityContext, imageUser string) (whole, user string) {
	whole = imageUser
	if sec.RunAsUser != nil {
		whole = strconv.FormatInt(*sec.RunAsUser, 10)
	}
	user, group, grouped := strings.Cut(whole, ":")
	if user == "" {
		user = "0"
	}
	if sec.RunAsGroup != nil {
		group, grouped = strconv.FormatInt(*sec.RunAsGroup, 10), true
	}
	if grouped {
		return user + ":" + group, user
	}
	return user, user
}

// userOpts set the process' user and groups. The image's own groups of the user
// come along, as with Kubernetes' policy Merge.
func userOpts(p *corev1.Pod, sec corev1.SecurityContext, imageUser string) []oci.SpecOpts {
	whole, user := userOf(sec, imageUser)
	return []oci.SpecOpts{oci.WithUser(whole), oci.WithAdditionalGIDs(user), extraGroups(p.Spec.SecurityContext)}
}

// extraGroups are the pod's own, and the one that owns its volumes.
func extraGroups(sc *corev1.PodSecurityContext) oci.SpecOpts {
	if sc == nil {
		return nothing
	}
	groups := slices.Clone(sc.SupplementalGroups)
	if sc.FSGroup != nil {
		groups = append(groups, *sc.FSGroup)
	}
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		for _, g := range groups {
			if !slices.Contains(s.Process.User.AdditionalGids, uint32(g)) {
				s.Process.User.AdditionalGids = append(s.Process.User.AdditionalGids, uint32(g))
			}
		}
		return nil
	}
}

// formatUser and parseUser are the two directions of LabelUser.
func formatUser(u specs.User) string {
	groups := make([]string, len(u.AdditionalGids))
	for i, g := range u.AdditionalGids {
		groups[i] = strconv.FormatUint(uint64(g), 10)
	}
	return fmt.Sprintf("%d:%d:%s", u.UID, u.GID, strings.Join(groups, ","))
}

// parseUser is nil for what formatUser did not write.
func parseUser(label string) *corev1.LinuxContainerUser {
	parts := strings.Split(label, ":")
	if len(parts) != 3 {
		return nil
	}
	uid, err1 := strconv.ParseInt(parts[0], 10, 64)
	gid, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err1 != nil || err2 != nil {
		return nil
	}
	user := &corev1.LinuxContainerUser{UID: uid, GID: gid}
	for group := range strings.SplitSeq(parts[2], ",") {
		if g, err := strconv.ParseInt(group, 10, 64); err == nil {
			user.SupplementalGroups = append(user.SupplementalGroups, g)
		}
	}
	return user
}

package admit

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// takeAppArmor makes fields of the annotations that were AppArmor's before it
// had them, as an API server does for a new pod, and warns of them.
func takeAppArmor(p *corev1.Pod) []string {
	var warnings []string
	for _, list := range [...][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			c := &list[i]
			key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name
			value, given := p.Annotations[key]
			if !given || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
				continue
			}
			warnings = append(warnings, fmt.Sprintf(`%s: deprecated since v1.30; use the "appArmorProfile" field instead`,
				field.NewPath("metadata", "annotations").Key(key)))
			if profile := appArmorProfile(value); profile != nil {
				if c.SecurityContext == nil {
					c.SecurityContext = &corev1.SecurityContext{}
				}
				c.SecurityContext.AppArmorProfile = profile
			}
		}
	}
	return warnings
}

// appArmorProfile is nil for a value that validation refuses.
func appArmorProfile(value string) *corev1.AppArmorProfile {
	name, local := strings.CutPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
	switch {
	case value == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case value == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	case local && name != "":
		return &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	}
	return nil
}

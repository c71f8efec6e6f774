package describe

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func (p *page) environment(c corev1.Container) {
	if len(c.EnvFrom) > 0 {
		p.line(2, "Environment Variables from:")
		for _, from := range c.EnvFrom {
			p.environmentFrom(from)
		}
	}
	if len(c.Env) == 0 {
		p.line(2, "Environment:", none)
		return
	}
	p.line(2, "Environment:")
	for _, e := range c.Env {
		if e.ValueFrom != nil {
			p.line(3, e.Name+":", source(*e.ValueFrom))
			continue
		}
		name := e.Name + ":"
		for line := range strings.SplitSeq(strings.TrimSuffix(e.Value, "\n"), "\n") {
			p.line(3, name, line)
			name = ""
		}
	}
}

func (p *page) environmentFrom(from corev1.EnvFromSource) {
	name, kind, optional := "", "", false
	switch {
	case from.ConfigMapRef != nil:
		name, kind, optional = from.ConfigMapRef.Name, "ConfigMap", boolean(from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		name, kind, optional = from.SecretRef.Name, "Secret", boolean(from.SecretRef.Optional)
	}
	if from.Prefix != "" {
		kind += " with prefix '" + from.Prefix + "'"
	}
	p.line(3, name, kind, fmt.Sprintf("Optional: %t", optional))
}

// source is where a variable's value comes from.
func source(from corev1.EnvVarSource) string {
	switch {
	case from.FieldRef != nil:
		return fmt.Sprintf(" (%s:%s)", from.FieldRef.APIVersion, from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		return fmt.Sprintf("(%s)", from.ResourceFieldRef.Resource)
	case from.SecretKeyRef != nil:
		return fmt.Sprintf("<set to the key '%s' in secret '%s'>\tOptional: %t",
			from.SecretKeyRef.Key, from.SecretKeyRef.Name, boolean(from.SecretKeyRef.Optional))
	case from.ConfigMapKeyRef != nil:
		return fmt.Sprintf("<set to the key '%s' of config map '%s'>\tOptional: %t",
			from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Name, boolean(from.ConfigMapKeyRef.Optional))
	}
	return ""
}

package main

import corev1 "k8s.io/api/core/v1"

// The profiles that are named in code.
const (
	profileGeneral = "general"
	profileLegacy  = "legacy"
)

// profiles are what a debug container is given, by name, as kubectl does.
func profiles() map[string]func(*corev1.Container) {
	return map[string]func(*corev1.Container){
		profileLegacy:  func(*corev1.Container) {},
		profileGeneral: func(c *corev1.Container) { allow(c, "SYS_PTRACE") },
		"baseline":     func(c *corev1.Container) { c.SecurityContext = nil },
		"restricted":   restrict,
		"netadmin":     func(c *corev1.Container) { allow(c, "NET_ADMIN", "NET_RAW") },
		"sysadmin": func(c *corev1.Container) {
			yes := true
			security(c).Privileged = &yes
		},
	}
}

func security(c *corev1.Container) *corev1.SecurityContext {
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	return c.SecurityContext
}

func allow(c *corev1.Container, capabilities ...corev1.Capability) {
	sc := security(c)
	if sc.Capabilities == nil {
		sc.Capabilities = &corev1.Capabilities{}
	}
	sc.Capabilities.Add = append(sc.Capabilities.Add, capabilities...)
}

// restrict is what the restricted Pod Security Standard asks for.
func restrict(c *corev1.Container) {
	yes, no := true, false
	c.SecurityContext = &corev1.SecurityContext{
		RunAsNonRoot: &yes, AllowPrivilegeEscalation: &no,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

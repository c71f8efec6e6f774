package pod

import corev1 "k8s.io/api/core/v1"

// policyFor is the restart policy that counts for a container when no rule of
// its own does: its own, or else its pod's.
func policyFor(p *corev1.Pod, c *corev1.Container) corev1.RestartPolicy {
	if c.RestartPolicy != nil {
		return corev1.RestartPolicy(*c.RestartPolicy)
	}
	return p.Spec.RestartPolicy
}

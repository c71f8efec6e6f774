package pod

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// MaxRestartPeriodAnnotation bounds, for one pod, how long podd waits before it
// tries again what failed: a container, an image, a sandbox. It is a duration,
// such as "30s"; the node has one of its own.
const MaxRestartPeriodAnnotation = "podd.io/max-container-restart-period"

// The bounds of such a period. The lower one is a kubelet's.
const (
	leastRestartPeriod = time.Second
	mostRestartPeriod  = time.Hour
)

// ParseRestartPeriod reads one.
func ParseRestartPeriod(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < leastRestartPeriod || d > mostRestartPeriod {
		return 0, fmt.Errorf("%q is no duration from %s to %s", text, leastRestartPeriod, mostRestartPeriod)
	}
	return d, nil
}

// MaxRestartPeriodOf is what a pod's annotation says; 0 when it says nothing.
func MaxRestartPeriodOf(p *corev1.Pod) (time.Duration, error) {
	text := strings.TrimSpace(p.Annotations[MaxRestartPeriodAnnotation])
	if text == "" {
		return 0, nil
	}
	return ParseRestartPeriod(text)
}

// backOffFor is the pod's own policy.
func backOffFor(p *corev1.Pod, node BackOffPolicy) BackOffPolicy {
	if node == (BackOffPolicy{}) {
		node = DefaultBackOff
	}
	if limit, err := MaxRestartPeriodOf(p); err == nil && limit > 0 { // what is wrong was refused
		node.Max = limit
	}
	return node
}

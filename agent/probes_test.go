package agent_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestThousandsOfProbesAreTimers: 2,000 probes of 100 pods cost a goroutine for
// each pod, and those that run at the moment, not one for each probe.
func TestThousandsOfProbesAreTimers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const pods, containers = 100, 10
		probe := &corev1.Probe{PeriodSeconds: 10}
		probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(80)}
		for i := range pods {
			r.apply(podNamed(nameOf(i), func(p *corev1.Pod) {
				p.Spec.Containers = nil
				for c := range containers {
					p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
						Name: fmt.Sprintf("c%d", c), Image: "app", LivenessProbe: probe, ReadinessProbe: probe,
					})
				}
			}))
		}
		for i := range pods {
			r.untilReady(nameOf(i))
		}
		before, most := r.world.Ops(), 0
		for range 11 {
			time.Sleep(1100 * time.Millisecond)
			most = max(most, runtime.NumGoroutine())
		}
		if ran := r.world.Ops() - before; ran < 2*pods*containers {
			t.Errorf("%d effects in 12 seconds: not all probes run", ran)
		}
		if most > 500 {
			t.Errorf("%d goroutines", most)
		}
		t.Logf("%d goroutines at most", most)
	})
}

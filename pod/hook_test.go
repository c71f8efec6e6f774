package pod_test

import (
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/pod"
)

// TestPreStopOutlastsGrace: the hook is given up when the grace period is over;
// the container gets TERM then, and a moment to end before KILL.
func TestPreStopOutlastsGrace(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "1"},
		Spec: corev1.PodSpec{HostNetwork: true, Containers: []corev1.Container{{Name: "app", Image: "img", Lifecycle: &corev1.Lifecycle{
			PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1000}},
		}}}},
	}
	id := pod.ID(p.UID, "app", 0)
	memo := pod.Memo{Durable: pod.Durable{StartedAt: began, Phase: corev1.PodRunning, Sandbox: pod.SandboxMemo{Up: true}, Containers: map[string]*pod.ContainerMemo{
		"app": {Stage: pod.StageRunning, StartedAt: began},
	}}}
	var flying []pod.Subject
	look := func(after time.Duration) (did []pod.Action) {
		out := pod.Decide(pod.Input{
			Now: began.Add(after), Pod: p, Memo: memo, InFlight: flying,
			Deleted: &pod.Deletion{At: began, Grace: 10 * time.Second},
			Seen: pod.Observed{
				Cgroup:     true,
				Sandboxes:  []pod.Sandbox{{ID: pod.ID(p.UID, pod.SandboxName, 0), State: pod.Running}},
				Containers: []pod.Container{{ID: id, Name: "app", State: pod.Running, StartedAt: began}},
			},
		})
		memo = out.Memo
		return out.Do
	}
	wants := func(after time.Duration, kind pod.Kind, sig syscall.Signal) {
		t.Helper()
		did := look(after)
		if len(did) != 1 || did[0].Kind != kind || kind == pod.SignalContainer && did[0].Signal.Signal != sig {
			t.Fatalf("after %s: %+v, want %s %v", after, did, kind, sig)
		}
		flying = []pod.Subject{did[0].Subject}
	}
	wants(0, pod.RunHook, 0)
	wants(9*time.Second, pod.RunHook, 0)
	wants(10*time.Second, pod.SignalContainer, syscall.SIGTERM)
	memo, _ = pod.Apply(memo, began.Add(10*time.Second), pod.Result{Action: pod.Action{
		Kind: pod.SignalContainer, Subject: pod.SubjectContainer("app"), Signal: &pod.SignalConfig{ID: id, Signal: syscall.SIGTERM},
	}})
	flying = nil
	if did := look(11 * time.Second); len(did) != 0 {
		t.Errorf("after TERM: %+v", did)
	}
	wants(12*time.Second, pod.SignalContainer, syscall.SIGKILL)
}

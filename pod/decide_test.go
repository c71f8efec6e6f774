package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func simplePod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "u-1"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways,
			Containers:    []corev1.Container{{Name: "web", Image: "busybox", ImagePullPolicy: corev1.PullIfNotPresent}},
		},
	}
}

func TestSimplePodLivesAndDies(t *testing.T) {
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	w := newWorld(Input{Now: start, Pod: simplePod(), Node: Node{IPs: []string{"192.0.2.1"}}})
	w.settle()
	if got := w.last.Status.Phase; got != corev1.PodRunning {
		t.Fatalf("phase is %s", got)
	}
	w.exit(w.running("web").ID, 1)
	w.settle()
	if c := w.running("web"); c == nil || c.Attempt != 1 {
		t.Fatalf("not restarted at once: %+v", c)
	}
	w.exit(w.running("web").ID, 1)
	w.advance(9 * time.Second)
	if w.running("web") != nil {
		t.Fatal("restarted during back-off")
	}
	w.advance(2 * time.Second)
	if w.running("web") == nil {
		t.Fatal("not restarted after back-off")
	}
	w.in.Deleted = &Deletion{At: w.now, Grace: 30 * time.Second}
	w.settle()
	if !w.last.Gone {
		t.Fatalf("not gone: %+v", w.last)
	}
	for _, text := range w.wrong {
		t.Error(text)
	}
}

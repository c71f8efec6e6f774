package pod

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// candidateNamed is a pod that runs, unless its name begins with "done".
func candidateNamed(name, after string, grace int64, critical bool) Candidate {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if after != "" {
		p.Annotations = map[string]string{StartAfterAnnotation: "pod/" + after + "=Ready"}
	}
	p.Spec.TerminationGracePeriodSeconds = &grace
	if !strings.HasPrefix(name, "done") {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	return Candidate{Pod: p, Critical: critical}
}

func TestTurnsToEndWithTheMachine(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	e := Ending{At: at, Policy: ShutdownPolicy{Total: 90 * time.Second, Critical: 30 * time.Second}}
	all := []Candidate{
		candidateNamed("db", "", 20, false), candidateNamed("web", "db", 30, false),
		candidateNamed("cron", "", 300, false), candidateNamed("done-web", "cron", 30, false),
		candidateNamed("dns", "", 10, true), candidateNamed("mesh", "dns", 10, true),
	}
	for _, c := range []struct {
		name       string
		now        time.Duration
		first      string
		turn, kill time.Duration
	}{
		{"web", 0, "", 30 * time.Second, 60 * time.Second},
		{"db", 0, "default/web", 40 * time.Second, 60 * time.Second},
		{"cron", 0, "", 30 * time.Second, 60 * time.Second}, // half of the time is its own, if it has to wait
		{"mesh", 0, "default/cron default/db default/web", 60 * time.Second, 90 * time.Second},
		{"dns", 0, "default/cron default/db default/web default/mesh", 60 * time.Second, 90 * time.Second},
		{"mesh", 60 * time.Second, "", 80 * time.Second, 90 * time.Second},
		{"dns", 60 * time.Second, "default/mesh", 80 * time.Second, 90 * time.Second},
	} {
		for _, one := range all {
			if one.Pod.Name != c.name {
				continue
			}
			got := e.Turn(at.Add(c.now), one, all)
			if strings.Join(got.First, " ") != c.first || got.TurnAt.Sub(at) != c.turn || got.KillAt.Sub(at) != c.kill {
				t.Errorf("%s at %s: after %q until %s, killed at %s; want %q, %s, %s",
					c.name, c.now, got.First, got.TurnAt.Sub(at), got.KillAt.Sub(at), c.first, c.turn, c.kill)
			}
		}
	}
}

func TestCriticalPriorities(t *testing.T) {
	for priority, want := range map[int32]bool{0: false, 1_000_000_000: false, 2_000_000_000: true, 2_000_001_000: true} {
		if IsCritical(priority) != want {
			t.Errorf("%d: %v", priority, !want)
		}
	}
}

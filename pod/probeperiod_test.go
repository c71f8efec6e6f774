package pod

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func probedPod(annotation string) *corev1.Pod {
	p := &corev1.Pod{}
	p.Annotations = map[string]string{ProbePeriodAnnotation: annotation}
	p.Spec.InitContainers = []corev1.Container{{Name: "side", StartupProbe: &corev1.Probe{}}}
	p.Spec.Containers = []corev1.Container{{Name: "web", LivenessProbe: &corev1.Probe{}, ReadinessProbe: &corev1.Probe{}}}
	return p
}

func TestProbePeriods(t *testing.T) {
	for text, want := range map[string]map[Subject]time.Duration{
		"":                {},
		"  ":              {},
		"web/liveness=50": {"probe/web/liveness": 50 * time.Millisecond},
		" web/liveness=200, web/readiness=5000 ,side/startup=100": {"probe/web/liveness": 200 * time.Millisecond,
			"probe/web/readiness": 5 * time.Second, "probe/side/startup": 100 * time.Millisecond},
	} {
		got, err := ProbePeriods(probedPod(text))
		if err != nil || dump(got) != dump(want) && len(got)+len(want) > 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestProbePeriodsThatMakeNoSense(t *testing.T) {
	for text, want := range map[string]string{
		"200":                                 `"200" is not of the form container/probe=milliseconds`,
		"web=200":                             `"web=200" is not of the form`,
		"web/liveness":                        `"web/liveness" is not of the form`,
		"web/liveness=200,":                   `"" is not of the form`,
		"db/liveness=200":                     `the pod has no container "db"`,
		"web/health=200":                      `"health" is no kind of probe: there are startup, liveness and readiness`,
		"web/startup=200":                     `container "web" has no startup probe`,
		"web/liveness=49":                     `"49" is not a number of milliseconds, 50 at least`,
		"web/liveness=-100":                   `"-100" is not a number`,
		"web/liveness=1s":                     `"1s" is not a number`,
		"web/liveness=99999999999999999999":   `is not a number`,
		"web/liveness=200,web/liveness=300":   `"web/liveness=300": the probe has a period already`,
		"web/liveness=200, web/readiness=abc": `"abc" is not a number`,
	} {
		got, err := ProbePeriods(probedPod(text))
		if err == nil || got != nil || !strings.HasPrefix(err.Error(), ProbePeriodAnnotation+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestProbePeriodOfAnAnnotationNobodyAdmitted: the pod runs on as its spec says.
func TestProbePeriodOfAnAnnotationNobodyAdmitted(t *testing.T) {
	p := probedPod("web/liveness=1")
	d := decision{pod: p}
	if got := d.probePeriod(&p.Spec.Containers[0], Liveness, &corev1.Probe{PeriodSeconds: 7}); got != 7*time.Second {
		t.Error(got)
	}
	p.Annotations[ProbePeriodAnnotation] = "web/liveness=60"
	if got := d.probePeriod(&p.Spec.Containers[0], Liveness, &corev1.Probe{PeriodSeconds: 7}); got != 60*time.Millisecond {
		t.Error(got)
	}
	if got := d.probePeriod(&p.Spec.Containers[0], Readiness, &corev1.Probe{}); got != time.Second {
		t.Error(got)
	}
}

package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestRestartPeriods(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "1h": time.Hour, "90s": 90 * time.Second, " 5m ": 5 * time.Minute, "": 0,
		"999ms": -1, "1h0m0.001s": -1, "-5s": -1, "0s": -1, "5": -1, "soon": -1,
	} {
		p := simplePod()
		p.Annotations = map[string]string{MaxRestartPeriodAnnotation: text}
		got, err := MaxRestartPeriodOf(p)
		most := DefaultBackOff.Max
		switch {
		case want < 0:
			wrong := `"` + text + `" is no duration from 1s to 1h0m0s`
			if err == nil || err.Error() != wrong {
				t.Errorf("%q: %v, %v", text, got, err)
			}
		case got != want || err != nil:
			t.Errorf("%q: %v, %v", text, got, err)
		case want > 0:
			most = want
		}
		if b := backOffFor(p, BackOffPolicy{}); b.Initial != DefaultBackOff.Initial || b.Max != most {
			t.Errorf("%q: %v", text, b)
		}
	}
	if b := backOffFor(simplePod(), BackOffPolicy{Initial: 1, Max: 2}); b != (BackOffPolicy{Initial: 1, Max: 2}) {
		t.Errorf("the node's is %v", b)
	}
}

// TestRestarts checks what is told of a container that ended: whether it comes
// back.
func TestRestarts(t *testing.T) {
	always, never := corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever
	p := podOf([]corev1.Container{{Name: "init"}, {Name: "side", RestartPolicy: &always}},
		corev1.Container{Name: "app"}, corev1.Container{Name: "once", RestartPolicy: &never, RestartPolicyRules: []corev1.ContainerRestartRule{
			{Action: corev1.ContainerRestartRuleActionRestart}, // it says nothing of codes, and never fits
			{Action: corev1.ContainerRestartRuleActionRestart, ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{
				Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42},
			}},
		}})
	p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	for _, c := range []struct {
		name string
		code int32
		want bool
	}{
		{"init", 0, false}, {"init", 1, true}, {"side", 0, true}, {"side", 1, true}, {"app", 0, true}, {"app", 1, true},
		{"once", 0, false}, {"once", 1, false}, {"once", 42, true}, {"nobody", 1, false},
	} {
		if got := Restarts(p, c.name, c.code); got != c.want {
			t.Errorf("%s, ended with %d: %v", c.name, c.code, got)
		}
	}
	p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	if Restarts(p, "app", 0) || !Restarts(p, "app", 1) {
		t.Error("OnFailure is not heeded")
	}
}

// TestRetriesApart checks that what is another thing to do does not wait for the
// failure of the first.
func TestRetriesApart(t *testing.T) {
	signal := func(n int, attempt int) Action {
		return Action{Kind: SignalContainer, Subject: "s", Attempt: attempt, Signal: &SignalConfig{Signal: 1 << n}}
	}
	volume := func(hash string) Action {
		return Action{Kind: SetupVolume, Subject: "s", Volume: &VolumeConfig{Hash: hash}}
	}
	create := func(image string) Action {
		return Action{Kind: CreateContainer, Subject: "s", Container: &ContainerConfig{Container: &corev1.Container{Image: image}}}
	}
	seen := map[string]bool{}
	for i, a := range []Action{signal(1, 0), signal(2, 0), signal(1, 1), volume("a"), volume("b"), create("a"), create("b")} {
		if key := retryKey(a); seen[key] {
			t.Errorf("%d waits for another: %s", i, key)
		} else {
			seen[key] = true
		}
	}
}

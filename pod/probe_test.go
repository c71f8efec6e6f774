package pod

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestProbeTargets checks where a probe goes.
func TestProbeTargets(t *testing.T) {
	spec := &corev1.Container{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
	named := intstr.FromString("http")
	for name, c := range map[string]struct {
		handler corev1.ProbeHandler
		host    string
	}{
		"http":             {corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: named}}, "10.88.0.7"},
		"http, other host": {corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: named, Host: "other"}}, "other"},
		"tcp":              {corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: named}}, "10.88.0.7"},
		"tcp, other host":  {corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: named, Host: "other"}}, "other"},
		"grpc":             {corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 8080}}, "10.88.0.7"},
	} {
		d := newDecision(Input{Pod: simplePod(), Seen: Observed{Network: &Network{Ready: true, IPs: []string{"10.88.0.7"}}}})
		cfg, err := d.probeConfig(spec, &ContainerMemo{}, Liveness, &corev1.Probe{ProbeHandler: c.handler})
		if err != nil || cfg.Host != c.host || cfg.Timeout != time.Second {
			t.Errorf("%s: %+v, %v", name, cfg, err)
			continue
		}
		switch h := cfg.Handler; {
		case h.HTTPGet != nil && h.HTTPGet.Port != intstr.FromInt32(8080), h.TCPSocket != nil && h.TCPSocket.Port != intstr.FromInt32(8080):
			t.Errorf("%s: the port is not resolved", name)
		}
	}
	nowhere := newDecision(Input{Pod: simplePod()})
	if cfg, err := nowhere.probeConfig(spec, &ContainerMemo{}, Liveness, &corev1.Probe{}); err != nil || cfg.Host != "" {
		t.Errorf("a pod without an address: %+v, %v", cfg, err)
	}
}

// TestHookTargets checks where an HTTP hook goes, and what it says it is for.
func TestHookTargets(t *testing.T) {
	spec := &corev1.Container{Name: "web", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
	for host, want := range map[string]string{"": "10.88.0.7", "other": "other"} {
		for kind, why := range map[HookKind]string{PostStart: "it has started", PreStop: "it is to end"} {
			d := newDecision(Input{Pod: simplePod(), Seen: Observed{Network: &Network{Ready: true, IPs: []string{"10.88.0.7"}}}})
			d.wantHook(spec, &ContainerMemo{}, kind, &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Host: host, Port: intstr.FromString("http")}})
			a := d.out.Do[0]
			if a.Hook.Host != want || a.Hook.Handler.HTTPGet.Port != intstr.FromInt32(8080) || a.Reason != why {
				t.Errorf("%q: %+v %s", host, a.Hook, a.Reason)
			}
		}
	}
	d := newDecision(Input{Pod: simplePod()})
	d.wantHook(spec, &ContainerMemo{}, PreStop, &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromString("nope")}})
	if h := d.out.Do[0].Hook; h.Host != "" || h.Handler.HTTPGet.Port != intstr.FromString("nope") {
		t.Errorf("a port that is not there: %+v", h)
	}
}

// TestJitter checks that what many do at the same time is spread over the span.
func TestJitter(t *testing.T) {
	var quarters [4]int
	for i := range 1000 {
		j := jitter(ID("u", "web", i)+string(Liveness), time.Minute)
		if j < 0 || j >= time.Minute {
			t.Fatalf("%v is not within a minute", j)
		}
		quarters[j/(15*time.Second)]++
	}
	for _, n := range quarters {
		if n < 150 {
			t.Errorf("not evenly spread: %v", quarters)
		}
	}
}

// TestProbesAfterRestart checks that after a restart of podd probes that have run
// for long are put off by a part of their period, and new ones are not.
func TestProbesAfterRestart(t *testing.T) {
	now := time.Unix(100000, 0)
	p := &corev1.Probe{PeriodSeconds: 100}
	spec := &corev1.Container{Name: "web"}
	for name, c := range map[string]struct {
		began  time.Duration
		probes map[Subject]ProbeMemo
		late   bool
	}{
		"restarted":     {-time.Hour, nil, true},
		"young":         {-time.Minute, nil, false},
		"not restarted": {-time.Hour, map[Subject]ProbeMemo{}, false},
		"another's":     {-time.Hour, map[Subject]ProbeMemo{SubjectProbe("web", Readiness): {ID: "old"}}, false},
	} {
		in := Input{Now: now, Pod: simplePod()}
		in.Memo.Volatile.Probes = c.probes
		m := newDecision(in).probeMemo(spec, &ContainerMemo{StartedAt: now.Add(c.began)}, Readiness, p)
		if late := m.Due.After(now); late != c.late || m.Due.After(now.Add(100*time.Second)) {
			t.Errorf("%s: due in %v", name, m.Due.Sub(now))
		}
	}
}

// TestOutcomesCounted checks what a row of outcomes comes to.
func TestOutcomesCounted(t *testing.T) {
	p := ProbeMemo{}
	for _, c := range []struct {
		outcome *ProbeOutcome
		healthy bool
		run     int
	}{
		{&ProbeOutcome{}, false, 1}, {nil, false, 1}, {&ProbeOutcome{}, false, 2}, {&ProbeOutcome{Healthy: true}, true, 1},
		{&ProbeOutcome{Healthy: true}, true, 2}, {&ProbeOutcome{}, false, 1},
	} {
		if p.count(c.outcome); p.Healthy != c.healthy || p.Run != c.run {
			t.Errorf("%+v: %+v", c, p)
		}
	}
	first := ProbeMemo{}
	if first.count(&ProbeOutcome{}); first.Run != 1 {
		t.Errorf("the first of all: %+v", first)
	}
	if e := probeEvent(Result{Action: Action{Probe: &ProbeConfig{}}}); e != (Event{}) {
		t.Errorf("nothing at all is told: %+v", e)
	}
}

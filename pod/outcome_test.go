package pod

import (
	"slices"
	"testing"
	"time"
)

// probed applies outcomes of web's liveness probe, one each step, and gives the
// events and how the probe stands.
func probed(step time.Duration, outcomes ...Result) (events []string, p ProbeMemo) {
	at := time.Unix(0, 0)
	subject := SubjectProbe("web", Liveness)
	var m Memo
	m.Volatile.Probes = map[Subject]ProbeMemo{subject: {ID: "id"}}
	for _, r := range outcomes {
		at = at.Add(step)
		r.Started, r.Finished = at, at
		r.Action = Action{Kind: RunProbe, Subject: subject,
			Probe: &ProbeConfig{Container: "web", ContainerID: "id", Kind: Liveness, Period: step}}
		var said []Event
		m, said = Apply(m, at, r)
		for _, e := range said {
			events = append(events, e.Type+" "+e.Reason+" "+e.Container+": "+e.Message)
		}
	}
	return events, m.Volatile.Probes[subject]
}

func fine() Result          { return Result{Probe: &ProbeOutcome{Healthy: true, Output: "ok"}} }
func bad(out string) Result { return Result{Probe: &ProbeOutcome{Output: out}} }
func warned() Result {
	return Result{Probe: &ProbeOutcome{Healthy: true, Warning: true, Output: "Probe terminated redirects, Response body: "}}
}

func failed(reason, message string) Result {
	return Result{Err: &Failure{Kind: Transient, Reason: reason, Message: message}}
}

func TestProbeEventsAreAKubelets(t *testing.T) {
	for want, r := range map[string]Result{
		"Warning Unhealthy web: Liveness probe failed: HTTP probe failed with statuscode: 500":          bad("HTTP probe failed with statuscode: 500"),
		"Warning Unhealthy web: Liveness probe failed: ":                                                bad(""),
		"Warning Unhealthy web: Liveness probe errored and resulted in unknown state: no runtime":       failed("RunContainerError", "no runtime"),
		"Warning Unhealthy web: Liveness probe errored and resulted in failure state: unexpected EOF":   failed(ProbeStateFailure, "unexpected EOF"),
		"Warning ProbeWarning web: Liveness probe warning: Probe terminated redirects, Response body: ": warned(),
	} {
		if got, _ := probed(time.Second, r); !slices.Equal(got, []string{want}) {
			t.Errorf("%q", got)
		}
	}
	if got, _ := probed(time.Second, fine()); got != nil {
		t.Errorf("a success: %q", got)
	}
}

func TestProbeEventsOnChangeOnly(t *testing.T) {
	const a, b = "Warning Unhealthy web: Liveness probe failed: a", "Warning Unhealthy web: Liveness probe failed: b"
	for name, c := range map[string]struct {
		step     time.Duration
		outcomes []Result
		want     []string
	}{
		"the same":                     {time.Second, []Result{bad("a"), bad("a"), bad("a")}, []string{a}},
		"another text":                 {time.Second, []Result{bad("a"), bad("b")}, []string{a, b}},
		"well in between":              {time.Millisecond, []Result{bad("a"), fine(), bad("a")}, []string{a, a}},
		"another text within a second": {400 * time.Millisecond, []Result{bad("a"), bad("b"), bad("b"), bad("b")}, []string{a, b}},
		"always another":               {200 * time.Millisecond, []Result{bad("a"), bad("1"), bad("2"), bad("3"), bad("4"), bad("b")}, []string{a, b}},
		"the clock was set back":       {-time.Hour, []Result{bad("a"), bad("b")}, []string{a, b}},
	} {
		if got, _ := probed(c.step, c.outcomes...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestProbeOutcomesInARow(t *testing.T) {
	for name, c := range map[string]struct {
		outcomes []Result
		healthy  bool
		run      int
	}{
		"one":                  {[]Result{bad("a")}, false, 1},
		"three":                {[]Result{bad("a"), bad("b"), bad("c")}, false, 3},
		"a change":             {[]Result{bad("a"), bad("b"), fine()}, true, 1},
		"a warning is success": {[]Result{fine(), warned()}, true, 2},
		"an error is nothing":  {[]Result{bad("a"), failed("", "x"), bad("a")}, false, 2},
		"only errors":          {[]Result{failed("", "x")}, false, 0},
	} {
		if _, p := probed(time.Second, c.outcomes...); p.Healthy != c.healthy || p.Run != c.run {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

package pod

import (
	"fmt"
	"time"
)

// ProbeStateFailure is the Reason of a Failure that a kubelet words as "errored
// and resulted in failure state". The state of others is unknown.
const ProbeStateFailure = "failure"

// minTold is how soon after an event of a failing probe another one with
// another text may follow: no sooner than a kubelet's shortest period.
const minTold = time.Second

// applyProbe counts an outcome, and tells of it if it is news. An outcome that
// could not be had is thrown away, but for the event.
func applyProbe(m *Memo, r Result) []Event {
	cfg, subject := r.Action.Probe, r.Action.Subject
	p, ok := m.Volatile.Probes[subject]
	if !ok || p.ID != cfg.ContainerID {
		return nil
	}
	p.Due = r.Started.Add(cfg.Period)
	var events []Event
	if !tooEarly(m, r) {
		p.count(r.Probe)
		events = p.news(r)
	}
	m.Volatile.Probes[subject] = p
	return events
}

// tooEarly says that a startup probe failed in the container's first period.
// That failure does not count: Kubernetes promises failureThreshold times
// periodSeconds to start up, and a kubelet's first probe comes only then.
func tooEarly(m *Memo, r Result) bool {
	cfg := r.Action.Probe
	c := m.Durable.Containers[cfg.Container]
	return cfg.Kind == Startup && r.Probe != nil && !r.Probe.Healthy &&
		c != nil && r.Started.Before(c.StartedAt.Add(cfg.Period))
}

// count adds an outcome; nil is none.
func (p *ProbeMemo) count(o *ProbeOutcome) {
	switch {
	case o == nil:
	case p.Run > 0 && p.Healthy == o.Healthy:
		p.Run = min(p.Run+1, 1<<20)
	default:
		p.Healthy, p.Run = o.Healthy, 1
	}
}

// news is the event of an outcome, unless it says what was said last. Outputs
// that are never twice the same are held back, not to drown the other events.
func (p *ProbeMemo) news(r Result) []Event {
	e := probeEvent(r)
	again := p.Told != "" && r.Started.Sub(p.ToldAt).Abs() < minTold
	switch {
	case e.Message == "":
		p.Told = ""
		return nil
	case e.Message == p.Told, again:
		return nil
	}
	p.Told, p.ToldAt = e.Message, r.Started
	return []Event{e}
}

// probeEvent is in a kubelet's words. It is empty for a plain success.
func probeEvent(r Result) Event {
	cfg := r.Action.Probe
	kind, name := probeWord(cfg.Kind), cfg.Container
	switch o := r.Probe; {
	case o == nil && r.Err != nil && r.Err.Reason == ProbeStateFailure:
		return probeErrored(kind, ProbeStateFailure, r.Err.Message, name)
	case o == nil && r.Err != nil:
		return probeErrored(kind, "unknown", r.Err.Message, name)
	case o == nil:
		return Event{}
	case !o.Healthy:
		return warning("Unhealthy", fmt.Sprintf("%s probe failed: %s", kind, o.Output), name)
	case o.Warning:
		return warning("ProbeWarning", fmt.Sprintf("%s probe warning: %s", kind, o.Output), name)
	}
	return Event{}
}

func probeErrored(kind, state, why, container string) Event {
	return warning("Unhealthy", fmt.Sprintf("%s probe errored and resulted in %s state: %s", kind, state, why), container)
}

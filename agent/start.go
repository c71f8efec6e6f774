package agent

import (
	"slices"
	"time"

	"github.com/podd-io/podd/pod"
)

// Start is how a pod comes, or came, up: from its submission, or the loss of the
// sandbox that it ran in, until it is ready, has ended, or is to go. Nothing in
// it changes once it is handed out.
type Start struct {
	Pod pod.Key `json:"-"`
	// Attempt counts the pod's starts from 0, with its sandboxes.
	Attempt int `json:"attempt"`
	// Begun is when the pod was submitted, or its last sandbox was seen lost.
	Begun time.Time `json:"begun"`
	// Running and Ready are when its status first said so; zero until then.
	Running time.Time `json:"running,omitzero"`
	Ready   time.Time `json:"ready,omitzero"`
	// Over is when the start ended, well or not, and Outcome how.
	Over    time.Time `json:"over,omitzero"`
	Outcome Outcome   `json:"outcome,omitempty"`
	// Taken is when this podd took the pod up from an earlier one; zero for a pod
	// that came later.
	Taken time.Time `json:"-"`
	// Steps are what was done for it, in the order in which it was finished. An
	// earlier podd's are not known.
	Steps []Step `json:"-"`
	// Dropped is how many steps there was no room for.
	Dropped int `json:"-"`
}

// Outcome is how a start ended.
type Outcome string

// The outcomes of starts.
const (
	BecameReady Outcome = "Ready"
	// RanToEnd and FailedToRun are of pods that ended before they were ready.
	RanToEnd    Outcome = "Succeeded"
	FailedToRun Outcome = "Failed"
	// WasDeleted and LostSandbox are of starts that were given up.
	WasDeleted  Outcome = "Deleted"
	LostSandbox Outcome = "SandboxLost"
)

// Step is one action of a start, or the wait for its start conditions.
type Step struct {
	Kind    pod.Kind
	Subject pod.Subject
	Attempt int
	// Reason says why it was wanted.
	Reason string
	// Wanted is when it was asked for, Began when its turn came, Ended when it was
	// over; each is zero until then.
	Wanted, Began, Ended time.Time
	// Error says how it failed, if it did.
	Error string
}

// Hold is the kind of the step that is a wait for start conditions.
const Hold pod.Kind = "Hold"

// The bounds on what is kept of one start. With 100 pods that use up all of it
// this is under 8 MB; a pod of one container has six.
const (
	maxSteps     = 100
	maxStepText  = 160
	maxStepError = 200
)

// withStep has one step more. When there is no room, the oldest step makes it
// that was done again since: of a probe or a pull that is tried over and over
// the last ones stay.
func (s Start) withStep(step Step) Start {
	if len(s.Steps) < maxSteps {
		s.Steps = append(s.Steps, step) // beyond what readers see
		return s
	}
	s.Dropped++
	all := append(slices.Clone(s.Steps), step)
	for i, old := range all[:maxSteps] {
		if slices.ContainsFunc(all[i+1:], func(later Step) bool { return later.Kind == old.Kind && later.Subject == old.Subject }) {
			s.Steps = slices.Delete(all, i, i+1)
			return s
		}
	}
	return s
}

// stepOf is a finished action. A pull's turn came when its transfer began.
func stepOf(f *flight, r pod.Result) Step {
	s := f.step()
	s.Began, s.Ended = r.Started, r.Finished
	switch {
	case r.Err != nil:
		s.Error = short(r.Err.Message, maxStepError)
	case r.Probe != nil && !r.Probe.Healthy:
		s.Error = "not healthy"
	case r.Pulled != nil:
		s.Began = latest(s.Began, r.Finished.Add(-r.Pulled.Took))
	}
	return s
}

// step is the flight as far as it is.
func (f *flight) step() Step {
	a := f.action
	s := Step{
		Kind: a.Kind, Subject: pod.Subject(short(string(a.Subject), maxStepText)), Attempt: a.Attempt,
		Reason: short(a.Reason, maxStepText), Wanted: f.wanted,
	}
	if began := f.began.Load(); began != nil {
		s.Began = *began
	}
	return s
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// short cuts a text, and lets go of the longer one.
func short(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	cut := limit
	for cut > 0 && text[cut]&0xc0 == 0x80 { // not within a character
		cut--
	}
	return string([]byte(text[:cut])) + "…"
}

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"google.golang.org/protobuf/types/known/timestamppb"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/cmd/podctl/chart"
)

// bootSlack: a pod belongs to podd's start if it began no later than this after
// podd, or a pod that belongs to it, was ready.
const bootSlack = 5 * time.Second

// boot is a timeline made ready to be shown.
type boot struct {
	from, to time.Time
	phases   []phaseShown
	pods     []podShown
	// later are how many pods came later than podd's start.
	later int
}

type phaseShown struct {
	name         string
	began, ended time.Time
	open         bool
}

func (p phaseShown) result() string {
	if p.open {
		return "not over"
	}
	return ""
}

// podShown is a pod's start.
type podShown struct {
	name        string
	begun, over time.Time // over is now while it goes on
	running     time.Time
	ready       time.Time
	open        bool
	// before: it was over before this podd started.
	before  bool
	outcome string
	note    string
	steps   []stepShown
}

type stepShown struct {
	kind, subject, reason, failed string
	wanted, began, ended          time.Time
	open, waiting                 bool
}

func (s stepShown) result() string {
	switch {
	case s.failed != "":
		return "failed: " + s.failed
	case s.waiting:
		return "waiting for its turn"
	case s.open:
		return "not over"
	}
	return ""
}

// newBoot chooses what to show, and puts the beginning at podd's start or the
// first pod's.
func newBoot(t *poddv1.TimelineResponse, whole bool) *boot {
	b, now := &boot{}, t.GetNow().AsTime()
	if whole {
		for _, p := range t.GetPhases() {
			b.phases = append(b.phases, phaseShown{name: p.GetName(), began: p.GetBegan().AsTime(), ended: orNow(p.GetEnded(), now), open: p.GetEnded() == nil})
		}
	}
	if len(b.phases) > 0 {
		b.from, b.to = b.phases[0].began, b.phases[len(b.phases)-1].ended
	}
	for _, p := range t.GetPods() {
		b.pods = append(b.pods, newPodShown(p, now, b.from))
	}
	slices.SortStableFunc(b.pods, func(x, y podShown) int {
		return cmp.Or(later(x.begun, b.from).Compare(later(y.begun, b.from)), cmp.Compare(x.name, y.name))
	})
	if whole {
		b.keepBoot()
	} else if len(b.pods) > 0 {
		b.from = b.pods[0].begun
	}
	for _, p := range b.pods {
		b.to = later(b.to, p.end())
	}
	return b
}

// keepBoot leaves out the pods that came when podd's start was over.
func (b *boot) keepBoot() {
	end, kept := b.to, b.pods[:0]
	for _, p := range b.pods {
		if !p.before && p.begun.After(end.Add(bootSlack)) {
			b.later++
			continue
		}
		kept = append(kept, p)
		end = later(end, p.end())
	}
	b.pods = kept
}

func newPodShown(p *poddv1.PodStart, now, from time.Time) podShown {
	s := podShown{
		name:  podTitle(p.GetPod()),
		begun: p.GetBegun().AsTime(), over: orNow(p.GetOver(), now), open: p.GetOver() == nil,
		outcome: cmp.Or(p.GetOutcome(), "not over"), before: p.GetOver() != nil && p.GetOver().AsTime().Before(from),
	}
	if at := p.GetRunning(); at != nil {
		s.running = at.AsTime()
	}
	if at := p.GetReady(); at != nil {
		s.ready = at.AsTime()
	}
	switch taken := p.GetTaken(); {
	case s.before:
		s.note = "it ran on while podd was away"
	case taken != nil && s.begun.Before(taken.AsTime()):
		s.note = "an earlier podd began it"
	}
	if n := p.GetDropped(); n > 0 {
		s.note = strings.TrimPrefix(fmt.Sprintf("%s; %d steps are not kept", s.note, n), "; ")
	}
	for _, st := range p.GetSteps() {
		s.steps = append(s.steps, newStepShown(st, now))
	}
	if s.open {
		for _, st := range p.GetUnderWay() {
			s.steps = append(s.steps, newStepShown(st, now))
		}
	}
	slices.SortStableFunc(s.steps, func(x, y stepShown) int { return x.wanted.Compare(y.wanted) })
	return s
}

func newStepShown(st *poddv1.StartStep, now time.Time) stepShown {
	s := stepShown{
		kind: st.GetKind(), subject: st.GetSubject(), reason: st.GetReason(), failed: st.GetError(),
		wanted: st.GetWanted().AsTime(), began: orNow(st.GetBegan(), now), ended: orNow(st.GetEnded(), now),
		open: st.GetEnded() == nil, waiting: st.GetBegan() == nil,
	}
	return s
}

// end is the end of all that is shown of the pod; zero for what was before.
func (p podShown) end() time.Time {
	if p.before {
		return time.Time{}
	}
	end := p.over
	for _, s := range p.steps { // some return after their effect was seen
		end = later(end, s.ended)
	}
	return end
}

func podTitle(r *poddv1.PodRef) string {
	if ns := r.GetNamespace(); ns != corev1.NamespaceDefault {
		return ns + "/" + r.GetName()
	}
	return r.GetName()
}

func orNow(at *timestamppb.Timestamp, now time.Time) time.Time {
	if at == nil {
		return now
	}
	return at.AsTime()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// timelineChart is the timeline as it is drawn.
func timelineChart(t *poddv1.TimelineResponse, whole bool) chart.Chart {
	b := newBoot(t, whole)
	c := chart.Chart{From: b.from, To: b.to, Title: "Start of pods", Subtitle: b.summary()}
	if whole {
		c.Title = "Start of podd"
		if len(b.phases) > 0 {
			c.Groups = append(c.Groups, phasesGroup(b.phases))
		}
	}
	c.Title += ", " + b.from.UTC().Format("2006-01-02 15:04:05 MST")
	for _, p := range b.pods {
		c.Groups = append(c.Groups, podGroup(p))
	}
	return c
}

// summary says how it went.
func (b *boot) summary() string {
	ready, began := 0, 0
	var last time.Time
	for _, p := range b.pods {
		if p.before {
			continue
		}
		began++
		if !p.ready.IsZero() {
			ready++
			last = later(last, p.ready)
		}
	}
	var parts []string
	if n := len(b.phases); n > 0 {
		if end := b.phases[n-1]; end.open {
			parts = append(parts, "podd is not ready")
		} else {
			parts = append(parts, "podd was ready after "+chart.Took(end.ended.Sub(b.from)))
		}
	}
	if began > 0 {
		text := fmt.Sprintf("%d of %d pods that started became ready", ready, began)
		if ready > 0 {
			text += ", the last after " + chart.Took(last.Sub(b.from))
		}
		parts = append(parts, text)
	}
	if n := len(b.pods) - began; n > 0 {
		parts = append(parts, fmt.Sprintf("%d ran on", n))
	}
	if b.later > 0 {
		parts = append(parts, fmt.Sprintf("%d came later: podctl boot-chart POD", b.later))
	}
	return strings.Join(parts, "; ")
}

func phasesGroup(phases []phaseShown) chart.Group {
	first, last := phases[0], phases[len(phases)-1]
	g := chart.Group{Name: "podd", From: first.began, To: last.ended, Said: "ready after " + chart.Took(last.ended.Sub(first.began))}
	if last.open {
		g.Said = "not ready for " + chart.Took(last.ended.Sub(first.began))
	} else {
		g.Marks = []chart.Mark{{At: last.ended, Name: "ready"}}
	}
	for _, p := range phases {
		g.Rows = append(g.Rows, chart.Row{Name: p.name, Bars: []chart.Bar{{
			Kind: "podd", Wanted: p.began, Began: p.began, Ended: p.ended, Open: p.open, Said: p.name + ": " + chart.Took(p.ended.Sub(p.began)),
		}}})
	}
	return g
}

// podGroup has a row for every subject, in the order in which they came up.
func podGroup(p podShown) chart.Group {
	if p.before {
		return chart.Group{Name: p.name, Said: "ran on"}
	}
	g := chart.Group{Name: p.name, From: p.begun, To: p.over, Said: strings.ToLower(p.outcome) + " after " + chart.Took(p.over.Sub(p.begun))}
	if p.open {
		g.Said = "not over after " + chart.Took(p.over.Sub(p.begun))
	}
	if p.note != "" {
		g.Said += " (" + p.note + ")"
	}
	if !p.running.IsZero() && !p.running.Equal(p.ready) {
		g.Marks = append(g.Marks, chart.Mark{At: p.running, Name: "running"})
	}
	if !p.ready.IsZero() {
		g.Marks = append(g.Marks, chart.Mark{At: p.ready, Name: "ready"})
	}
	rows := map[string]int{}
	for _, s := range p.steps {
		i, ok := rows[s.subject]
		if !ok {
			i = len(g.Rows)
			rows[s.subject] = i
			g.Rows = append(g.Rows, chart.Row{Name: s.subject})
		}
		g.Rows[i].Bars = append(g.Rows[i].Bars, stepBar(s))
	}
	return g
}

func stepBar(s stepShown) chart.Bar {
	text := fmt.Sprintf("%s %s: took %s", s.kind, s.subject, chart.Took(s.ended.Sub(s.began)))
	if waited := s.began.Sub(s.wanted); waited > 0 {
		text += ", waited " + chart.Took(waited)
	}
	for _, more := range []string{s.reason, s.result()} {
		if more != "" {
			text += "\n" + more
		}
	}
	return chart.Bar{Kind: s.kind, Wanted: s.wanted, Began: s.began, Ended: s.ended, Failed: s.failed != "", Open: s.open, Said: text}
}

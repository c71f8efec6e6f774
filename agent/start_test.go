package agent

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

func finished(n int, subject pod.Subject, text string) Step {
	f := &flight{action: pod.Action{Kind: pod.RunProbe, Subject: subject, Reason: text}, wanted: time.Unix(int64(n), 0)}
	return stepOf(f, pod.Result{Started: time.Unix(int64(n), 1), Finished: time.Unix(int64(n), 2), Err: &pod.Failure{Message: text}})
}

// TestOldRepeatsMakeRoom: what was done once stays, and of the others the last.
func TestOldRepeatsMakeRoom(t *testing.T) {
	s := Start{}.withStep(finished(0, "once", ""))
	for i := range 3 * maxSteps {
		s = s.withStep(finished(i+1, "probe", ""))
	}
	if len(s.Steps) != maxSteps || s.Dropped != 2*maxSteps+1 {
		t.Errorf("%d steps, %d dropped", len(s.Steps), s.Dropped)
	}
	if first, last := s.Steps[0], s.Steps[maxSteps-1]; first.Subject != "once" || last.Wanted != time.Unix(3*maxSteps, 0) {
		t.Errorf("first %v, last %v", first, last)
	}
}

// TestFullOfDifferentSteps: what there is no room for is dropped.
func TestFullOfDifferentSteps(t *testing.T) {
	var s Start
	for i := range maxSteps + 7 {
		s = s.withStep(finished(i, pod.Subject(fmt.Sprint(i)), ""))
	}
	if len(s.Steps) != maxSteps || s.Dropped != 7 || s.Steps[0].Subject != "0" {
		t.Errorf("%d steps, %d dropped, the first is %s", len(s.Steps), s.Dropped, s.Steps[0].Subject)
	}
}

// TestReadersKeepWhatTheyHave while the start goes on.
func TestReadersKeepWhatTheyHave(t *testing.T) {
	s := Start{}.withStep(finished(0, "a", "")).withStep(finished(1, "b", ""))
	seen := s
	for i := range 2 * maxSteps {
		s = s.withStep(finished(i, "c", ""))
	}
	if len(seen.Steps) != 2 || seen.Steps[0].Subject != "a" || seen.Steps[1].Subject != "b" {
		t.Errorf("a reader has %v now", seen.Steps)
	}
}

func TestShort(t *testing.T) {
	for text, want := range map[string]string{"": "", "four": "four", "fives": "five…", "aaaä": "aaa…", "ääää": "ää…"} {
		if got := short(text, 4); got != want || !utf8.ValidString(got) {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// endings is a tracer that writes down what it hears.
type endings struct{ heard []string }

func (e *endings) Begin(Start) { e.heard = append(e.heard, "begin") }

func (e *endings) Step(_ Start, s Step) { e.heard = append(e.heard, string(s.Kind)) }

func (e *endings) Over(Start) { e.heard = append(e.heard, "over") }

// TestAnActionThatReturnsLateBelongsToItsStart: the container is seen running, and
// the pod ready, before StartContainer returns. What is started then belongs to no
// start.
func TestAnActionThatReturnsLateBelongsToItsStart(t *testing.T) {
	tr, now := &endings{}, time.Unix(1000, 0)
	line := newTimeline(tr, pod.Key{UID: "u"}, remembered{}, now)
	var memo pod.Durable
	line.see(now, &memo, &corev1.PodStatus{Phase: corev1.PodPending}, false)
	fly := func(kind pod.Kind) *flight {
		f := &flight{action: pod.Action{Kind: kind, Subject: pod.Subject(kind)}, wanted: now}
		line.begins(f)
		return f
	}
	starting := fly(pod.StartContainer)
	line.see(now, &memo, &corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}, false)
	probing := fly(pod.RunProbe)
	line.fly(map[pod.Subject]*flight{"a": starting, "b": probing})
	line.done(starting, pod.Result{Started: now, Finished: now.Add(time.Second)})
	line.fly(map[pod.Subject]*flight{"b": probing})
	line.done(probing, pod.Result{Started: now, Finished: now.Add(time.Second)})
	line.fly(nil)
	if got := strings.Join(tr.heard, " "); got != "begin StartContainer over" {
		t.Errorf("the tracer heard %s", got)
	}
	if s := line.now(); len(s.Steps) != 1 || s.Steps[0].Kind != pod.StartContainer || s.Outcome != BecameReady {
		t.Errorf("%+v", s)
	}
}

// TestWhatTimelinesTake: 100 pods, none of which ever becomes ready, with steps
// that all say as much as they may.
func TestWhatTimelinesTake(t *testing.T) {
	const pods, bound = 100, 8 << 20
	kept := make([]atomic.Pointer[Start], pods)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range kept {
		var s Start
		for n := range 2 * maxSteps {
			text := strings.Repeat("x", 500) + fmt.Sprint(i, n)
			s = s.withStep(finished(n, pod.Subject(text), text))
		}
		kept[i].Store(&s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	took := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d KiB for %d pods", took>>10, pods)
	if took > bound {
		t.Errorf("%d bytes for %d pods, %d are promised", took, pods, bound)
	}
	runtime.KeepAlive(kept)
}

package pod

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// launch starts what is wanted and free, and cancels what may be cancelled and
// is wanted no more, as the shell does. What was launched is under way until it
// lands.
func (w *world) launch() {
	out := w.decide()
	for _, subject := range sortedSubjects(w.flying) {
		wanted := slices.ContainsFunc(out.Do, func(a Action) bool {
			return a.Subject == subject && a.Kind == w.flying[subject].Kind
		})
		if w.flying[subject].Kind.Cancelable() && !wanted {
			delete(w.flying, subject)
		}
	}
	for _, a := range out.Do {
		if _, busy := w.flying[a.Subject]; !busy {
			w.flying[a.Subject] = a
		}
	}
}

// land ends what is under way on the subjects; on all if none is named.
func (w *world) land(subjects []string) {
	if len(subjects) == 0 {
		for _, s := range sortedSubjects(w.flying) {
			subjects = append(subjects, string(s))
		}
	}
	for _, s := range subjects {
		if a, ok := w.flying[Subject(s)]; ok {
			w.do(a)
			delete(w.flying, a.Subject)
		}
	}
}

// crash kills podd: what is under way on the subjects happened, the rest did
// not, and nobody is told.
func (w *world) crash(subjects []string) {
	for _, s := range subjects {
		if a, ok := w.flying[Subject(s)]; ok {
			_, _ = w.effect(a)
		}
	}
	clear(w.flying)
	w.restartPodd()
}

func sortedSubjects(m map[Subject]Action) []Subject {
	return slices.Sorted(maps.Keys(m))
}

// promises holds the next decision against what is promised of every one: the
// same again for the same input, an input left alone, stages by their table, a
// memo that survives its way through JSON.
func (w *world) promises() {
	in := w.in
	before := dump(in)
	one, two := Decide(in), Decide(in)
	if !reflect.DeepEqual(one, two) {
		w.fail("two decisions on one input differ:\n%s\n%s", dump(one), dump(two))
	}
	if after := dump(in); after != before {
		w.fail("decide changed its input:\n%s\n%s", before, after)
	}
	for name, a := range one.Memo.Durable.Containers {
		b := in.Memo.Durable.Containers[name]
		if b != nil && b.Stage != a.Stage && !reachable(b.Stage, a.Stage, 2) {
			w.fail("%s went from %q to %q", name, b.Stage, a.Stage)
		}
	}
	var back Durable
	if err := json.Unmarshal([]byte(dump(one.Memo.Durable)), &back); err != nil || !back.Equal(one.Memo.Durable) {
		w.fail("the memo is not what it was stored as (%v):\n%s", err, dump(one.Memo.Durable))
	}
}

// quiet checks that without news nothing changes before the time at which a
// decision wants to be asked again.
func (w *world) quiet(out Output) {
	in := w.in
	if in.Now = out.Wake.Add(-1); out.Wake.IsZero() {
		in.Now = w.now.Add(100 * time.Hour)
	}
	again := Decide(in)
	if was, is := kinds(out.Do), kinds(again.Do); was != is && len(out.Do) == 0 {
		w.fail("at %s it wants %s without having asked to be woken", in.Now, is)
	}
	if diff := cmp.Diff(out.Status, again.Status); diff != "" {
		w.fail("at %s its status changes without having asked to be woken:\n%s", in.Now, diff)
	}
}

// reachable says whether one decision, which may learn and then act, can have
// led from one stage to the other.
func reachable(from, to Stage, moves int) bool {
	for _, next := range stageMoves(from) {
		if next == to || moves > 1 && reachable(next, to, moves-1) {
			return true
		}
	}
	return false
}

// reload sends the durable memo through the disk.
func (w *world) reload() {
	var back Durable
	if err := json.Unmarshal([]byte(dump(w.in.Memo.Durable)), &back); err != nil {
		w.fail("the memo cannot be read back: %v", err)
		return
	}
	w.in.Memo.Durable = back
}

func dump(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// rest checks that a pod that nothing is wrong with any more is at rest, and
// what it looks like then.
func (w *world) rest() {
	out := w.decide()
	if w.in.Deleted != nil {
		return
	}
	if len(out.Do) > 0 {
		w.fail("still wants %s", kinds(out.Do))
	}
	switch st := out.Status; st.Phase {
	case corev1.PodRunning:
		w.restRunning(st)
	case corev1.PodPending:
		w.fail("pending at rest: %s", dump(st))
	default:
		if s := w.in.Seen; len(s.Containers)+len(s.Sandboxes) > 0 || s.Network != nil || s.Cgroup || s.Files {
			w.fail("a finished pod leaves something: %s", dump(s))
		}
	}
}

func (w *world) restRunning(st corev1.PodStatus) {
	for _, c := range st.ContainerStatuses {
		always := policyFor(w.in.Pod, findContainer(w.in.Pod, c.Name)) == corev1.RestartPolicyAlways
		if always && (c.State.Running == nil || !c.Ready) {
			w.fail("%s does not run in a pod at rest: %s", c.Name, dump(c))
		}
	}
}

// gone checks that nothing is left of a pod that was deleted.
func (w *world) gone() {
	s := w.in.Seen
	if !w.last.Gone || len(s.Containers)+len(s.Sandboxes) > 0 || s.Network != nil || s.Files || s.Logs {
		w.fail("not gone: %s %s", dump(s), kinds(w.last.Do))
	}
	if p := w.last.Status.Phase; p != corev1.PodSucceeded && p != corev1.PodFailed {
		w.fail("a pod that is gone is %s", p)
	}
}

// fly is the commands of a scenario that tell what is under way from what is
// done, and those that check a pod at its end.
func (s *scenario) fly(name string, args []string) bool {
	switch name {
	case "launch":
		s.w.launch()
	case "land":
		s.w.land(args)
	case "crash":
		s.w.crash(args)
	case "at-rest":
		s.w.rest()
	case "all-gone":
		s.w.gone()
	default:
		return false
	}
	return true
}

// newScenario is a pod on a host on which nothing happened yet.
func newScenario(t fataler, files map[string]string) *scenario {
	s := &scenario{t: t, files: files, start: scenarioStart}
	s.w = newWorld(Input{Now: s.start, Pod: s.pod("pod.yaml"), Node: testNode()})
	s.w.careful = true
	return s
}

// fataler is what ends a test, whichever kind.
type fataler interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// archive is a scenario file.
func archive(files map[string]string, script []string) string {
	var text string
	for _, name := range sortedKeys(files) {
		text += fmt.Sprintf("-- %s --\n%s", name, files[name])
	}
	text += "-- script --\n"
	for _, line := range script {
		text += strings.TrimSpace(line) + "\n"
	}
	return text
}

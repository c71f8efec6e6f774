package pod

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
)

// Account is one decision as it is recorded for people: what was new, and what
// followed. It travels as JSON.
type Account struct {
	At      time.Time `json:"at"`
	Seen    []Finding `json:"seen,omitempty"`
	Decided []Step    `json:"decided,omitempty"`
}

// Empty says that there was nothing new.
func (a Account) Empty() bool { return len(a.Seen) == 0 && len(a.Decided) == 0 }

// Finding is something that was seen.
type Finding struct {
	About Subject `json:"about"`
	Text  string  `json:"text"`
}

// Step is something that was decided.
type Step struct {
	About Subject `json:"about"`
	// Action is the Kind of an action that is started, or a word of its own.
	Action Kind   `json:"action"`
	Reason string `json:"reason,omitempty"`
	// Until is zero when it is not known, or there is none.
	Until time.Time `json:"until,omitzero"`
}

// The words for what is decided and is no action.
const (
	// StepStop: a container is to end, and is killed at Until.
	StepStop Kind = "Stop"
	// StepWait: nothing can be done for now.
	StepWait Kind = "Wait"
	// StepRetry: what failed is tried again at Until.
	StepRetry Kind = "Retry"
	// StepCancel: what is under way is not wanted any more.
	StepCancel Kind = "Cancel"
	// StepLeave: what has ended stays so.
	StepLeave Kind = "Leave"
	// StepReport: the pod's status changes.
	StepReport Kind = "Report"
)

// SubjectPod is the pod as a whole.
const SubjectPod Subject = "pod"

// The bounds on one account.
const (
	maxNotes = 64
	maxNote  = 512 // bytes
)

// Picture is what was told already, so that it is told once. The zero value is
// for a podd that has just started.
type Picture struct {
	seen    map[sight]string
	decided map[sight]Step
}

// sight is one thing that has one state at a time. One without an aspect is
// about its being there.
type sight struct {
	about  Subject
	aspect string
}

// Explain tells what is new in a decision: in what it came from, in the results
// of the actions that ended since the last one, and in what it came to. It gives
// the picture that the next one is to be compared with.
func Explain(last Picture, in Input, out Output, ended []Result) (Account, Picture) {
	t := &teller{
		in: in, out: out, last: last, account: Account{At: in.Now},
		next:   Picture{seen: map[sight]string{}, decided: map[sight]Step{}},
		policy: backOffFor(in.Pod, in.Node.BackOff),
	}
	t.wishes()
	t.results(ended)
	t.ground()
	t.references()
	t.containers()
	t.probes()
	t.vanished()

	t.stops()
	t.actions()
	t.waits()
	t.retries(ended)
	t.reports()
	t.account.Seen = bounded(t.account.Seen, func(n int) Finding { return Finding{SubjectPod, fmt.Sprintf("and %d more", n)} })
	t.account.Decided = bounded(t.account.Decided, func(n int) Step {
		return Step{About: SubjectPod, Action: StepReport, Reason: fmt.Sprintf("and %d more", n)}
	})
	return t.account, t.next
}

func bounded[N any](notes []N, more func(int) N) []N {
	if surplus := len(notes) - maxNotes; surplus > 0 {
		return append(notes[:maxNotes:maxNotes], more(surplus))
	}
	return notes
}

// clipped bounds a text, and keeps it on one line.
func clipped(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) <= maxNote {
		return text
	}
	end := maxNote
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// teller is one Explain in the making.
type teller struct {
	in         Input
	out        Output
	last, next Picture
	account    Account
	policy     BackOffPolicy
}

// find tells what happened just now.
func (t *teller) find(about Subject, text string) {
	t.account.Seen = append(t.account.Seen, Finding{about, clipped(text)})
}

// see tells how something is, unless it was so before.
func (t *teller) see(about Subject, aspect, text string) {
	key, text := sight{about, aspect}, clipped(text)
	t.next.seen[key] = text
	if was, known := t.last.seen[key]; !known || was != text {
		t.account.Seen = append(t.account.Seen, Finding{about, text})
	}
}

// vanished tells of what was there and is not any more.
func (t *teller) vanished() {
	var gone []Subject
	for key := range t.last.seen {
		if _, still := t.next.seen[key]; !still && key.aspect == "" {
			gone = append(gone, key.about)
		}
	}
	slices.Sort(gone)
	for _, about := range gone {
		t.find(about, "is not there any more")
	}
}

// decide tells what is to be done just now.
func (t *teller) decide(s Step) {
	s.Reason = clipped(s.Reason)
	t.account.Decided = append(t.account.Decided, s)
}

// hold tells what is decided for longer, unless it was so before.
func (t *teller) hold(aspect string, s Step) {
	key := sight{s.About, aspect}
	s.Reason = clipped(s.Reason)
	t.next.decided[key] = s
	was, known := t.last.decided[key]
	if !known || was.Action != s.Action || was.Reason != s.Reason || !was.Until.Equal(s.Until) {
		t.account.Decided = append(t.account.Decided, s)
	}
}

// stops tells which containers are to end, and why.
func (t *teller) stops() {
	m := t.out.Memo.Durable
	for _, name := range ordered(m.Containers) {
		if s := m.Containers[name].Stop; s != nil {
			t.hold("stop", Step{SubjectContainer(name), StepStop, s.Because, s.KillAt})
		}
	}
}

// actions tells what is started, and what is cancelled. Probes are told by what
// they find.
func (t *teller) actions() {
	wanted := map[Subject]bool{}
	for _, a := range t.out.Do {
		wanted[a.Subject] = true
		if a.Kind == RunProbe || slices.Contains(t.in.InFlight, a.Subject) {
			continue
		}
		t.decide(Step{About: a.Subject, Action: a.Kind, Reason: a.Reason})
	}
	for _, subject := range t.in.InFlight {
		kind, _, _ := strings.Cut(string(subject), "/")
		if !wanted[subject] && (kind == "image" || kind == "hook") {
			t.hold("cancel", Step{About: subject, Action: StepCancel, Reason: "it is not wanted any more"})
		}
	}
}

// waits tells which containers do not run, and why.
func (t *teller) waits() {
	st := &t.out.Status
	for _, list := range [...][]corev1.ContainerStatus{st.InitContainerStatuses, st.ContainerStatuses, st.EphemeralContainerStatuses} {
		for i := range list {
			t.wait(&list[i])
		}
	}
}

func (t *teller) wait(cs *corev1.ContainerStatus) {
	c := t.out.Memo.Durable.Containers[cs.Name]
	if c == nil {
		return
	}
	about := SubjectContainer(cs.Name)
	switch w := cs.State.Waiting; {
	case w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing":
		reason := w.Reason
		if w.Message != "" {
			reason += ": " + w.Message
		}
		t.hold("wait", Step{about, StepWait, reason, t.due(cs.Name, c)})
	case w == nil && c.Stage == StageExited && t.wanted() && ephemeral(t.in.Pod, cs.Name) == nil:
		if code := int32(c.Exit.Code); !c.Exit.Again && !Restarts(t.in.Pod, cs.Name, code) && !t.isDone(cs.Name, c) {
			t.hold("leave", Step{About: about, Action: StepLeave, Reason: fmt.Sprintf(
				"its restart policy is %s", policyOf(t.in.Pod, findContainer(t.in.Pod, cs.Name)))})
		}
	}
}

// wanted says whether the pod is to run.
func (t *teller) wanted() bool { return t.in.Deleted == nil && t.out.Memo.Durable.Verdict == nil }

// isDone says whether it is an init container that has done its work.
func (t *teller) isDone(name string, c *ContainerMemo) bool {
	return c.Exit.Code == 0 && slices.ContainsFunc(t.in.Pod.Spec.InitContainers, func(i corev1.Container) bool { return i.Name == name })
}

// due is when what a container waits for is tried again; zero when that is not
// known.
func (t *teller) due(name string, c *ContainerMemo) time.Time {
	if c.Stage == StageExited {
		return c.BackOff.ready(t.policy, c.Exit.FinishedAt)
	}
	spec := findContainer(t.in.Pod, name)
	if spec == nil {
		return time.Time{}
	}
	if r, failed := t.out.Memo.Durable.Pulls[spec.Image]; failed {
		return r.due(t.policy)
	}
	return time.Time{}
}

// retries tells when what failed is tried again. A start is not: another attempt
// is made; what probes and hooks come to is the container's affair.
func (t *teller) retries(ended []Result) {
	for _, r := range ended {
		kind := r.Action.Kind
		held, failed := t.out.Memo.Durable.Retries[retryKey(r.Action)]
		if r.Err == nil || !failed || kind == StartContainer || kind == RunProbe || kind == RunHook {
			continue
		}
		if due := held.due(t.policy.forActions()); due.After(t.in.Now) {
			t.decide(Step{r.Action.Subject, StepRetry, fmt.Sprintf("%s failed, %d in a row", kind, held.Failures), due})
		}
	}
}

// reports tells how the pod's status changes.
func (t *teller) reports() {
	st := &t.out.Status
	text := "phase " + string(st.Phase)
	if st.Reason != "" {
		text += ": " + st.Reason + ": " + st.Message
	}
	t.hold("phase", Step{About: SubjectPod, Action: StepReport, Reason: text})
	for _, c := range st.Conditions {
		if c.Type != corev1.PodReady {
			continue
		}
		text := "ready"
		if c.Status != corev1.ConditionTrue {
			text = "not ready"
			if c.Message != "" {
				text += ": " + c.Message
			}
			if _, known := t.last.decided[sight{SubjectPod, "ready"}]; !known {
				continue // as at every beginning
			}
		}
		t.hold("ready", Step{About: SubjectPod, Action: StepReport, Reason: text})
	}
}

package pod

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func ordered[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// wishes tells what is wanted of the pod.
func (t *teller) wishes() {
	switch {
	case t.last.seen != nil:
	case t.in.Memo.Durable.StartedAt.IsZero():
		t.find(SubjectPod, "is new")
	default:
		t.find(SubjectPod, "is taken up by a podd that has started")
	}
	if g := t.in.Pod.Generation; g > 1 {
		t.see(SubjectPod, "spec", fmt.Sprintf("is wanted as generation %d", g))
	}
	if del := t.in.Deleted; del != nil {
		text := fmt.Sprintf("is to go, with a grace period of %s", del.Grace)
		if del.Force {
			text = "is to go at once"
		}
		t.see(SubjectPod, "deletion", text)
	}
	if others := t.in.Refs.EndFirst; len(others) > 0 {
		t.see(SubjectPod, "others", "pods that start after it still run: "+strings.Join(others, ", "))
	}
}

// results tells what failed, and what took its time. What a hook said may hold
// secrets.
func (t *teller) results(ended []Result) {
	for _, r := range ended {
		about, kind := r.Action.Subject, r.Action.Kind
		took := r.Finished.Sub(r.Started).Round(time.Millisecond)
		switch {
		case kind == RunProbe:
		case kind == RunHook && r.Err != nil:
			t.find(about, fmt.Sprintf("failed after %s; podd's log tells why", took))
		case kind == RunHook:
			t.find(about, fmt.Sprintf("ended well after %s", took))
		case r.Err != nil && r.Err.Reason != "":
			t.find(about, fmt.Sprintf("%s failed after %s: %s: %s", kind, took, r.Err.Reason, r.Err.Message))
		case r.Err != nil:
			t.find(about, fmt.Sprintf("%s failed after %s: %s", kind, took, r.Err.Message))
		case kind == PullImage:
			t.find(about, fmt.Sprintf("was pulled in %s", took))
		}
	}
}

// ground tells what there is of what the containers share.
func (t *teller) ground() {
	seen := &t.in.Seen
	if seen.Cgroup {
		t.see(SubjectCgroup, "", "is there")
	}
	for _, name := range ordered(seen.Volumes) {
		t.see(SubjectVolume(name), "", "is ready")
	}
	if n := seen.Network; n != nil {
		text := "is there and not wired"
		if n.Ready {
			text = strings.TrimSpace("is ready " + strings.Join(n.IPs, " "))
		}
		t.see(SubjectNetwork, "", text)
	}
	current := t.out.Memo.Durable.Sandbox.Attempt
	for _, s := range seen.Sandboxes {
		if s.Attempt == current {
			t.see(SubjectSandbox, "", fmt.Sprintf("attempt %d is %s", s.Attempt, strings.ToLower(string(s.State))))
		}
	}
	for _, ref := range ordered(seen.Images) {
		t.see(SubjectImage(ref), "", "is here: "+seen.Images[ref].ID)
	}
}

// references tells of the objects that the pod refers to, and of what it waits
// for.
func (t *teller) references() {
	refs := &t.in.Refs
	for _, name := range ordered(refs.ConfigMaps) {
		if o := refs.ConfigMaps[name]; o != nil {
			t.see(Subject("configmap/"+name), "", "is there, version "+o.ResourceVersion)
		}
	}
	for _, name := range ordered(refs.Secrets) {
		if o := refs.Secrets[name]; o != nil {
			t.see(Subject("secret/"+name), "", "is there, version "+o.ResourceVersion)
		}
	}
	for _, v := range t.in.Pod.Spec.Volumes {
		if text := t.out.Memo.Durable.Told[string(SubjectVolume(v.Name))]; text != "" {
			t.see(SubjectVolume(v.Name), "trouble", text)
		}
	}
	for _, c := range Held(t.in.Pod, t.in.Memo) {
		text, s := "is not met", refs.Standings[c.String()]
		if s.Met {
			text = "is met"
		} else if s.Detail != "" {
			text += ": " + s.Detail
		}
		t.see(Subject("condition/"+c.String()), "standing", text)
	}
}

// containers tells which run, and how the last of their attempts ended.
func (t *teller) containers() {
	m := &t.out.Memo.Durable
	for _, name := range ordered(m.Containers) {
		c := m.Containers[name]
		exit := c.Exit
		if exit == nil {
			exit = c.Last
		}
		if exit != nil {
			t.see(SubjectContainer(name), "exit", exitText(exit))
		}
		if c.Stage == StageRunning {
			t.see(SubjectContainer(name), "run", fmt.Sprintf("attempt %d runs", c.Attempt))
		}
	}
}

func exitText(e *Exit) string {
	text := fmt.Sprintf("attempt %d ended with exit code %d (%s)", e.Attempt, e.Code, e.Reason)
	if !e.StartedAt.IsZero() {
		text += fmt.Sprintf(" after %s", e.FinishedAt.Sub(e.StartedAt).Round(time.Millisecond))
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// probes tells what the probes last came to.
func (t *teller) probes() {
	probes := t.out.Memo.Volatile.Probes
	for _, subject := range ordered(probes) {
		switch p := probes[subject]; {
		case p.Told != "":
			t.see(subject, "outcome", p.Told)
		case p.Run > 0 && p.Healthy:
			t.see(subject, "outcome", "succeeds")
		}
	}
}

package pod

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Apply folds one finished action into a new memo, and tells what there is to
// say about it. The result of a cancelled action is not to be applied. What
// the result means for the pod is the next Decide's affair.
func Apply(m Memo, now time.Time, r Result) (Memo, []Event) {
	m = m.clone()
	a := r.Action
	key := retryKey(a)
	switch {
	case a.Kind == RunProbe, a.Kind == RunHook, a.Kind == PullImage && r.Err != nil: // they have their own rules
	case r.Err == nil:
		delete(m.Durable.Retries, key)
		m.Volatile.Done[key] = m.Volatile.Done[key].again(now, "", "")
	default:
		m.Durable.Retries[key] = m.Durable.Retries[key].again(now, r.Err.Reason, r.Err.Message)
	}
	return m, applyTo(&m, now, r)
}

func applyTo(m *Memo, now time.Time, r Result) []Event {
	switch r.Action.Kind {
	case PullImage:
		return applyPull(m, now, r)
	case CreateContainer, StartContainer:
		return applyContainer(m, r)
	case SignalContainer:
		applySignal(m, r)
	case RemoveContainer:
		applyRemoval(m, r)
	case RunProbe:
		return applyProbe(m, r)
	case RunHook:
		return applyHook(m, now, r)
	case SetupVolume:
		return applyVolume(m, r)
	case SetupNetwork, CreateSandbox:
		if r.Err != nil {
			return []Event{sandboxFailed(r.Err.Message)}
		}
	case CreateCgroup:
		if r.Err != nil {
			return []Event{warning("FailedCreatePodContainer", "unable to ensure pod container exists: "+r.Err.Message, "")}
		}
	}
	return nil
}

func warning(reason, message, container string) Event {
	return Event{Type: corev1.EventTypeWarning, Reason: reason, Message: message, Container: container}
}

func normal(reason, message, container string) Event {
	return Event{Type: corev1.EventTypeNormal, Reason: reason, Message: message, Container: container}
}

// applyPull ends a pull for every container that waited for it.
func applyPull(m *Memo, now time.Time, r Result) []Event {
	ref := r.Action.Pull.Ref
	waiters := m.Volatile.Pulling[ref]
	delete(m.Volatile.Pulling, ref)
	delete(m.Volatile.Pulls, ref)
	var events []Event
	if r.Err == nil {
		delete(m.Durable.Pulls, ref)
		for _, name := range waiters {
			m.Volatile.Fresh[name] = ref
			events = append(events, normal("Pulled", pulledText(r), name))
		}
		return events
	}
	reason := r.Err.Reason
	if reason == "" {
		reason = "ErrImagePull"
	}
	m.Durable.Pulls[ref] = m.Durable.Pulls[ref].again(now, reason, r.Err.Message)
	for _, name := range waiters {
		if reason == "InvalidImageName" {
			events = append(events, warning("InspectFailed", fmt.Sprintf(
				"Failed to apply default image tag %q: %s", ref, r.Err.Message), name))
		} else {
			events = append(events, warning("Failed", fmt.Sprintf("Failed to pull image %q: %s", ref, r.Err.Message), name))
		}
		events = append(events, warning("Failed", "Error: "+reason, name))
	}
	return events
}

// pulledText is in a kubelet's words.
func pulledText(r Result) string {
	waited := r.Finished.Sub(r.Started)
	got := Pulled{Took: waited}
	if r.Pulled != nil {
		got = *r.Pulled
	}
	return fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
		r.Action.Pull.Ref, got.Took.Truncate(time.Millisecond), waited.Truncate(time.Millisecond), got.Size)
}

// applyContainer notes how making or starting an attempt went. A failed start
// may have started the process nevertheless: what is seen next decides.
func applyContainer(m *Memo, r Result) []Event {
	a := r.Action
	name := a.Container.Container.Name
	c := m.Durable.Containers[name]
	if c == nil || c.Attempt != a.Attempt || c.Stage != StageCreating {
		return nil
	}
	if r.Err != nil {
		c.Failed = &Trouble{Reason: r.Err.Reason, Message: r.Err.Message}
		c.StartFailed = a.Kind == StartContainer
		switch {
		case c.StartFailed:
			c.Failed.Reason = "RunContainerError"
		case c.Failed.Reason == "":
			c.Failed.Reason = "CreateContainerError"
		}
		text := strings.ReplaceAll(r.Err.Message, a.Container.ID, name)
		return []Event{warning("Failed", "Error: "+text, name)}
	}
	c.Failed, c.StartFailed = nil, false
	if a.Kind == CreateContainer {
		if h := specHash(a.Container.Container); h != c.Hash {
			c.Discard = true
		}
		return []Event{normal("Created", "Container created", name)}
	}
	c.Stage = StageRunning
	if c.StartedAt = r.Finished; c.StartedAt.IsZero() {
		c.StartedAt = r.Started
	}
	return []Event{normal("Started", "Container started", name)}
}

// applySignal notes what was delivered.
func applySignal(m *Memo, r Result) {
	name := strings.TrimPrefix(string(r.Action.Subject), string(SubjectContainer("")))
	c := m.Durable.Containers[name]
	if r.Err != nil || c == nil || c.Stop == nil || r.Action.Attempt != c.Attempt {
		return
	}
	c.Stop.Termed = true
}

// applyRemoval lets an attempt that was thrown away be made anew.
func applyRemoval(m *Memo, r Result) {
	name := strings.TrimPrefix(string(r.Action.Subject), string(SubjectContainer("")))
	c := m.Durable.Containers[name]
	if r.Err == nil && c != nil && c.Discard && c.Stage == StageCreating && c.Attempt == r.Action.Attempt {
		*c = ContainerMemo{Attempt: c.Attempt, Last: c.Last, BackOff: c.BackOff}
	}
}

func applyVolume(m *Memo, r Result) []Event {
	name := r.Action.Volume.Volume.Name
	if r.Err == nil {
		delete(m.Durable.Told, "volume/"+name)
		return nil
	}
	return []Event{volumeFailed(name, r.Err.Message)}
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/podd-io/podd/cmd/podctl/table"
)

// shownEvents is how many of a pod's last events are shown when it does not
// become ready.
const shownEvents = 5

// notFailed looks whether the pod is still there and has not failed.
func notFailed(r ref, last **corev1.Pod) verdict {
	return func(object *unstructured.Unstructured) (bool, error) {
		if object == nil || object.GetUID() != r.uid {
			return false, fmt.Errorf("pod %q was deleted", r.name)
		}
		pod, err := typed[corev1.Pod](object)
		if err != nil {
			return false, err
		}
		*last = pod
		return true, failure(pod)
	}
}

// failure is the error of a pod that has failed for good.
func failure(pod *corev1.Pod) error {
	if pod.Status.Phase == corev1.PodFailed {
		return fmt.Errorf("pod %q has failed", pod.Name)
	}
	return nil
}

func refsOf(objects []*unstructured.Unstructured) []ref {
	refs := make([]ref, 0, len(objects))
	for _, o := range objects {
		refs = append(refs, refOf(o))
	}
	return refs
}

// outcome is what became of a pod that was waited for.
type outcome struct {
	ref  ref
	last *corev1.Pod // as it was seen last; nil if it never was
	err  error
}

// awaitReady waits until the pods among the objects, as they were stored, are
// ready or have succeeded. It tells why of each that fails, is deleted or takes
// longer than the timeout; 0 is for ever.
func (s *session) awaitReady(ctx context.Context, c *client, objects []*unstructured.Unstructured, timeout time.Duration) error {
	p := s.waitAtMost(timeout)
	if timeout == 0 {
		p = s.waitAtMost(-1)
	}
	var outcomes []*outcome
	var running sync.WaitGroup
	pods := slices.DeleteFunc(slices.Clone(objects), func(o *unstructured.Unstructured) bool { return o.GetKind() != "Pod" })
	shown := s.waitFor(refsOf(pods)...)
	for _, object := range pods {
		o := &outcome{ref: refOf(object)}
		outcomes = append(outcomes, o)
		running.Go(func() {
			o.err = c.await(ctx, o.ref, p, readyOrDone(o.ref, object.GetGeneration(), &o.last))
			shown.over(o.ref)
		})
	}
	running.Wait()
	shown.end()
	failed := false
	for _, o := range outcomes {
		if o.err == nil {
			// It may have failed since: one without a readiness probe is ready as
			// long as it runs.
			o.err = c.await(ctx, o.ref, s.waitAtMost(0), notFailed(o.ref, &o.last))
		}
		if o.err == nil {
			continue
		}
		if err := s.tellUnready(ctx, c, o); err != nil {
			return err
		}
		failed = true
	}
	if failed {
		return reported{}
	}
	return nil
}

// readyOrDone waits for the pod of that uid, once its status is of that
// generation or a later one. The last state seen is left in last.
func readyOrDone(r ref, generation int64, last **corev1.Pod) verdict {
	return func(object *unstructured.Unstructured) (bool, error) {
		if object == nil || object.GetUID() != r.uid {
			if *last != nil {
				return false, fmt.Errorf("pod %q was deleted before it was ready", r.name)
			}
			return false, nil // one of the same name has to end first
		}
		pod, err := typed[corev1.Pod](object)
		if err != nil {
			return false, err
		}
		*last = pod
		if pod.Status.ObservedGeneration < generation {
			return false, nil
		}
		if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
			return true, failure(pod)
		}
		return strings.EqualFold(conditionStatus(object, "Ready"), "true"), nil
	}
}

// tellUnready says why a pod is not ready, with its last events. An error is
// podd's, not the pod's.
func (s *session) tellUnready(ctx context.Context, c *client, o *outcome) error {
	if _, failed := grpcStatus(o.err); failed {
		return o.err
	}
	fmt.Fprintf(s.errOut, "error: %v\n", timedOut(o.err, o.ref))
	if o.last == nil {
		return nil
	}
	fmt.Fprintf(s.errOut, "  Status:  %s\n", table.PodStatus(o.last))
	for _, line := range troubles(o.last) {
		fmt.Fprintf(s.errOut, "  %s\n", line)
	}
	events, err := c.eventsOf(ctx, o.ref)
	if err != nil || len(events) == 0 {
		return err
	}
	fmt.Fprintln(s.errOut, "  Last events:")
	for _, e := range events[max(0, len(events)-shownEvents):] {
		fmt.Fprintf(s.errOut, "    %s %s (%s ago, x%d): %s\n", e.Type, e.Reason,
			table.Age(table.EventLast(&e), s.now()), table.EventCount(&e), strings.TrimSpace(e.Message))
	}
	return nil
}

// troubles are what a pod and its containers say of themselves.
func troubles(pod *corev1.Pod) []string {
	var lines []string
	if pod.Status.Message != "" {
		lines = append(lines, "Message: "+pod.Status.Message)
	}
	statuses := append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
	for _, c := range statuses {
		if line := trouble(c); line != "" {
			lines = append(lines, fmt.Sprintf("Container %s: %s", c.Name, line))
		}
	}
	return lines
}

// trouble is why one container does not serve; empty when it does, or has
// ended well.
func trouble(c corev1.ContainerStatus) string {
	switch {
	case c.State.Waiting != nil:
		return joined(c.State.Waiting.Reason, c.State.Waiting.Message)
	case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
		end := c.State.Terminated
		return joined(fmt.Sprintf("%s, exit code %d", end.Reason, end.ExitCode), end.Message)
	case c.State.Running != nil && !c.Ready:
		return "running, not ready"
	}
	return ""
}

func joined(reason, message string) string {
	if message == "" {
		return reason
	}
	return reason + ": " + message
}

package pod

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// retryInitial is the first delay of an action that failed, whatever the
	// node's back-off for restarts is.
	retryInitial = time.Second
	// settle is how long a status shows a failure itself before it shows the
	// waiting for the next try.
	settle = time.Second
)

// delay is the one after the n-th failure in a row.
func (p BackOffPolicy) delay(n int) time.Duration {
	d := min(p.Initial, p.Max)
	for ; n > 1 && d < p.Max; n-- {
		d = min(2*d, p.Max)
	}
	return d
}

// due is when something that failed may be tried again.
func (r Retry) due(p BackOffPolicy) time.Time { return r.At.Add(p.delay(r.Failures)) }

// again counts one more failure. Failures long past are forgotten.
func (r Retry) again(now time.Time, reason, message string) Retry {
	return Retry{Failures: min(r.Failures+1, 1000), At: now, Reason: reason, Message: message}
}

// retryPolicy is the one for actions that fail.
func (d *decision) retryPolicy() BackOffPolicy { return d.in.Node.BackOff.forActions() }

// forActions is the one for actions that fail, of a policy for restarts.
func (p BackOffPolicy) forActions() BackOffPolicy {
	return BackOffPolicy{Initial: min(retryInitial, p.Initial), Max: p.Max}
}

// retryKey tells apart what is retried on its own: new content of a volume,
// another attempt or another signal does not wait for the old one.
func retryKey(a Action) string {
	key := fmt.Sprintf("%s %s/%d", a.Kind, a.Subject, a.Attempt)
	switch {
	case a.Volume != nil:
		key += " " + a.Volume.Hash
	case a.Signal != nil:
		key += fmt.Sprintf(" %d", a.Signal.Signal)
	case a.Container != nil:
		key += " " + specHash(a.Container.Container)
	}
	return key
}

// ready is when a restart may happen of what ended at finished: at once the
// first time and after a good run of twice the maximum, else after the delay.
func (b BackOff) ready(p BackOffPolicy, finished time.Time) time.Time {
	if b.Delay == 0 || finished.Sub(b.At) > 2*p.Max {
		return finished
	}
	return finished.Add(b.Delay)
}

// next is the back-off once a restart was let through at now.
func (b BackOff) next(p BackOffPolicy, finished, now time.Time) BackOff {
	if b.Delay == 0 || finished.Sub(b.At) > 2*p.Max {
		return BackOff{Delay: min(p.Initial, p.Max), At: now}
	}
	return BackOff{Delay: min(2*b.Delay, p.Max), At: now}
}

// shouldRestart applies the restart policy to an ended app container or sidecar,
// or a failed init container.
func (d *decision) shouldRestart(spec *corev1.Container, exit *Exit) bool {
	return exit.Again || containerRestarts(d.pod, spec, int32(exit.Code))
}

// containerRestarts goes by the container's own rules, the first that fits, then
// by its own policy, then by the pod's. Source: KEP-5307.
func containerRestarts(p *corev1.Pod, spec *corev1.Container, code int32) bool {
	if ruleFor(spec, code) != nil {
		return true // both actions restart it
	}
	return policyRestarts(policyOf(p, spec), code)
}

// ruleFor is the first of a container's rules that fits an exit code, or nil.
func ruleFor(spec *corev1.Container, code int32) *corev1.ContainerRestartRule {
	for i, rule := range spec.RestartPolicyRules {
		on := rule.ExitCodes
		if on != nil && slices.Contains(on.Values, code) == (on.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
			return &spec.RestartPolicyRules[i]
		}
	}
	return nil
}

func policyOf(p *corev1.Pod, spec *corev1.Container) corev1.RestartPolicy {
	if spec.RestartPolicy != nil {
		return corev1.RestartPolicy(*spec.RestartPolicy)
	}
	return p.Spec.RestartPolicy
}

func policyRestarts(policy corev1.RestartPolicy, code int32) bool {
	switch policy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	}
	return true
}

// Restarts tells whether a container that ended with an exit code will be
// started again, as long as its pod is wanted: an init container that succeeded
// is not, whatever the policy, but for a sidecar.
func Restarts(p *corev1.Pod, container string, code int32) bool {
	for i := range p.Spec.InitContainers {
		if init := &p.Spec.InitContainers[i]; init.Name == container && code == 0 && !isSidecar(init) {
			return false
		}
	}
	spec := findContainer(p, container)
	return spec != nil && containerRestarts(p, spec, code)
}

// restart moves an ended container on to its next attempt, if its policy says
// so and its back-off is over.
func (d *decision) restart(spec *corev1.Container, c *ContainerMemo) {
	if d.rerun(spec.Name, c) && !d.m.Durable.RestartAll.is(spec.Name, c) {
		nextAttempt(c)
		return
	}
	if !d.shouldRestart(spec, c.Exit) {
		return
	}
	if c.Hash != specHash(spec) {
		c.BackOff = BackOff{}
	}
	policy := d.in.Node.BackOff
	if due := c.BackOff.ready(policy, c.Exit.FinishedAt); due.After(d.now) {
		d.crashLoop(spec.Name, c, due)
		return
	}
	c.BackOff = c.BackOff.next(policy, c.Exit.FinishedAt, d.now)
	d.settled("restart/" + spec.Name)
	nextAttempt(c)
}

// rerun says whether a successful init container has to run again, since the
// sandbox is a new one.
func (d *decision) rerun(name string, c *ContainerMemo) bool {
	return d.isInit(name) && c.Exit.Code == 0 && c.Sandbox != d.m.Durable.Sandbox.Attempt
}

func nextAttempt(c *ContainerMemo) {
	restarts := cloneMap(c.Restarts)
	restarts[c.Exit.Reason]++
	*c = ContainerMemo{Attempt: c.Attempt + 1, Sandbox: c.Sandbox, Last: c.Exit, BackOff: c.BackOff, Restarts: restarts}
}

// ExitReasons are all that an attempt's end can have.
func ExitReasons() []string {
	return []string{reasonCompleted, reasonError, reasonOOMKilled, reasonStartError, reasonUnknown}
}

// Restarts counts how often each container was restarted, by the reason for
// which the attempt before had ended.
func (d Durable) Restarts() map[string]map[string]int {
	all := make(map[string]map[string]int, len(d.Containers))
	for name, c := range d.Containers {
		all[name] = c.Restarts
	}
	return all
}

// crashLoop says that a container waits for its restart.
func (d *decision) crashLoop(name string, c *ContainerMemo, due time.Time) {
	d.wake(due)
	if flip := c.Exit.FinishedAt.Add(settle); flip.After(d.now) {
		if failed, ok := c.Exit.startFailed(); ok {
			d.wake(flip)
			d.waiting[name] = failed
			return
		}
	}
	desc := podDesc(d.pod)
	d.waiting[name] = Trouble{
		Reason:  "CrashLoopBackOff",
		Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", c.BackOff.Delay, name, desc),
	}
	about, text := "restart/"+name, fmt.Sprintf("Back-off restarting failed container %s in pod %s", name, desc)
	d.tell(about, Event{Type: corev1.EventTypeWarning, Reason: "BackOff", Message: text, Container: name})
}

// startFailed is what a status shows first of an attempt that did not come up.
func (e *Exit) startFailed() (t Trouble, ok bool) {
	switch {
	case e.Reason == reasonStartError:
		return Trouble{Reason: "RunContainerError", Message: e.Message}, true
	case e.HookFailed:
		return Trouble{Reason: "PostStartHookError", Message: "PostStartHook failed"}, true
	}
	return Trouble{}, false
}

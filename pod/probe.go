package pod

import (
	"fmt"
	"hash/fnv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probeWord is a kind as events write it.
func probeWord(k ProbeKind) string {
	switch k {
	case Startup:
		return "Startup"
	case Liveness:
		return "Liveness"
	}
	return "Readiness"
}

// probe judges what a running container's probes have come to, and runs those
// that are due. The startup probe holds the others back.
func (d *decision) probe(spec *corev1.Container, c *ContainerMemo) {
	if spec.StartupProbe != nil && !c.Started {
		if done, healthy := d.verdict(spec, c, Startup, spec.StartupProbe); done {
			c.Started = healthy
			if !healthy {
				d.failedProbe(spec, c, Startup, spec.StartupProbe)
				return
			}
		}
	}
	if started := d.started(spec, c); !started {
		d.schedule(spec, c, Startup, spec.StartupProbe)
	} else {
		d.probeStarted(spec, c)
	}
}

func (d *decision) probeStarted(spec *corev1.Container, c *ContainerMemo) {
	if p := spec.LivenessProbe; p != nil {
		if done, healthy := d.verdict(spec, c, Liveness, p); done && !healthy {
			d.failedProbe(spec, c, Liveness, p)
			return
		}
		d.schedule(spec, c, Liveness, p)
	}
	if p := spec.ReadinessProbe; p != nil {
		if done, healthy := d.verdict(spec, c, Readiness, p); done {
			c.Ready = healthy
		}
		d.schedule(spec, c, Readiness, p)
	}
}

// verdict is what the outcomes so far come to; below the threshold there is
// none.
func (d *decision) verdict(spec *corev1.Container, c *ContainerMemo, kind ProbeKind, p *corev1.Probe) (done, healthy bool) {
	m := d.probeMemo(spec, c, kind, p)
	threshold := p.FailureThreshold
	if m.Healthy {
		threshold = p.SuccessThreshold
	}
	return m.Run >= max(int(threshold), 1), m.Healthy
}

// failedProbe ends a container that failed its liveness or startup probe.
func (d *decision) failedProbe(spec *corev1.Container, c *ContainerMemo, kind ProbeKind, p *corev1.Probe) {
	because := restarting(spec, fmt.Sprintf("failed %s probe", kind), d.restarts(spec))
	grace := d.grace()
	if s := p.TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	d.stop(spec.Name, c, stopOrder{because: because, grace: grace, again: d.restarts(spec)})
}

// schedule runs a probe when it is due.
func (d *decision) schedule(spec *corev1.Container, c *ContainerMemo, kind ProbeKind, p *corev1.Probe) {
	m := d.probeMemo(spec, c, kind, p)
	if m.Due.After(d.now) {
		d.wake(m.Due)
		return
	}
	cfg, err := d.probeConfig(spec, c, kind, p)
	if err != nil {
		m.Due = d.now.Add(d.probePeriod(spec, kind, p))
		d.m.Volatile.Probes[SubjectProbe(spec.Name, kind)] = m
		d.tell("probe/"+spec.Name+"/"+string(kind), probeErrored(probeWord(kind), "unknown", err.Error(), spec.Name))
		d.wake(m.Due)
		return
	}
	d.want(Action{Kind: RunProbe, Subject: SubjectProbe(spec.Name, kind), Reason: "it is due", Probe: cfg})
}

// probeMemo is how one probe of this attempt does, begun afresh if need be. One
// that begins late, since podd was restarted, is put off by part of its period
// so that not all pods' probes run at once.
func (d *decision) probeMemo(spec *corev1.Container, c *ContainerMemo, kind ProbeKind, p *corev1.Probe) ProbeMemo {
	subject, id := SubjectProbe(spec.Name, kind), ID(d.pod.UID, spec.Name, c.Attempt)
	period := d.probePeriod(spec, kind, p)
	delay := probeDelay(kind, p, period)
	m, ok := d.m.Volatile.Probes[subject]
	if !ok || m.ID != id {
		m = ProbeMemo{ID: id, Due: c.StartedAt.Add(delay)}
		if !ok && m.Due.Add(period).Before(d.now) && d.in.Memo.Volatile.Probes == nil {
			m.Due = d.now.Add(jitter(id+string(kind), period))
		}
	}
	// The clock may have been set back.
	m.Due = earlier(m.Due, d.now.Add(max(delay, period)))
	d.m.Volatile.Probes[subject] = m
	return m
}

// probeDelay is how long after its start a container is first probed. A
// kubelet's first look at liveness comes a period after the start, and failure
// thresholds are chosen with that in mind; startup and readiness are looked at
// as soon as they may, since something waits for them.
func probeDelay(kind ProbeKind, p *corev1.Probe, period time.Duration) time.Duration {
	delay := time.Duration(p.InitialDelaySeconds) * time.Second
	if kind == Liveness {
		delay = max(delay, period)
	}
	return delay
}

// jitter is a part of a span that depends on the key alone.
func jitter(key string, span time.Duration) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(key))
	return time.Duration(float64(span) * float64(h.Sum32()) / (1 << 32))
}

// probeConfig is one run with everything resolved.
func (d *decision) probeConfig(spec *corev1.Container, c *ContainerMemo, kind ProbeKind, p *corev1.Probe) (*ProbeConfig, error) {
	cfg := &ProbeConfig{
		Container: spec.Name, ContainerID: ID(d.pod.UID, spec.Name, c.Attempt), Kind: kind,
		Handler: *p.ProbeHandler.DeepCopy(), Timeout: time.Duration(max(p.TimeoutSeconds, 1)) * time.Second,
		Period: d.probePeriod(spec, kind, p), Pod: types.NamespacedName{Namespace: d.pod.Namespace, Name: d.pod.Name},
	}
	if ips := d.podIPs(); len(ips) > 0 {
		cfg.Host = ips[0]
	}
	h := &cfg.Handler
	var err error
	switch {
	case h.Exec != nil:
		h.Exec.Command = expandAll(h.Exec.Command, staticEnv(spec))
	case h.HTTPGet != nil:
		h.HTTPGet.Port, err = resolvePort(spec, h.HTTPGet.Port)
		cfg.Host = orElse(h.HTTPGet.Host, cfg.Host)
	case h.TCPSocket != nil:
		h.TCPSocket.Port, err = resolvePort(spec, h.TCPSocket.Port)
		cfg.Host = orElse(h.TCPSocket.Host, cfg.Host)
	}
	return cfg, err
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// staticEnv are the variables that a container's spec gives as plain values:
// all that a probe's command may refer to.
func staticEnv(spec *corev1.Container) map[string]string {
	vars := map[string]string{}
	for _, e := range spec.Env {
		vars[e.Name] = e.Value
	}
	return vars
}

// resolvePort makes a number of a port's name.
func resolvePort(spec *corev1.Container, port intstr.IntOrString) (intstr.IntOrString, error) {
	if port.Type == intstr.Int {
		return port, nil
	}
	for _, p := range spec.Ports {
		if p.Name == port.StrVal {
			return intstr.FromInt32(p.ContainerPort), nil
		}
	}
	return port, fmt.Errorf("port %q not found", port.StrVal)
}

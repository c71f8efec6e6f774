package pod

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// ProbePeriodAnnotation gives probes periods in milliseconds, in place of their
// periodSeconds: "web/liveness=200,db/readiness=500".
const ProbePeriodAnnotation = "podd.io/probe-period-ms"

// minProbePeriod is the shortest period that may be asked for, in milliseconds.
const minProbePeriod = 50

// ProbePeriods are the periods that a pod's annotation gives, by the probe's
// subject. The error names the annotation and what is wrong with it: every
// container and probe that is named has to exist, once.
func ProbePeriods(p *corev1.Pod) (map[Subject]time.Duration, error) {
	text := strings.TrimSpace(p.Annotations[ProbePeriodAnnotation])
	if text == "" {
		return nil, nil
	}
	periods := map[Subject]time.Duration{}
	for part := range strings.SplitSeq(text, ",") {
		subject, period, err := parseProbePeriod(p, strings.TrimSpace(part))
		if err == nil && periods[subject] != 0 {
			err = fmt.Errorf("%q: the probe has a period already", part)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ProbePeriodAnnotation, err)
		}
		periods[subject] = period
	}
	return periods, nil
}

func parseProbePeriod(p *corev1.Pod, part string) (Subject, time.Duration, error) {
	name, value, ok := strings.Cut(part, "=")
	container, kind, slash := strings.Cut(name, "/")
	if !ok || !slash {
		return "", 0, fmt.Errorf("%q is not of the form container/probe=milliseconds", part)
	}
	if err := hasProbe(p, container, ProbeKind(kind)); err != nil {
		return "", 0, err
	}
	ms, err := strconv.ParseInt(value, 10, 32)
	if err != nil || ms < minProbePeriod {
		return "", 0, fmt.Errorf("%q: %q is not a number of milliseconds, %d at least", part, value, minProbePeriod)
	}
	return SubjectProbe(container, ProbeKind(kind)), time.Duration(ms) * time.Millisecond, nil
}

// hasProbe says what a pod lacks of a probe.
func hasProbe(p *corev1.Pod, container string, kind ProbeKind) error {
	spec := containerNamed(p, container)
	if spec == nil {
		return fmt.Errorf("the pod has no container %q", container)
	}
	probe, known := probeOf(spec, kind)
	switch {
	case !known:
		return fmt.Errorf("%q is no kind of probe: there are startup, liveness and readiness", kind)
	case probe == nil:
		return fmt.Errorf("container %q has no %s probe", container, kind)
	}
	return nil
}

func containerNamed(p *corev1.Pod, name string) *corev1.Container {
	for _, list := range [...][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// probeOf is a container's probe of a kind, nil if it has none.
func probeOf(spec *corev1.Container, kind ProbeKind) (p *corev1.Probe, known bool) {
	switch kind {
	case Startup:
		return spec.StartupProbe, true
	case Liveness:
		return spec.LivenessProbe, true
	case Readiness:
		return spec.ReadinessProbe, true
	}
	return nil, false
}

// probePeriod is how often a probe runs. An annotation that can't be read was
// admitted by nobody, and counts as none.
func (d *decision) probePeriod(spec *corev1.Container, kind ProbeKind, p *corev1.Probe) time.Duration {
	if periods, err := ProbePeriods(d.pod); err == nil {
		if period, ok := periods[SubjectProbe(spec.Name, kind)]; ok {
			return period
		}
	}
	return time.Duration(max(p.PeriodSeconds, 1)) * time.Second
}

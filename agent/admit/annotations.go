package admit

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/podd-io/podd/pod"
)

// annotationPrefix is podd's own.
const annotationPrefix = "podd.io/"

// annotation is one of podd's own: they are as strict as fields.
type annotation struct {
	key   string
	check func(*corev1.Pod) error
}

func annotations() []annotation {
	return []annotation{
		{pod.LogMaxSizeAnnotation, checkLogLimits},
		{pod.LogMaxFilesAnnotation, checkLogLimits},
		{pod.MaxRestartPeriodAnnotation, func(p *corev1.Pod) error { _, err := pod.MaxRestartPeriodOf(p); return err }},
		{pod.ProbePeriodAnnotation, func(p *corev1.Pod) error { _, err := pod.ProbePeriods(p); return err }},
		{pod.FinishedTTLAnnotation, func(p *corev1.Pod) error { _, err := pod.FinishedTTLOf(p); return err }},
		{pod.StartAfterAnnotation, func(p *corev1.Pod) error { _, err := pod.StartsAfter(p); return err }},
	}
}

// known says whether an annotation of podd's own does something.
func known(key string) bool {
	return slices.ContainsFunc(annotations(), func(a annotation) bool { return a.key == key })
}

func checkAnnotations(p *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("metadata", "annotations")
	for _, a := range annotations() {
		text, has := p.Annotations[a.key]
		if !has {
			continue
		}
		err := a.check(p)
		if err == nil || slices.ContainsFunc(errs, func(e *field.Error) bool { return e.Detail == err.Error() }) {
			continue // fine, or told already: the limits of logs are read together
		}
		errs = append(errs, field.Invalid(at.Key(a.key), text, err.Error()))
	}
	return errs
}

func checkLogLimits(p *corev1.Pod) error {
	for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for _, c := range list {
			if _, err := pod.LogLimitsOf(p, c.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

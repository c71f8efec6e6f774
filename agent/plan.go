package agent

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/podd-io/podd/agent/admit"
	"github.com/podd-io/podd/pod"
)

// planNew is for an object whose name is free, or taken by one of another uid:
// that one has to end wholly first if it is a pod, and leaves at once if not.
func (a *Agent) planNew(w Want, opts ApplyOptions, old *Entry) (plan, error) {
	r, err := a.cfg.Admitter.Admit(w.Kind, w.JSON, nil)
	if err != nil {
		return plan{}, err
	}
	obj := r.Object
	if err := a.name(w.Kind, obj); err != nil {
		return plan{}, err
	}
	given(w.Kind, obj)
	if p, ok := obj.(*corev1.Pod); ok {
		if err := a.place(p); err != nil {
			return plan{}, err
		}
		completeDeletion(p)
		p.Status = pod.NewStatus(p)
	}
	entry := &Entry{Key: KeyOf(w.Kind, obj), Source: opts.Source, Object: obj}
	applied := Applied{Object: obj, Warnings: r.Warnings, Created: true, Changed: true}
	if old == nil || w.Kind != KindPod {
		return plan{Applied: applied, entry: entry}, nil
	}
	next, err := record(entry)
	if err != nil {
		return plan{}, apierrors.NewInternalError(err)
	}
	ending := *old
	ending.Next = &next
	return plan{Applied: applied, entry: markDeleted(&ending, nil, false)}, nil
}

// name completes a name that is to be generated.
func (a *Agent) name(kind string, obj Object) error {
	for range 10 {
		if obj.GetName() != "" {
			return nil
		}
		obj.SetName(obj.GetGenerateName() + utilrand.String(5))
		if a.Snapshot().Get(KeyOf(kind, obj)) != nil {
			obj.SetName("")
		}
	}
	return apierrors.NewGenerateNameConflict(resource(kind), obj.GetGenerateName(), 1)
}

// given completes what a server gives, where a bridge has not.
func given(kind string, obj Object) {
	say(kind, obj)
	if obj.GetUID() == "" {
		obj.SetUID(newUID())
	}
	if created := obj.GetCreationTimestamp(); created.IsZero() {
		obj.SetCreationTimestamp(metav1.NewTime(time.Now().UTC().Truncate(time.Second)))
	}
	if kind == KindPod && obj.GetGeneration() == 0 {
		obj.SetGeneration(1)
	}
}

func newUID() types.UID { return types.UID(uuid.NewString()) }

// planUpdate is for an object that is there.
func (a *Agent) planUpdate(w Want, opts ApplyOptions, old *Entry, meta metav1.Object) (plan, error) {
	r, err := a.cfg.Admitter.Admit(w.Kind, w.JSON, old.Object)
	if err != nil {
		return plan{}, err
	}
	obj := r.Object
	say(w.Kind, obj)
	keepStatus(obj, old.Object)
	applied := Applied{Object: obj, Warnings: r.Warnings}
	ends := false
	if p, ok := obj.(*corev1.Pod); ok {
		ends = updateDeletion(p, old.Pod())
		if !ends && p.DeletionTimestamp != nil {
			applied.Warnings = append(applied.Warnings, fmt.Sprintf("pod %s/%s is being deleted: it will not stay", p.Namespace, p.Name))
		}
	}
	if r.Change == admit.None && !ends && old.Source == opts.Source {
		return plan{Applied: applied}, nil
	}
	if r.Change == admit.Spec && w.Kind == KindPod {
		obj.SetGeneration(max(old.Object.GetGeneration()+1, meta.GetGeneration()))
	}
	entry := *old
	entry.Object, entry.Source = obj, opts.Source
	applied.Changed = true
	return plan{Applied: applied, entry: &entry}, nil
}

// updateDeletion takes over an applied deletion if it begins one or shortens
// the one under way, and says whether it did: a deletion can't be taken back.
func updateDeletion(p, old *corev1.Pod) bool {
	under := old.DeletionTimestamp
	switch {
	case p.DeletionTimestamp != nil && under == nil:
		completeDeletion(p)
		return true
	case p.DeletionTimestamp != nil && p.DeletionTimestamp.Before(under):
		if p.DeletionGracePeriodSeconds == nil {
			left := max(0, int64(time.Until(p.DeletionTimestamp.Time).Seconds()))
			p.DeletionGracePeriodSeconds = &left
		}
		return true
	}
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = under, old.DeletionGracePeriodSeconds
	return false
}

// completeDeletion: a deletion without a grace period has the pod's own.
func completeDeletion(p *corev1.Pod) {
	if p.DeletionTimestamp != nil && p.DeletionGracePeriodSeconds == nil {
		grace := ownGrace(p)
		p.DeletionGracePeriodSeconds = &grace
	}
}

func ownGrace(p *corev1.Pod) int64 {
	if own := p.Spec.TerminationGracePeriodSeconds; own != nil {
		return *own
	}
	return corev1.DefaultTerminationGracePeriodSeconds
}

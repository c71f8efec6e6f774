package agent

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// DeleteOptions say how an object is to end.
type DeleteOptions struct {
	Source string
	// UID and ResourceVersion must be the object's, unless empty.
	UID, ResourceVersion string
	// Grace in seconds; nil is the pod's own.
	Grace *int64
	Force bool
}

// Delete stores the wish that an object end, and gives the object as it was
// then. A pod leaves when nothing of it is left; anything else leaves at once.
func (a *Agent) Delete(ctx context.Context, key store.Key, opts DeleteOptions) (Object, error) {
	var out Object
	err := a.keeper.do(ctx, func() error {
		e := a.Snapshot().Get(key)
		switch {
		case e == nil && !applyKinds[key.Kind]:
			return refuseKind(key.Kind)
		case e == nil:
			return apierrors.NewNotFound(resource(key.Kind), key.Name)
		case e.Source != opts.Source:
			return owned(key.Kind, key.Name, e.Source)
		}
		if err := checkPreconditions(key.Kind, e, opts.UID, opts.ResourceVersion); err != nil {
			return err
		}
		out = e.Object
		if key.Kind != KindPod {
			return a.drop(e)
		}
		return a.end(e, opts, &out)
	})
	return out, err
}

func (a *Agent) drop(e *Entry) error {
	if err := a.keeper.commit(nil, []store.Key{e.Key}, store.Change{}); err != nil {
		return apierrors.NewInternalError(err)
	}
	a.wakeReferrers(e.Key.Kind, e.Key.Namespace, e.Key.Name)
	return nil
}

// end begins a pod's deletion, or shortens one that is under way.
func (a *Agent) end(e *Entry, opts DeleteOptions, out *Object) error {
	if opts.Grace != nil && *opts.Grace < 0 {
		return apierrors.NewBadRequest(fmt.Sprintf("grace period %d is less than 0", *opts.Grace))
	}
	next := markDeleted(e, opts.Grace, opts.Force)
	if next == e {
		return nil
	}
	if err := a.keeper.commit([]*Entry{next}, nil, store.Change{}); err != nil {
		return apierrors.NewInternalError(err)
	}
	*out = next.Object
	a.hint(next.Object.GetUID())
	return nil
}

// markDeleted gives the entry with its deletion begun or shortened; a longer
// wish than the one under way changes nothing.
func markDeleted(e *Entry, grace *int64, force bool) *Entry {
	p := e.Pod().DeepCopy()
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if own := p.Spec.TerminationGracePeriodSeconds; own != nil {
		seconds = *own
	}
	if grace != nil {
		seconds = *grace
	}
	deadline := stamp(seconds)
	shorter := p.DeletionTimestamp == nil || deadline.Before(p.DeletionTimestamp) && grace != nil
	if !shorter && (!force || e.Force) && e.Next == nil {
		return e
	}
	if shorter {
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = deadline, &seconds
	}
	next := *e
	next.Object, next.Force = p, e.Force || force
	return &next
}

// deletionOf is the wish in the core's words; nil while the pod is wanted.
func deletionOf(e *Entry) *pod.Deletion {
	p := e.Pod()
	if p.DeletionTimestamp == nil {
		return nil
	}
	grace := time.Duration(corev1.DefaultTerminationGracePeriodSeconds) * time.Second
	if p.DeletionGracePeriodSeconds != nil {
		grace = time.Duration(*p.DeletionGracePeriodSeconds) * time.Second
	}
	return &pod.Deletion{At: p.DeletionTimestamp.Add(-grace), Grace: grace, Force: e.Force}
}

package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	// Force kills at once; Grace is 0 or nil then.
	Force bool
}

func (o DeleteOptions) check() error {
	switch {
	case o.Grace != nil && *o.Grace < 0:
		return apierrors.NewBadRequest(fmt.Sprintf("grace period %d is less than 0", *o.Grace))
	case o.Force && o.Grace != nil && *o.Grace > 0:
		return apierrors.NewBadRequest(fmt.Sprintf("force kills at once: it can't go with a grace period of %d", *o.Grace))
	}
	return nil
}

// Delete stores the wish that an object end, and gives the object as it was
// then. A pod leaves when nothing of it is left; anything else leaves at once.
func (a *Agent) Delete(ctx context.Context, key store.Key, opts DeleteOptions) (Object, error) {
	if !slices.Contains(applyKinds(), key.Kind) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("kind %q can't be deleted", key.Kind))
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	var out Object
	err := a.keeper.do(ctx, func() (err error) {
		e := a.Snapshot().Get(key)
		if e == nil {
			return apierrors.NewNotFound(resource(key.Kind), key.Name)
		}
		if e.Source != opts.Source && e.Source != sourceImplicit {
			return owned(key.Kind, key.Name, e.Source)
		}
		if err := a.checkEmpty(key); err != nil {
			return err
		}
		if err := checkPreconditions(key.Kind, e, opts.UID, opts.ResourceVersion); err != nil {
			return err
		}
		if key.Kind != KindPod {
			out = e.Object
			return a.drop(e)
		}
		out, err = a.end(e, opts)
		return err
	})
	return out, err
}

func (a *Agent) drop(e *Entry) error {
	if err := a.keeper.commit(nil, []store.Key{e.Key}, store.Change{}); err != nil {
		return err
	}
	a.wakeReferrers(e.Key.Kind, e.Key.Namespace, e.Key.Name)
	return nil
}

// end begins a pod's deletion, or shortens one that is under way. A successor
// that waits for the name is given up.
func (a *Agent) end(e *Entry, opts DeleteOptions) (Object, error) {
	alone := *e
	alone.Next = nil
	grace := opts.Grace
	if opts.Force {
		grace = new(int64)
	}
	next := markDeleted(&alone, grace, opts.Force)
	if next == &alone && e.Next == nil {
		return e.Object, nil
	}
	if next == &alone {
		next.Object = e.Pod().DeepCopy()
	}
	if err := a.keeper.commit([]*Entry{next}, nil, store.Change{}); err != nil {
		return nil, err
	}
	a.hint(next.Object.GetUID())
	a.wakeNeighbours(next.Pod())
	return next.Object, nil
}

// markDeleted gives the entry with its deletion begun or shortened, and the
// entry itself if the wish is no shorter than the one under way.
func markDeleted(e *Entry, grace *int64, force bool) *Entry {
	seconds := ownGrace(e.Pod())
	if grace != nil {
		seconds = *grace
	}
	deadline := metav1.NewTime(time.Now().Add(time.Duration(seconds) * time.Second))
	under := e.Pod().DeletionTimestamp
	shorter := under == nil || grace != nil && deadline.Before(under)
	if !shorter && (!force || e.Force) && e.Next == nil {
		return e
	}
	p := e.Pod().DeepCopy()
	if shorter {
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &deadline, &seconds
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
	seconds := ownGrace(p)
	if p.DeletionGracePeriodSeconds != nil {
		seconds = *p.DeletionGracePeriodSeconds
	}
	grace := time.Duration(seconds) * time.Second
	return &pod.Deletion{At: p.DeletionTimestamp.Add(-grace), Grace: grace, Force: e.Force}
}

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent/admit"
	"github.com/podd-io/podd/agent/store"
)

// UpdateEphemeral gives a pod the ephemeral containers that w has; they can be
// added to and never changed. It is on disk when this returns. Besides its
// owner, everybody may add some to a pod of the API and to one of a manifests
// file: they are none of what the manifest says, and a manifest that is applied
// again leaves them.
func (a *Agent) UpdateEphemeral(ctx context.Context, w Want, source string) (Applied, error) {
	key, meta, err := podIn(w)
	if err != nil {
		return Applied{}, err
	}
	var out Applied
	err = a.keeper.do(ctx, func() error {
		old := a.Snapshot().Get(key)
		if old == nil || meta.UID != "" && meta.UID != old.Object.GetUID() {
			return apierrors.NewNotFound(resource(KindPod), key.Name)
		}
		if old.Source != source && old.Source != SourceAPI && !strings.HasPrefix(old.Source, "/") {
			return owned(KindPod, key.Name, old.Source)
		}
		if err := checkPreconditions(KindPod, old, w.UID, w.ResourceVersion); err != nil {
			return err
		}
		p, err := a.planEphemeral(w, old)
		if err != nil {
			return err
		}
		out = p.Applied
		return a.carryThrough([]plan{p})
	})
	return out, err
}

// podIn is the key of the pod in w, and what it says of itself.
func podIn(w Want) (store.Key, *metav1.PartialObjectMetadata, error) {
	meta := &metav1.PartialObjectMetadata{}
	if err := json.Unmarshal(w.JSON, meta); err != nil || w.Kind != KindPod {
		return store.Key{}, nil, apierrors.NewBadRequest(fmt.Sprintf("object: not a Pod (%v)", err))
	}
	if meta.Name == "" {
		return store.Key{}, nil, apierrors.NewBadRequest("object: metadata.name is needed")
	}
	return keyFor(KindPod, meta.Namespace, meta.Name), meta, nil
}

func (a *Agent) planEphemeral(w Want, old *Entry) (plan, error) {
	r, err := a.cfg.Admitter.AdmitEphemeral(w.JSON, old.Pod())
	if err != nil {
		return plan{}, err
	}
	p := r.Object.(*corev1.Pod)
	keepStatus(p, old.Object)
	applied := Applied{Object: p, Warnings: r.Warnings}
	if r.Change == admit.None {
		return plan{Applied: applied}, nil
	}
	p.SetGeneration(old.Object.GetGeneration() + 1)
	entry := *old
	entry.Object = p
	applied.Changed = true
	return plan{Applied: applied, entry: &entry}, nil
}

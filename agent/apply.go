package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/podd-io/podd/agent/admit"
	"github.com/podd-io/podd/agent/store"
	"github.com/podd-io/podd/pod"
)

// Want is one object that is to be applied.
type Want struct {
	Kind string
	// JSON is the whole object.
	JSON []byte
	// UID and ResourceVersion must be the stored object's, unless empty.
	UID, ResourceVersion string
}

// ApplyOptions say how.
type ApplyOptions struct {
	Source     string
	DryRun     bool
	CreateOnly bool
}

// Applied is what became of one object.
type Applied struct {
	Object   Object
	Warnings []string
	Created  bool
	Changed  bool
}

// applyKinds may be applied.
var applyKinds = map[string]bool{KindPod: true, KindConfigMap: true, KindSecret: true}

// Apply checks all objects and then stores all of them, or none; they are on
// disk when it returns. Errors are *apierrors.StatusError.
func (a *Agent) Apply(ctx context.Context, wants []Want, opts ApplyOptions) ([]Applied, error) {
	var out []Applied
	err := a.keeper.do(ctx, func() error {
		plans, err := a.plan(wants, opts)
		if err != nil {
			return err
		}
		if !opts.DryRun {
			if err := a.store(plans); err != nil {
				return err
			}
		}
		for _, p := range plans {
			out = append(out, p.Applied)
		}
		return nil
	})
	return out, err
}

// plan is one checked object: what to store (nil for nothing) and to answer.
type plan struct {
	Applied
	entry *Entry
}

// plan checks everything before anything is stored.
func (a *Agent) plan(wants []Want, opts ApplyOptions) ([]plan, error) {
	for _, w := range wants {
		if !applyKinds[w.Kind] {
			return nil, refuseKind(w.Kind)
		}
	}
	seen := map[store.Key]bool{}
	plans := make([]plan, 0, len(wants))
	for _, w := range wants {
		p, err := a.planOne(w, opts)
		if err != nil {
			return nil, err
		}
		key := keyOf(w.Kind, p.Object)
		if seen[key] {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %q in namespace %q is there twice", w.Kind, key.Name, key.Namespace))
		}
		seen[key] = true
		plans = append(plans, p)
	}
	return plans, nil
}

func refuseKind(kind string) error {
	if kind == "Service" {
		return apierrors.NewBadRequest("Service is not served standalone: there is nobody who would balance it. It is an affair of podd-kube")
	}
	return apierrors.NewBadRequest(fmt.Sprintf("kind %q is not served; these are: Pod, ConfigMap, Secret", kind))
}

func keyOf(kind string, obj metav1.Object) store.Key {
	return store.Key{Kind: kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

func (a *Agent) planOne(w Want, opts ApplyOptions) (plan, error) {
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(w.JSON, &meta); err != nil {
		return plan{}, apierrors.NewBadRequest(fmt.Sprintf("%s: %v", w.Kind, err))
	}
	if meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
	}
	old := a.Snapshot().Get(keyOf(w.Kind, &meta))
	if old != nil && opts.CreateOnly {
		return plan{}, apierrors.NewAlreadyExists(resource(w.Kind), meta.Name)
	}
	if err := checkOld(w, old, meta.Name, opts.Source); err != nil {
		return plan{}, err
	}
	if old == nil || replaces(w.Kind, meta.UID, old) {
		return a.planNew(w, opts, old)
	}
	return a.planUpdate(w, old)
}

// replaces: a pod of the same name with another uid is another pod, whose
// predecessor has to end wholly first.
func replaces(kind string, uid types.UID, old *Entry) bool {
	return kind == KindPod && uid != "" && uid != old.Object.GetUID()
}

func checkOld(w Want, old *Entry, name, source string) error {
	if old == nil {
		if w.UID != "" || w.ResourceVersion != "" {
			return conflict(w.Kind, name, "it is not there, and the precondition names one")
		}
		return nil
	}
	if old.Source != source {
		return owned(w.Kind, name, old.Source)
	}
	return checkPreconditions(w.Kind, old, w.UID, w.ResourceVersion)
}

func checkPreconditions(kind string, e *Entry, uid, version string) error {
	if uid != "" && uid != string(e.Object.GetUID()) {
		return conflict(kind, e.Key.Name, fmt.Sprintf("the UID in the precondition (%s) does not match the UID in record (%s)", uid, e.Object.GetUID()))
	}
	if version != "" && version != e.Object.GetResourceVersion() {
		return conflict(kind, e.Key.Name, fmt.Sprintf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s)", version, e.Object.GetResourceVersion()))
	}
	return nil
}

func conflict(kind, name, why string) error {
	return apierrors.NewConflict(resource(kind), name, fmt.Errorf("%s", why))
}

// owned: FailedPrecondition, naming who owns the object.
func owned(kind, name, source string) error {
	err := apierrors.NewForbidden(resource(kind), name, fmt.Errorf("it comes from %s: change it there", source))
	err.ErrStatus.Reason = reasonOwned
	return err
}

func (a *Agent) planNew(w Want, opts ApplyOptions, old *Entry) (plan, error) {
	r, err := a.cfg.Admitter.Admit(w.Kind, w.JSON, nil)
	if err != nil {
		return plan{}, err
	}
	obj := r.Object
	if obj.GetName() == "" {
		obj.SetName(obj.GetGenerateName() + utilrand.String(5))
	}
	if obj.GetUID() == "" {
		obj.SetUID(newUID())
	}
	if created := obj.GetCreationTimestamp(); created.IsZero() {
		obj.SetCreationTimestamp(metav1.Now())
	}
	if p, ok := obj.(*corev1.Pod); ok {
		if err := a.place(p); err != nil {
			return plan{}, err
		}
	}
	entry := &Entry{Key: keyOf(w.Kind, obj), Source: opts.Source, Object: obj}
	applied := Applied{Object: obj, Warnings: r.Warnings, Created: true, Changed: true}
	if old == nil {
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

// place puts a new pod on this node.
func (a *Agent) place(p *corev1.Pod) error {
	node := a.nodeFacts().Name
	if p.Spec.NodeName != "" && p.Spec.NodeName != node {
		return apierrors.NewBadRequest(fmt.Sprintf("Pod %q: spec.nodeName: it is for node %q, and this one is %q", p.Name, p.Spec.NodeName, node))
	}
	p.Spec.NodeName = node
	if p.Generation == 0 {
		p.Generation = 1
	}
	return nil
}

func (a *Agent) planUpdate(w Want, old *Entry) (plan, error) {
	r, err := a.cfg.Admitter.Admit(w.Kind, w.JSON, old.Object)
	if err != nil {
		return plan{}, err
	}
	obj := r.Object
	obj.SetUID(old.Object.GetUID())
	obj.SetCreationTimestamp(old.Object.GetCreationTimestamp())
	obj.SetGeneration(old.Object.GetGeneration())
	obj.SetResourceVersion(old.Object.GetResourceVersion())
	keepStatus(obj, old.Object)
	applied := Applied{Object: obj, Warnings: r.Warnings}
	entry := *old
	entry.Object = obj
	ends := obj.GetDeletionTimestamp() != nil && old.Object.GetDeletionTimestamp() == nil
	if !ends { // a deletion under way can't be taken back
		obj.SetDeletionTimestamp(old.Object.GetDeletionTimestamp())
		obj.SetDeletionGracePeriodSeconds(old.Object.GetDeletionGracePeriodSeconds())
	}
	if r.Change == admit.None && !ends {
		return plan{Applied: applied}, nil
	}
	if r.Change == admit.Spec && w.Kind == KindPod {
		obj.SetGeneration(old.Object.GetGeneration() + 1)
	}
	applied.Changed = true
	return plan{Applied: applied, entry: &entry}, nil
}

// store persists and publishes the plans and sets the workers to it.
func (a *Agent) store(plans []plan) error {
	var entries []*Entry
	for _, p := range plans {
		if p.entry != nil {
			entries = append(entries, p.entry)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	if err := a.keeper.commit(entries, nil, store.Change{}); err != nil {
		return apierrors.NewInternalError(err)
	}
	for _, e := range entries {
		if e.Key.Kind == KindPod {
			a.employ(e, pod.Memo{}) // changes nothing if it has a worker
			a.hint(e.Object.GetUID())
		} else {
			a.wakeReferrers(e.Key.Kind, e.Key.Namespace, e.Key.Name)
		}
	}
	return nil
}

func newUID() types.UID { return types.UID(uuid.NewString()) }

func resource(kind string) schema.GroupResource {
	names := map[string]string{
		KindPod: "pods", KindConfigMap: "configmaps", KindSecret: "secrets", KindNode: "nodes", KindEvent: "events",
	}
	if name, ok := names[kind]; ok {
		return schema.GroupResource{Resource: name}
	}
	return schema.GroupResource{Resource: kind}
}

// reasonOwned is what another source's object is refused with.
const reasonOwned metav1.StatusReason = "OwnedByAnotherSource"

// stamp is when a deletion that is asked for now is to be over.
func stamp(grace int64) *metav1.Time {
	t := metav1.NewTime(time.Now().Add(time.Duration(grace) * time.Second))
	return &t
}

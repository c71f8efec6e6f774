package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/podd-io/podd/agent/store"
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
	// Source is who owns the objects.
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

// Apply checks all objects and then stores all of them, or none; they are on
// disk when it returns. Errors are *apierrors.StatusError, but for a disk that
// fails.
func (a *Agent) Apply(ctx context.Context, wants []Want, opts ApplyOptions) ([]Applied, error) {
	if err := checkApply(wants, opts); err != nil {
		return nil, err
	}
	var out []Applied
	err := a.keeper.do(ctx, func() error {
		plans, err := a.plan(wants, opts)
		if err == nil {
			err = a.checkCycles(plans)
		}
		if err != nil {
			return err
		}
		if !opts.DryRun {
			if err := a.carryThrough(plans); err != nil {
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

// checkApply refuses what no stored object could change.
func checkApply(wants []Want, opts ApplyOptions) error {
	var kinds []string
	for _, w := range wants {
		if !slices.Contains(applyKinds(), w.Kind) {
			kinds = append(kinds, w.Kind)
		}
	}
	if len(kinds) > 0 {
		slices.Sort(kinds)
		return refuseApply(slices.Compact(kinds))
	}
	if strings.ContainsFunc(opts.Source, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(opts.Source) > 1024 {
		return apierrors.NewBadRequest(fmt.Sprintf("source %q: not a short line of text", opts.Source))
	}
	return nil
}

func refuseApply(kinds []string) error {
	text := fmt.Sprintf("not served: %s; these kinds can be applied: %s", strings.Join(kinds, ", "), strings.Join(applyKinds(), ", "))
	if slices.Contains(kinds, "Service") {
		text += "; a Service takes somebody who balances it, which podd alone does not: podd-kube does"
	}
	return apierrors.NewBadRequest(text)
}

// plan is one checked object: what to store (nil for nothing) and to answer.
type plan struct {
	Applied
	entry *Entry
}

// plan checks everything before anything is stored.
func (a *Agent) plan(wants []Want, opts ApplyOptions) ([]plan, error) {
	seen, uids := map[store.Key]bool{}, map[types.UID]bool{}
	plans := make([]plan, 0, len(wants))
	for _, w := range wants {
		p, err := a.planOne(w, opts)
		if err != nil {
			return nil, err
		}
		key := KeyOf(w.Kind, p.Object)
		if seen[key] {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %q in namespace %q is there twice", w.Kind, key.Name, key.Namespace))
		}
		if uid := p.Object.GetUID(); w.Kind == KindPod && (uids[uid] || a.uidTaken(uid, key)) {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("Pod %q: metadata.uid %s is another pod's", key.Name, uid))
		}
		seen[key], uids[p.Object.GetUID()] = true, true
		plans = append(plans, p)
	}
	return plans, nil
}

// uidTaken says whether a pod of another name has the uid.
func (a *Agent) uidTaken(uid types.UID, key store.Key) bool {
	e := a.Snapshot().podOf(uid)
	return e != nil && e.Key != key
}

func (a *Agent) planOne(w Want, opts ApplyOptions) (plan, error) {
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(w.JSON, &meta); err != nil {
		return plan{}, apierrors.NewBadRequest(fmt.Sprintf("%s: %v", w.Kind, err))
	}
	if servedKind(w.Kind).cluster && meta.Namespace != "" {
		return plan{}, apierrors.NewBadRequest(fmt.Sprintf("%s %q: metadata.namespace: a %s has none", w.Kind, meta.Name, w.Kind))
	}
	meta.Namespace = KeyOf(w.Kind, &meta).Namespace
	if errs := validation.IsDNS1123Label(meta.Namespace); meta.Namespace != "" && len(errs) > 0 { // it becomes part of keys
		return plan{}, apierrors.NewBadRequest(fmt.Sprintf("%s %q: metadata.namespace %q: %s", w.Kind, meta.Name, meta.Namespace, errs[0]))
	}
	old := a.Snapshot().Get(KeyOf(w.Kind, &meta))
	if old != nil && opts.CreateOnly {
		return plan{}, apierrors.NewAlreadyExists(resource(w.Kind), meta.Name)
	}
	if err := checkOld(w, old, meta.Name, opts.Source); err != nil {
		return plan{}, err
	}
	if old == nil || meta.UID != "" && meta.UID != old.Object.GetUID() {
		return a.planNew(w, opts, old)
	}
	return a.planUpdate(w, opts, old, &meta)
}

func checkOld(w Want, old *Entry, name, source string) error {
	if old == nil {
		if w.UID != "" || w.ResourceVersion != "" {
			return conflict(w.Kind, name, "it is not there, and the precondition names one")
		}
		return nil
	}
	if old.Source != source && old.Source != sourceImplicit {
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

// carryThrough persists and publishes the plans and sets the workers to it.
func (a *Agent) carryThrough(plans []plan) error {
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
		return err
	}
	for _, e := range entries {
		if e.Key.Kind == KindPod {
			a.employ(e, remembered{}) // changes nothing if it has a worker
			a.hint(e.Object.GetUID())
			a.wakeNeighbours(e.Pod())
		} else {
			a.wakeReferrers(e.Key.Kind, e.Key.Namespace, e.Key.Name)
		}
	}
	return nil
}

// place puts a new pod on this node.
func (a *Agent) place(p *corev1.Pod) error {
	node := a.cfg.Facts().Name
	if p.Spec.NodeName != "" && p.Spec.NodeName != node {
		return apierrors.NewBadRequest(fmt.Sprintf("Pod %q: spec.nodeName: it is for node %q, and this one is %q", p.Name, p.Spec.NodeName, node))
	}
	p.Spec.NodeName = node
	return nil
}

func conflict(kind, name, why string) error {
	return apierrors.NewConflict(resource(kind), name, errors.New(why))
}

// reasonOwned is what another source's object is refused with.
const reasonOwned metav1.StatusReason = "OwnedByAnotherSource"

// owned: FailedPrecondition, naming who owns the object.
func owned(kind, name, source string) error {
	err := apierrors.NewForbidden(resource(kind), name, fmt.Errorf("it comes from %s: change it there", source))
	err.ErrStatus.Reason = reasonOwned
	return err
}

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// objects serves podd.v1.Objects.
type objects struct {
	poddv1.UnimplementedObjectsServer
	a *Agent
}

// wire is an object as it travels.
func wire(kind string, obj Object) (*poddv1.Object, error) {
	obj = obj.DeepCopyObject().(Object)
	obj.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	raw, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", kind, obj.GetName(), err)
	}
	return &poddv1.Object{ApiVersion: "v1", Kind: kind, Json: raw}, nil
}

func (o *objects) Apply(ctx context.Context, req *poddv1.ApplyRequest) (*poddv1.ApplyResponse, error) {
	wants := make([]Want, 0, len(req.Objects))
	for i, obj := range req.Objects {
		w := Want{Kind: obj.Kind, JSON: obj.Json}
		if i < len(req.Preconditions) {
			w.UID, w.ResourceVersion = req.Preconditions[i].GetUid(), req.Preconditions[i].GetResourceVersion()
		}
		wants = append(wants, w)
	}
	done, err := o.a.Apply(ctx, wants, ApplyOptions{Source: source(req.Source), DryRun: req.DryRun, CreateOnly: req.CreateOnly})
	if err != nil {
		return nil, err
	}
	resp := &poddv1.ApplyResponse{}
	for i, d := range done {
		obj, err := wire(wants[i].Kind, d.Object)
		if err != nil {
			return nil, err
		}
		resp.Results = append(resp.Results, &poddv1.ApplyResult{Change: changeOf(d), Object: obj, Warnings: d.Warnings})
	}
	return resp, nil
}

func source(s string) string {
	if s == "" {
		return SourceAPI
	}
	return s
}

func changeOf(d Applied) poddv1.ApplyResult_Change {
	switch {
	case d.Created:
		return poddv1.ApplyResult_CHANGE_CREATED
	case d.Changed:
		return poddv1.ApplyResult_CHANGE_CONFIGURED
	}
	return poddv1.ApplyResult_CHANGE_UNCHANGED
}

func refKey(ref *poddv1.ObjectRef) (store.Key, error) {
	if ref.GetKind() == "" || ref.GetName() == "" {
		return store.Key{}, apierrors.NewBadRequest("ref: kind and name are needed")
	}
	key := store.Key{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}
	if key.Namespace == "" {
		key.Namespace = metav1.NamespaceDefault
	}
	return key, nil
}

func (o *objects) Delete(ctx context.Context, req *poddv1.DeleteRequest) (*poddv1.DeleteResponse, error) {
	key, err := refKey(req.Ref)
	if err != nil {
		return nil, err
	}
	obj, err := o.a.Delete(ctx, key, DeleteOptions{
		Source: source(req.Source), UID: req.Preconditions.GetUid(), ResourceVersion: req.Preconditions.GetResourceVersion(),
		Grace: req.GracePeriodSeconds, Force: req.Force,
	})
	if err != nil {
		return nil, err
	}
	w, err := wire(key.Kind, obj)
	return &poddv1.DeleteResponse{Object: w}, err
}

func (o *objects) Get(ctx context.Context, req *poddv1.GetRequest) (*poddv1.GetResponse, error) {
	key, err := refKey(req.Ref)
	if err != nil {
		return nil, err
	}
	entry, err := o.find(ctx, key)
	if err != nil {
		return nil, err
	}
	w, err := wire(key.Kind, entry.Object)
	return &poddv1.GetResponse{Object: w}, err
}

func (o *objects) find(ctx context.Context, key store.Key) (*Entry, error) {
	entries, _, err := o.list(ctx, key.Kind)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Key.Name == key.Name && (key.Kind == KindNode || e.Key.Namespace == key.Namespace) {
			return e, nil
		}
	}
	return nil, apierrors.NewNotFound(resource(key.Kind), key.Name)
}

// list gives the objects of a kind; the node is made on the spot.
func (o *objects) list(ctx context.Context, kind string) ([]*Entry, uint64, error) {
	snap := o.a.Snapshot()
	switch kind {
	case KindPod, KindConfigMap, KindSecret:
		return snap.List(kind), snap.Revision, nil
	case KindEvent:
		return byTime(snap.List(kind)), snap.Revision, nil
	case KindNode:
		n, err := o.a.cfg.Host.Node(ctx)
		if err != nil {
			return nil, 0, fmt.Errorf("look at the node: %w", err)
		}
		return []*Entry{{Key: store.Key{Kind: KindNode, Name: n.Name}, Source: SourceAPI, Object: n}}, snap.Revision, nil
	}
	return nil, 0, refuseKind(kind)
}

// byTime orders events as they happened.
func byTime(events []*Entry) []*Entry {
	slices.SortStableFunc(events, func(a, b *Entry) int {
		return a.Object.(*corev1.Event).LastTimestamp.Compare(b.Object.(*corev1.Event).LastTimestamp.Time)
	})
	return events
}

func (o *objects) List(ctx context.Context, req *poddv1.ListRequest) (*poddv1.ListResponse, error) {
	match, err := matcher([]string{req.Kind}, req.Namespace, req.LabelSelector, req.FieldSelector)
	if err != nil {
		return nil, err
	}
	entries, revision, err := o.list(ctx, req.Kind)
	if err != nil {
		return nil, err
	}
	resp := &poddv1.ListResponse{Revision: revision}
	for _, e := range entries {
		if !match(e) {
			continue
		}
		w, err := wire(req.Kind, e.Object)
		if err != nil {
			return nil, err
		}
		resp.Objects = append(resp.Objects, w)
	}
	return resp, nil
}

// matcher is what the selectors of List and Watch come to.
func matcher(kinds []string, namespace, labelSelector, fieldSelector string) (func(*Entry) bool, error) {
	byLabel, err := labels.Parse(labelSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("label selector: %v", err))
	}
	byField, err := fields.ParseSelector(fieldSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("field selector: %v", err))
	}
	wanted := map[string]bool{}
	for _, k := range kinds {
		wanted[k] = true
	}
	for _, r := range byField.Requirements() {
		if !knownField(r.Field) {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("field selector: %q is not known; these are: metadata.name, metadata.namespace, status.phase, spec.nodeName, involvedObject.{kind,name,namespace,uid}, reason, type", r.Field))
		}
	}
	return func(e *Entry) bool {
		return (len(wanted) == 0 || wanted[e.Key.Kind]) &&
			(namespace == "" || e.Key.Namespace == "" || e.Key.Namespace == namespace) &&
			byLabel.Matches(labels.Set(e.Object.GetLabels())) &&
			(byField.Empty() || byField.Matches(fieldsOf(e)))
	}, nil
}

func knownField(name string) bool {
	_, ok := fieldsOf(&Entry{Object: &corev1.Pod{}})[name]
	_, ev := fieldsOf(&Entry{Object: &corev1.Event{}})[name]
	return ok || ev
}

func fieldsOf(e *Entry) fields.Set {
	set := fields.Set{"metadata.name": e.Key.Name, "metadata.namespace": e.Key.Namespace}
	switch obj := e.Object.(type) {
	case *corev1.Pod:
		set["status.phase"] = string(obj.Status.Phase)
		set["spec.nodeName"] = obj.Spec.NodeName
	case *corev1.Event:
		set["involvedObject.kind"] = obj.InvolvedObject.Kind
		set["involvedObject.name"] = obj.InvolvedObject.Name
		set["involvedObject.namespace"] = obj.InvolvedObject.Namespace
		set["involvedObject.uid"] = string(obj.InvolvedObject.UID)
		set["reason"], set["type"] = obj.Reason, obj.Type
	}
	return set
}

// UpdateStatus merges conditions that podd does not own.
func (o *objects) UpdateStatus(_ context.Context, req *poddv1.UpdateStatusRequest) (*poddv1.UpdateStatusResponse, error) {
	var p corev1.Pod
	if err := json.Unmarshal(req.GetObject().GetJson(), &p); err != nil || req.Object.Kind != KindPod {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("object: not a Pod (%v)", err))
	}
	key, err := refKey(&poddv1.ObjectRef{Kind: KindPod, Namespace: p.Namespace, Name: p.Name})
	if err != nil {
		return nil, err
	}
	e := o.a.Snapshot().Get(key)
	if e == nil {
		return nil, apierrors.NewNotFound(resource(KindPod), key.Name)
	}
	if err := checkPreconditions(KindPod, e, req.Preconditions.GetUid(), req.Preconditions.GetResourceVersion()); err != nil {
		return nil, err
	}
	for _, c := range p.Status.Conditions {
		o.a.condition(e.Object.GetUID(), c)
	}
	w, err := wire(KindPod, e.Object)
	return &poddv1.UpdateStatusResponse{Object: w}, err
}

func (o *objects) UpdateEphemeralContainers(context.Context, *poddv1.UpdateEphemeralContainersRequest) (*poddv1.UpdateEphemeralContainersResponse, error) {
	return nil, status.Error(codes.Unimplemented, "ephemeral containers are not supported yet")
}

func (o *objects) Resize(context.Context, *poddv1.ResizeRequest) (*poddv1.ResizeResponse, error) {
	return nil, status.Error(codes.Unimplemented, "resizing a pod in place is not supported yet")
}

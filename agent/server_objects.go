package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// objects serves podd.v1.Objects.
type objects struct {
	poddv1.UnimplementedObjectsServer
	a *Agent
	// encoded is what watches share.
	encoded *encodings
}

// The bounds on one Apply. An object may be as large as a Kubernetes API server
// lets it be.
const (
	maxObjects = 2000
	maxObject  = 3 << 20
)

// wire is an object as it travels.
func wire(obj Object) (*poddv1.Object, error) {
	raw, err := json.Marshal(obj)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", obj.GetName(), err)
	}
	version, kind := obj.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
	return &poddv1.Object{ApiVersion: version, Kind: kind, Json: raw}, nil
}

func (o *objects) Apply(ctx context.Context, req *poddv1.ApplyRequest) (*poddv1.ApplyResponse, error) {
	if err := checkSize(req.Objects); err != nil {
		return nil, err
	}
	wants := make([]Want, 0, len(req.Objects))
	for i, obj := range req.Objects {
		w := Want{Kind: obj.Kind, JSON: obj.Json}
		if i < len(req.Preconditions) {
			w.UID, w.ResourceVersion = req.Preconditions[i].GetUid(), req.Preconditions[i].GetResourceVersion()
		}
		wants = append(wants, w)
	}
	from, err := source(req.Source)
	if err != nil {
		return nil, err
	}
	done, err := o.a.Apply(ctx, wants, ApplyOptions{Source: from, DryRun: req.DryRun, CreateOnly: req.CreateOnly})
	if err != nil {
		return nil, err
	}
	resp := &poddv1.ApplyResponse{}
	for _, d := range done {
		obj, err := wire(d.Object)
		if err != nil {
			return nil, err
		}
		resp.Results = append(resp.Results, &poddv1.ApplyResult{Change: changeOf(d), Object: obj, Warnings: d.Warnings})
	}
	return resp, nil
}

// checkSize refuses what would keep everybody else waiting for long, and JSON
// that a decoder would alter in silence.
func checkSize(objs []*poddv1.Object) error {
	if len(objs) > maxObjects {
		return tooLarge("%d objects are more than the %d that one Apply takes: apply them in several sets", len(objs), maxObjects)
	}
	for i, obj := range objs {
		if len(obj.Json) > maxObject {
			return tooLarge("objects[%d], a %s of %d bytes, is larger than the limit of %d MiB", i, obj.Kind, len(obj.Json), maxObject>>20)
		}
		if !utf8.Valid(obj.Json) {
			return apierrors.NewBadRequest(fmt.Sprintf("objects[%d], a %s: its JSON is not UTF-8", i, obj.Kind))
		}
	}
	return nil
}

func tooLarge(format string, args ...any) error {
	return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(format, args...))
}

// source is who a caller says it is. Files' names are not for callers.
func source(s string) (string, error) {
	if strings.HasPrefix(s, "/") {
		return "", apierrors.NewBadRequest(fmt.Sprintf("source %q: sources that begin with / are files of the manifests directory", s))
	}
	return cmp.Or(s, SourceAPI), nil
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
	return keyFor(ref.Kind, ref.Namespace, ref.Name), nil
}

func (o *objects) Delete(ctx context.Context, req *poddv1.DeleteRequest) (*poddv1.DeleteResponse, error) {
	key, err := refKey(req.Ref)
	if err != nil {
		return nil, err
	}
	from, err := source(req.Source)
	if err != nil {
		return nil, err
	}
	obj, err := o.a.Delete(ctx, key, DeleteOptions{
		Source: from, UID: req.Preconditions.GetUid(), ResourceVersion: req.Preconditions.GetResourceVersion(),
		Grace: req.GracePeriodSeconds, Force: req.Force,
	})
	if err != nil {
		return nil, err
	}
	w, err := wire(obj)
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
	w, err := wire(entry.Object)
	return &poddv1.GetResponse{Object: w}, err
}

func (o *objects) find(ctx context.Context, key store.Key) (*Entry, error) {
	if err := checkRead(key.Kind); err != nil {
		return nil, err
	}
	if key.Kind == KindNode {
		key.Namespace = ""
		if n, err := o.a.node(ctx); err != nil || n.Key == key {
			return n, err
		}
	}
	if e := o.a.Snapshot().Get(key); e != nil {
		return e, nil
	}
	return nil, apierrors.NewNotFound(resource(key.Kind), key.Name)
}

func checkRead(kinds ...string) error {
	for _, kind := range kinds {
		if !slices.Contains(readKinds(), kind) {
			return apierrors.NewBadRequest(fmt.Sprintf("kind %q is not served; these are: %s", kind, strings.Join(readKinds(), ", ")))
		}
	}
	return nil
}

// list gives the objects of a kind. The node is looked at anew.
func (o *objects) list(ctx context.Context, kind string) ([]*Entry, uint64, error) {
	if kind == KindNode {
		n, err := o.a.node(ctx)
		return []*Entry{n}, o.a.Snapshot().Revision, err
	}
	snap := o.a.Snapshot()
	entries := snap.List(kind)
	if kind == KindEvent {
		entries = byTime(entries)
	}
	return entries, snap.Revision, nil
}

// byTime orders events as they happened.
func byTime(events []*Entry) []*Entry {
	slices.SortStableFunc(events, func(a, b *Entry) int {
		return a.Object.(*corev1.Event).LastTimestamp.Compare(b.Object.(*corev1.Event).LastTimestamp.Time)
	})
	return events
}

func (o *objects) List(ctx context.Context, req *poddv1.ListRequest) (*poddv1.ListResponse, error) {
	if err := checkRead(req.Kind); err != nil {
		return nil, err
	}
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
		w, err := wire(e.Object)
		if err != nil {
			return nil, err
		}
		resp.Objects = append(resp.Objects, w)
	}
	if size := proto.Size(resp); size > maxMessage {
		return nil, tooLarge("the list has %d MiB, and a message at most %d: use selectors, or Watch, which sends one object after the other", size>>20, maxMessage>>20)
	}
	return resp, nil
}

// UpdateStatus merges conditions that podd does not own. They are on disk when
// it answers.
func (o *objects) UpdateStatus(ctx context.Context, req *poddv1.UpdateStatusRequest) (*poddv1.UpdateStatusResponse, error) {
	var p corev1.Pod
	if err := json.Unmarshal(req.GetObject().GetJson(), &p); err != nil || req.GetObject().GetKind() != KindPod {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("object: not a Pod (%v)", err))
	}
	key, err := refKey(&poddv1.ObjectRef{Kind: KindPod, Namespace: p.Namespace, Name: p.Name})
	if err != nil {
		return nil, err
	}
	e := o.a.Snapshot().Get(key)
	if e == nil || p.UID != "" && p.UID != e.Object.GetUID() {
		return nil, apierrors.NewNotFound(resource(KindPod), key.Name)
	}
	if err := checkPreconditions(KindPod, e, req.Preconditions.GetUid(), req.Preconditions.GetResourceVersion()); err != nil {
		return nil, err
	}
	if err := o.a.conditions(ctx, e.Object.GetUID(), p.Status.Conditions); err != nil {
		return nil, err
	}
	if now := o.a.Snapshot().Get(key); now != nil {
		e = now
	}
	w, err := wire(e.Object)
	return &poddv1.UpdateStatusResponse{Object: w}, err
}

func (o *objects) Resize(context.Context, *poddv1.ResizeRequest) (*poddv1.ResizeResponse, error) {
	return nil, status.Error(codes.Unimplemented, "resizing a pod in place is not supported yet: delete the pod and apply it with its new resources")
}

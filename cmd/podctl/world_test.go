package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// world is a small podd: objects that can be applied, deleted, read and
// watched, logs and images, and a shell that knows a few commands.
type world struct {
	mu       sync.Mutex
	objects  []*unstructured.Unstructured
	history  []step
	news     chan struct{} // closed at each step
	revision int

	// lingers keeps a deleted pod for so long; less than 0 for ever.
	lingers time.Duration
	// broken is what every call fails with; refuses is for Apply alone.
	broken, refuses error
	// ended is closed when podd goes away.
	ended chan struct{}
	// starts lets containers that are new run a second later.
	starts bool
	// conflicts are so many updates of ephemeral containers that come too late.
	conflicts int
	warnings  map[string][]string // by name
	logs      map[string]string   // by container
	images    []*poddv1.Image
	asked     []string // the requests whose fields matter, as text
}

// step is one change of the world.
type step struct {
	kind   poddv1.WatchResponse_Type
	object *unstructured.Unstructured
}

func newWorld() *world {
	return &world{news: make(chan struct{}), ended: make(chan struct{}), warnings: map[string][]string{}}
}

func (w *world) record(kind poddv1.WatchResponse_Type, object *unstructured.Unstructured) {
	w.revision++
	w.history = append(w.history, step{kind, object.DeepCopy()})
	close(w.news)
	w.news = make(chan struct{})
}

// put stores an object as it is.
func (w *world) put(object *unstructured.Unstructured) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := w.index(object.GetKind(), object.GetNamespace(), object.GetName()); i >= 0 {
		w.objects[i] = object
		w.record(poddv1.WatchResponse_TYPE_MODIFIED, object)
		return
	}
	w.objects = append(w.objects, object)
	w.record(poddv1.WatchResponse_TYPE_ADDED, object)
}

// remove ends an object.
func (w *world) remove(kind, namespace, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := w.index(kind, namespace, name); i >= 0 {
		object := w.objects[i]
		w.objects = slices.Delete(w.objects, i, i+1)
		w.record(poddv1.WatchResponse_TYPE_DELETED, object)
	}
}

// change changes a stored object.
func (w *world) change(kind, name string, do func(object map[string]any)) {
	w.mu.Lock()
	object := w.objects[w.index(kind, "default", name)].DeepCopy()
	w.mu.Unlock()
	do(object.Object)
	w.put(object)
}

func (w *world) index(kind, namespace, name string) int {
	return slices.IndexFunc(w.objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name
	})
}

func (w *world) has(object *unstructured.Unstructured) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.index(object.GetKind(), object.GetNamespace(), object.GetName()) >= 0
}

func (w *world) find(r *poddv1.ObjectRef) (*unstructured.Unstructured, error) {
	namespace := r.GetNamespace()
	if namespace == "" && r.GetKind() != "Node" {
		namespace = "default"
	}
	i := w.index(r.GetKind(), namespace, r.GetName())
	if i < 0 {
		return nil, refusal(codes.NotFound, apierrors.NewNotFound(schema.GroupResource{Resource: kindNamed(r.GetKind()).plural}, r.GetName()).Status())
	}
	return w.objects[i], nil
}

// refusal is an error with its metav1.Status, as podd sends it.
func refusal(code codes.Code, s metav1.Status) error {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	st, err := status.New(code, s.Message).WithDetails(&poddv1.Status{Json: text})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func matches(o *unstructured.Unstructured, kinds []string, namespace, labelText, fieldText string) bool {
	byLabel, err := labels.Parse(labelText)
	if err != nil {
		panic(err)
	}
	byField, err := fields.ParseSelector(fieldText)
	if err != nil {
		panic(err)
	}
	field := func(path ...string) string {
		text, _, _ := unstructured.NestedString(o.Object, path...)
		return text
	}
	return slices.Contains(kinds, o.GetKind()) && (namespace == "" || o.GetNamespace() == namespace) &&
		byLabel.Matches(labels.Set(o.GetLabels())) &&
		byField.Matches(fields.Set{
			"metadata.name": o.GetName(), "status.phase": field("status", "phase"),
			"involvedObject.kind": field("involvedObject", "kind"), "involvedObject.name": field("involvedObject", "name"),
			"involvedObject.namespace": field("involvedObject", "namespace"), "involvedObject.uid": field("involvedObject", "uid"),
			"type": field("type"), "reason": field("reason"),
		})
}

// fakeObjects serves podd.v1.Objects from a world.
type fakeObjects struct {
	poddv1.UnimplementedObjectsServer
	*world
}

func (f fakeObjects) Apply(_ context.Context, req *poddv1.ApplyRequest) (*poddv1.ApplyResponse, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	if f.refuses != nil {
		return nil, f.refuses
	}
	resp := &poddv1.ApplyResponse{}
	for i, o := range req.GetObjects() {
		object, err := decode(o)
		if err != nil {
			return nil, err
		}
		if object.GetNamespace() == "" {
			object.SetNamespace("default")
		}
		if req.GetCreateOnly() && f.has(object) {
			resource := schema.GroupResource{Resource: kindNamed(object.GetKind()).plural}
			return nil, refusal(codes.AlreadyExists, apierrors.NewAlreadyExists(resource, object.GetName()).Status())
		}
		change := f.apply(object, i, req.GetDryRun())
		encoded, err := encode(object)
		if err != nil {
			return nil, err
		}
		resp.Results = append(resp.Results, &poddv1.ApplyResult{Change: change, Object: encoded, Warnings: f.warnings[object.GetName()]})
	}
	return resp, nil
}

func (f fakeObjects) apply(object *unstructured.Unstructured, i int, dryRun bool) poddv1.ApplyResult_Change {
	f.mu.Lock()
	at := f.index(object.GetKind(), object.GetNamespace(), object.GetName())
	f.mu.Unlock()
	change := poddv1.ApplyResult_CHANGE_CREATED
	object.SetUID(types.UID(fmt.Sprintf("uid-%d-%d", f.revision, i)))
	object.SetGeneration(1)
	if at >= 0 {
		old := f.objects[at]
		object.SetUID(old.GetUID())
		change = poddv1.ApplyResult_CHANGE_CONFIGURED
		if object.GetAnnotations()["same"] != "" {
			change = poddv1.ApplyResult_CHANGE_UNCHANGED
		}
		object.SetGeneration(old.GetGeneration() + 1)
		object.Object["status"] = old.Object["status"]
	}
	if !dryRun {
		f.put(object.DeepCopy())
		f.startSoon(object)
	}
	return change
}

func (f fakeObjects) Delete(_ context.Context, req *poddv1.DeleteRequest) (*poddv1.DeleteResponse, error) {
	f.mu.Lock()
	object, err := f.find(req.GetRef())
	grace := "its own"
	if req.GracePeriodSeconds != nil {
		grace = strconv.FormatInt(req.GetGracePeriodSeconds(), 10)
	}
	f.asked = append(f.asked, fmt.Sprintf("delete %s grace %s force %t", req.GetRef().GetName(), grace, req.GetForce()))
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	encoded, err := encode(object)
	if err != nil {
		return nil, err
	}
	end := func() { f.remove(object.GetKind(), object.GetNamespace(), object.GetName()) }
	switch {
	case object.GetKind() != "Pod":
		end()
	case f.lingers >= 0:
		time.AfterFunc(f.lingers, end)
	}
	return &poddv1.DeleteResponse{Object: encoded}, nil
}

func (f fakeObjects) Get(_ context.Context, req *poddv1.GetRequest) (*poddv1.GetResponse, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	object, err := f.find(req.GetRef())
	if err != nil {
		return nil, err
	}
	encoded, err := encode(object)
	return &poddv1.GetResponse{Object: encoded}, err
}

func (f fakeObjects) List(_ context.Context, req *poddv1.ListRequest) (*poddv1.ListResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := &poddv1.ListResponse{}
	for _, object := range f.objects {
		if matches(object, []string{req.GetKind()}, req.GetNamespace(), req.GetLabelSelector(), req.GetFieldSelector()) {
			encoded, err := encode(object)
			if err != nil {
				return nil, err
			}
			resp.Objects = append(resp.Objects, encoded)
		}
	}
	return resp, nil
}

func (f fakeObjects) Watch(req *poddv1.WatchRequest, stream poddv1.Objects_WatchServer) error {
	f.mu.Lock()
	initial, seen := slices.Clone(f.objects), len(f.history)
	f.mu.Unlock()
	resumed := req.FromRevision != nil
	if resumed {
		initial, seen = nil, int(req.GetFromRevision())
	}
	send := func(kind poddv1.WatchResponse_Type, object *unstructured.Unstructured, revision int) error {
		if !matches(object, req.GetKinds(), req.GetNamespace(), req.GetLabelSelector(), req.GetFieldSelector()) {
			return nil
		}
		encoded, err := encode(object)
		if err != nil {
			return err
		}
		return stream.Send(&poddv1.WatchResponse{Type: kind, Object: encoded, Revision: uint64(revision)})
	}
	for _, object := range initial {
		if err := send(poddv1.WatchResponse_TYPE_ADDED, object, seen); err != nil {
			return err
		}
	}
	if !resumed {
		if err := stream.Send(&poddv1.WatchResponse{Type: poddv1.WatchResponse_TYPE_SYNCED, Revision: uint64(seen)}); err != nil {
			return err
		}
	}
	for {
		f.mu.Lock()
		steps, news := slices.Clone(f.history[seen:]), f.news
		f.mu.Unlock()
		for _, s := range steps {
			seen++
			if err := send(s.kind, s.object, seen); err != nil {
				return err
			}
		}
		select {
		case <-news:
		case <-f.ended:
			return status.Error(codes.Unavailable, "podd is stopping")
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

// fakeStreams serves podd.v1.Streams.
type fakeStreams struct {
	poddv1.UnimplementedStreamsServer
	*world
}

func (f fakeStreams) Logs(req *poddv1.LogsRequest, stream poddv1.Streams_LogsServer) error {
	asked := fmt.Sprintf("logs %s/%s follow %t previous %t timestamps %t", req.GetPod().GetName(), req.GetContainer(), req.GetFollow(), req.GetPrevious(), req.GetTimestamps())
	if req.Tail != nil {
		asked += fmt.Sprintf(" tail %d", req.GetTail())
	}
	if req.LimitBytes != nil {
		asked += fmt.Sprintf(" limit %d", req.GetLimitBytes())
	}
	if req.GetSinceTime() != nil {
		asked += " since " + req.GetSinceTime().AsTime().Format(time.RFC3339)
	}
	f.mu.Lock()
	f.asked = append(f.asked, asked)
	text, found := f.logs[req.GetContainer()]
	f.mu.Unlock()
	if !found {
		return refusal(codes.InvalidArgument, apierrors.NewBadRequest(fmt.Sprintf(
			"container %q in pod %q is waiting to start: ContainerCreating", req.GetContainer(), req.GetPod().GetName())).Status())
	}
	if req.GetTimestamps() {
		stamped := ""
		for line := range strings.Lines(text) {
			stamped += "1999-12-31T23:59:59Z " + line
		}
		text = stamped
	}
	// In pieces that don't end with lines; when followed, at times of each
	// container's own.
	for piece := range slices.Chunk([]byte(text), 8) {
		if req.GetFollow() {
			time.Sleep(time.Second + time.Duration(len(req.GetContainer()))*time.Millisecond)
		}
		if err := stream.Send(&poddv1.LogsResponse{Data: piece}); err != nil {
			return err
		}
	}
	return nil
}

// Exec knows cat, both, exit N and nothing else.
func (f fakeStreams) Exec(stream poddv1.Streams_ExecServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	f.mu.Lock()
	f.asked = append(f.asked, fmt.Sprintf("exec %s/%s stdin %t %q", start.GetPod().GetName(), start.GetContainer(), start.GetStdin(), start.GetCommand()))
	f.mu.Unlock()
	send := func(output *poddv1.Output) { _ = stream.Send(&poddv1.ExecResponse{Output: output}) }
	exit := &poddv1.Exit{}
	switch start.GetCommand()[0] {
	case "cat":
		for {
			req, err := stream.Recv()
			if errors.Is(err, io.EOF) || req.GetInput().GetStdinEof() {
				break
			}
			if err != nil {
				return err
			}
			send(&poddv1.Output{Kind: &poddv1.Output_Stdout{Stdout: req.GetInput().GetStdin()}})
		}
	case "both":
		send(&poddv1.Output{Kind: &poddv1.Output_Stdout{Stdout: []byte("to stdout\n")}})
		send(&poddv1.Output{Kind: &poddv1.Output_Stderr{Stderr: []byte("to stderr\n")}})
	case "exit":
		code, _ := strconv.Atoi(start.GetCommand()[1])
		exit.Code = int32(code)
		exit.Status = []byte(`{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated with non-zero exit code"}`)
	default:
		exit.Code = 126
		exit.Status = []byte(`{"status":"Failure","reason":"InternalError","message":"exec: no such file"}`)
	}
	send(&poddv1.Output{Kind: &poddv1.Output_Exit{Exit: exit}})
	return nil
}

// fakeImages serves podd.v1.Images.
type fakeImages struct {
	poddv1.UnimplementedImagesServer
	*world
}

func (f fakeImages) List(context.Context, *poddv1.ImagesListRequest) (*poddv1.ImagesListResponse, error) {
	return &poddv1.ImagesListResponse{Images: f.images}, nil
}

func (f fakeImages) Import(stream poddv1.Images_ImportServer) error {
	size, name := 0, ""
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		size += len(req.GetData())
		name += req.GetName()
		if string(req.GetData()) == "broken" {
			return refusal(codes.InvalidArgument, apierrors.NewBadRequest("import: not an archive").Status())
		}
	}
	return stream.SendAndClose(&poddv1.ImportResponse{Images: []*poddv1.Image{{Id: "sha256:1", Names: []string{fmt.Sprintf("%s-of-%d-bytes:latest", name, size)}}}})
}

func (f fakeImages) Pull(req *poddv1.PullRequest, stream poddv1.Images_PullServer) error {
	for _, progress := range []*poddv1.PullResponse{
		{}, {BytesDone: 10 << 20, BytesTotal: 40 << 20}, {BytesDone: 11 << 20, BytesTotal: 40 << 20}, {BytesDone: 40 << 20, BytesTotal: 40 << 20},
		{Image: &poddv1.Image{Id: "sha256:2", Names: []string{"docker.io/library/" + req.GetName()}}},
	} {
		if err := stream.Send(progress); err != nil {
			return err
		}
	}
	return nil
}

func (f fakeImages) Remove(_ context.Context, req *poddv1.RemoveRequest) (*poddv1.RemoveResponse, error) {
	for _, image := range f.images {
		if slices.Contains(image.GetNames(), req.GetName()) {
			return &poddv1.RemoveResponse{Names: image.GetNames()}, nil
		}
	}
	return nil, refusal(codes.NotFound, metav1.Status{
		Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: fmt.Sprintf("images %q not found", req.GetName()),
	})
}

// fakeNode serves podd.v1.Node.
type fakeNode struct {
	poddv1.UnimplementedNodeServer
	*world
}

func (f fakeNode) Version(context.Context, *poddv1.VersionRequest) (*poddv1.VersionResponse, error) {
	if f.broken != nil {
		return nil, f.broken
	}
	return &poddv1.VersionResponse{
		Version: "v0.1.0", Commit: "abc", ContainerdVersion: "v2.4.2", RuntimeVersion: "1.5.2",
		KernelVersion: "6.18.0", CgroupVersion: "v2", KubernetesVersion: "v1.37.2",
	}, nil
}

// Stats has the pods web and db, and others that nobody sees.
func (f fakeNode) Stats(_ context.Context, req *poddv1.StatsRequest) (*poddv1.StatsResponse, error) {
	if !req.GetOnlyCpuAndMemory() {
		return nil, status.Error(codes.InvalidArgument, "more than is needed")
	}
	text, err := os.ReadFile("testdata/summary.json")
	return &poddv1.StatsResponse{Json: text}, err
}

func resourceOf(plural string) schema.GroupResource { return schema.GroupResource{Resource: plural} }

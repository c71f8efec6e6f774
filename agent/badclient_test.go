package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// rawCodec sends bytes as they are, whatever they should be.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// call sends one message of any content to any method, and gives the first
// answer's error; nil for an answer.
func (r *rig) call(method string, message []byte) error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	stream, err := r.life.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		return err
	}
	if err := stream.SendMsg(message); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// methods are all of podd's own, with what they look like.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		poddv1.File_podd_v1_objects_proto, poddv1.File_podd_v1_streams_proto, poddv1.File_podd_v1_images_proto,
		poddv1.File_podd_v1_node_proto, poddv1.File_podd_v1_providers_proto,
	} {
		for i := range file.Services().Len() {
			list := file.Services().Get(i).Methods()
			for j := range list.Len() {
				all = append(all, list.Get(j))
			}
		}
	}
	return all
}

func fullName(m protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
}

func TestEveryMethodSaysWhatIsWrongWithARequest(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		all := methods()
		if len(all) < 20 {
			t.Fatalf("%d methods", len(all))
		}
		for _, m := range all {
			// gRPC itself answers what can't be decoded.
			if code := status.Code(r.call(fullName(m), []byte{0xff, 0xff, 0xff})); code != codes.Internal && code != codes.Unimplemented {
				t.Errorf("%s: garbage: %v", m.FullName(), code)
			}
			// An empty request is fine for some, and clearly refused by the others.
			if empty := r.call(fullName(m), nil); empty != nil {
				refused(t, empty, status.Code(empty))
				if code := status.Code(empty); code == codes.Internal || code == codes.Unknown {
					t.Errorf("%s: an empty request: %v", m.FullName(), empty)
				}
			}
		}
	})
}

func TestAMessageThatIsTooLarge(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		large := make([]byte, 32<<20+1)
		for _, method := range []string{"/podd.v1.Objects/Apply", "/podd.v1.Objects/Watch", "/podd.v1.Images/Import"} {
			if err := r.call(method, large); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), fmt.Sprint(32<<20)) {
				t.Errorf("%s: %v", method, err)
			}
		}
	})
}

func TestCallsOfWhatIsNotThere(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for _, method := range []string{"/podd.v1.Objects/Frobnicate", "/podd.v2.Objects/Apply", "/nothing/at.all", "/podd.v1.Objects/"} {
			refused(t, r.call(method, nil), codes.Unimplemented, method, "not in this podd's API")
		}
	})
}

func TestWhatIsNotThereYetSaysWhatToDo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for method, advice := range map[string]string{
			"/podd.v1.Objects/Resize":  "delete the pod and apply it",
			"/podd.v1.Providers/Serve": "refused when they are applied",
		} {
			refused(t, r.call(method, nil), codes.Unimplemented, "not supported yet", advice)
		}
	})
}

// TestAStreamWithoutItsFirstMessageEnds: who opens a stream and never says
// what for holds nothing for long.
func TestAStreamWithoutItsFirstMessageEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for _, m := range methods() {
			if !m.IsStreamingClient() {
				continue
			}
			began := time.Now()
			stream, err := r.life.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, fullName(m))
			if err != nil {
				t.Fatal(err)
			}
			err = stream.RecvMsg(&poddv1.ExecResponse{})
			if status.Code(err) == codes.Unimplemented && time.Since(began) == 0 {
				continue // it does not even look
			}
			refused(t, err, codes.DeadlineExceeded, "first message")
			if took := time.Since(began); took < 10*time.Second || took > time.Minute {
				t.Errorf("%s: after %v", m.FullName(), took)
			}
		}
	})
}

// TestManyWatchesOnOneConnection: a connection has as many as it may, the next
// is refused in clear, and other calls on it go on.
func TestManyWatchesOnOneConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const limit = 1000
		ctx, cancel := context.WithCancel(t.Context())
		for range limit {
			if _, err := r.life.objects.Watch(ctx, &poddv1.WatchRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		more := r.watch(&poddv1.WatchRequest{})
		<-more.done
		refused(t, more.err, codes.ResourceExhausted, "1000 streams")
		r.apply(podNamed("web", nil)) // none of them reads
		r.untilReady("web")
		cancel()
		synctest.Wait()
		again := r.watch(&poddv1.WatchRequest{})
		synctest.Wait()
		if again.drain(); !again.synced {
			t.Error("the places of those that ended are not given to others")
		}
		again.close()
	})
}

func TestApplyOfTooMuch(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		object := func(json string) *poddv1.Object { return &poddv1.Object{Kind: "ConfigMap", Json: []byte(json)} }
		try := func(objs ...*poddv1.Object) error {
			_, err := r.life.objects.Apply(t.Context(), &poddv1.ApplyRequest{Objects: objs})
			return err
		}
		refused(t, try(slices.Repeat([]*poddv1.Object{object("{}")}, 2001)...), codes.ResourceExhausted, "2001 objects", "2000")
		refused(t, try(object(`{"data":{"a":"`+strings.Repeat("x", 3<<20)+`"}}`)), codes.ResourceExhausted, "objects[0]", "3 MiB")
		refused(t, try(object("{\"metadata\":{\"name\":\"a\"},\"data\":{\"a\":\"\xff\"}}")), codes.InvalidArgument, "not UTF-8")
		refused(t, try(object(strings.Repeat("[", 1<<20))), codes.InvalidArgument)
		refused(t, try(object(`{"metadata":{"name":"a","labels":`+strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000)+"}}")), codes.InvalidArgument)
		refused(t, try(object(`{"kind":"ConfigMap","apiVersion":"v1"} trailing`)), codes.InvalidArgument)
		refused(t, try(object(`null`)), codes.InvalidArgument)
		if n := len(r.life.agent.Snapshot().List("ConfigMap")); n > 0 {
			t.Errorf("%d were stored", n)
		}
		labels := map[string]string{}
		for i := range 10_000 {
			labels[fmt.Sprintf("label-%d", i)] = "x"
		}
		many := make([]agent.Object, 0, 2000)
		for i := range 2000 {
			many = append(many, configMap(fmt.Sprintf("cfg-%d", i), nil))
		}
		many[0].SetLabels(labels)
		r.apply(many...)
		if n := len(r.life.agent.Snapshot().List("ConfigMap")); n != len(many) {
			t.Errorf("%d are there", n)
		}
	})
}

func TestAListThatNoMessageHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		large := map[string]string{"a": string(bytes.Repeat([]byte("x"), 1<<20-100))}
		for i := range 36 {
			r.apply(configMap(fmt.Sprintf("large-%d", i), large))
		}
		_, err := r.life.objects.List(t.Context(), &poddv1.ListRequest{Kind: "ConfigMap"})
		refused(t, err, codes.ResourceExhausted, "Watch")
		m := r.watch(&poddv1.WatchRequest{Kinds: []string{"ConfigMap"}})
		synctest.Wait()
		if m.drain(); !m.synced || len(m.objects) != 36 {
			t.Errorf("a watch has %d", len(m.objects))
		}
		m.close()
	})
}

func TestReflectionListsAllServices(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		stream, err := reflectionpb.NewServerReflectionClient(r.life.conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ask := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
		if err := stream.Send(ask); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range resp.GetListServicesResponse().GetService() {
			names = append(names, s.Name)
		}
		for _, want := range []string{"podd.v1.Images", "podd.v1.Insight", "podd.v1.Node", "podd.v1.Objects", "podd.v1.Providers", "podd.v1.Streams", "grpc.health.v1.Health"} {
			if !slices.Contains(names, want) {
				t.Errorf("%s is not among %v", want, names)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
	})
}

// TestAWatchIsResumedWithoutLossOrDoubling: whenever it breaks off, what comes
// before and after is the whole, once.
func TestAWatchIsResumedWithoutLossOrDoubling(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(configMap("cfg-0", nil), podNamed("web", nil))
		m := r.watch(&poddv1.WatchRequest{})
		synctest.Wait()
		for i := range 60 {
			name := fmt.Sprintf("cfg-%d", i%7)
			if i%5 == 4 {
				if _, err := r.life.objects.Delete(t.Context(), &poddv1.DeleteRequest{Ref: ref("ConfigMap", name)}); err != nil && status.Code(err) != codes.NotFound {
					t.Fatal(err)
				}
			} else {
				r.apply(configMap(name, map[string]string{"i": fmt.Sprint(i)}))
			}
			if i%3 != 0 {
				continue
			}
			time.Sleep(time.Second)
			synctest.Wait()
			m.drain()
			m.close()
			r.apply(configMap("meanwhile", map[string]string{"i": fmt.Sprint(i)}))
			next := r.watch(&poddv1.WatchRequest{FromRevision: &m.last})
			next.objects, next.last, next.wrong = m.objects, m.last, m.wrong
			m = next
			synctest.Wait()
		}
		synctest.Wait()
		if !r.agrees(m, agent.KindNamespace, "Pod", "ConfigMap", "Secret", "Event", "Node") {
			t.Errorf("a watcher has %v", m.objects)
		}
		for _, wrong := range m.wrong {
			t.Error(wrong)
		}
		m.close()
	})
}

func TestDeletedCarriesTheLastStatusAtItsRevision(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		m := r.watch(&poddv1.WatchRequest{Kinds: []string{"Pod", "Pod"}}) // a kind twice is one
		defer m.close()
		synctest.Wait() // it has come to podd
		r.delete("web", nil)
		r.untilGone("web")
		synctest.Wait()
		added := 0
		var last *poddv1.WatchResponse
		for len(m.got) > 0 {
			last = <-m.got
			if last.Type == poddv1.WatchResponse_TYPE_ADDED {
				added++
			}
		}
		if added != 1 || last.Type != poddv1.WatchResponse_TYPE_DELETED {
			t.Fatalf("%d times added, then %v", added, last.Type)
		}
		p := decodePod(t, last.Object)
		if p.ResourceVersion != fmt.Sprint(last.Revision) {
			t.Errorf("resourceVersion %s at revision %d", p.ResourceVersion, last.Revision)
		}
		if st := p.Status.ContainerStatuses; p.DeletionTimestamp == nil || len(st) != 1 || st[0].State.Terminated == nil || p.Status.Phase == corev1.PodRunning {
			t.Errorf("deleted %v, status %+v", p.DeletionTimestamp, p.Status)
		}
	})
}

// TestAQuietFilterIsToldHowFarTheWorldIs: from its bookmark it can resume when
// what it was sent is long forgotten.
func TestAQuietFilterIsToldHowFarTheWorldIs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		m := r.watch(&poddv1.WatchRequest{Kinds: []string{"Secret"}})
		defer m.close()
		for i := range 100 {
			r.apply(configMap("cfg", map[string]string{"i": fmt.Sprint(i)}))
		}
		now := r.life.agent.Snapshot().Revision
		r.pass(31 * time.Second)
		if m.drain(); m.last < now || strings.Join(m.types, " ") != "SYNCED BOOKMARK" {
			t.Errorf("it was sent %v, and is at %d of %d", m.types, m.last, now)
		}
	})
}

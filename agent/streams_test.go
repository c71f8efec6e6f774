package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent/fake"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// logs reads a log to the end.
func (r *rig) logs(req *poddv1.LogsRequest) (string, error) {
	r.t.Helper()
	stream, err := r.life.streams.Logs(r.t.Context(), req)
	if err != nil {
		return "", err
	}
	return readAll(stream.Recv, (*poddv1.LogsResponse).GetData)
}

func TestLogs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("talks", fake.Program{Output: "one\ntwo\n", Runs: 5 * time.Second, Code: 1}, fake.Program{Output: "three\n"})
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "talks" }),
			podNamed("two", func(p *corev1.Pod) {
				p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side", Image: "app"})
			}),
			podNamed("stuck", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "absent" }))
		web := &poddv1.PodRef{Name: "web"}
		r.untilReady("web")
		one := int64(1)
		if got, err := r.logs(&poddv1.LogsRequest{Pod: web, Tail: &one}); got != "two\n" || err != nil {
			t.Errorf("tail: %q %v", got, err)
		}
		r.until("it runs again", time.Minute, func() bool { return r.isReady("web") && r.pod("web").Status.ContainerStatuses[0].RestartCount == 1 })
		if got, err := r.logs(&poddv1.LogsRequest{Pod: web}); got != "three\n" || err != nil {
			t.Errorf("now: %q %v", got, err)
		}
		if got, err := r.logs(&poddv1.LogsRequest{Pod: web, Previous: true}); got != "one\ntwo\n" || err != nil {
			t.Errorf("previous: %q %v", got, err)
		}
		for _, c := range []struct {
			req  *poddv1.LogsRequest
			code codes.Code
			word string
		}{
			{&poddv1.LogsRequest{}, codes.NotFound, "not found"},
			{&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "nobody"}}, codes.NotFound, "nobody"},
			{&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web", Uid: "other"}}, codes.NotFound, "web"},
			{&poddv1.LogsRequest{Pod: web, Container: "nobody"}, codes.InvalidArgument, "nobody"},
			{&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "two"}}, codes.InvalidArgument, "choose one of: [main side]"},
			{&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "two"}, Container: "side", Previous: true}, codes.InvalidArgument, "previous"},
			{&poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "stuck"}}, codes.InvalidArgument, "failing to pull image"},
		} {
			_, err := r.logs(c.req)
			refused(t, err, c.code, c.word)
		}
	})
}

func TestAFollowerIsToldThatPoddStops(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		stream, err := r.life.streams.Logs(t.Context(), &poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web"}, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		r.pass(time.Minute)
		r.life.end()
		_, err = readAll(stream.Recv, (*poddv1.LogsResponse).GetData)
		refused(t, err, codes.Unavailable, "stopping")
		r.stop()
		r.start()
	})
}

func TestAFollowerGoesAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := r.life.streams.Logs(ctx, &poddv1.LogsRequest{Pod: &poddv1.PodRef{Name: "web"}, Follow: true})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		_, err = readAll(stream.Recv, (*poddv1.LogsResponse).GetData)
		if status.Code(err) != codes.Canceled {
			t.Errorf("the stream ends with %v", err)
		}
		r.pass(time.Minute) // what it left would keep the bubble from ending
		r.untilReady("web")
	})
}

// echo writes its arguments and input to both outputs and exits with their
// number.
func echo(ctx context.Context, cmd pod.ExecCommand) int {
	fmt.Fprintf(cmd.Stdout, "args %v\n", cmd.Args)
	if cmd.Stdin != nil {
		in, _ := io.ReadAll(cmd.Stdin)
		fmt.Fprintf(cmd.Stderr, "input %s\n", in)
	}
	return len(cmd.Args)
}

// exec starts a command in the pod web.
func (r *rig) exec(ctx context.Context, start *poddv1.ExecRequest_Start) poddv1.Streams_ExecClient {
	r.t.Helper()
	stream, err := r.life.streams.Exec(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if start.Pod == nil {
		start.Pod = &poddv1.PodRef{Name: "web"}
	}
	if err := stream.Send(&poddv1.ExecRequest{Kind: &poddv1.ExecRequest_Start_{Start: start}}); err != nil {
		r.t.Fatal(err)
	}
	return stream
}

func stdin(kind *poddv1.Input) *poddv1.ExecRequest {
	return &poddv1.ExecRequest{Kind: &poddv1.ExecRequest_Input{Input: kind}}
}

func TestExec(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("echo", fake.Program{Exec: echo})
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "echo" }))
		r.untilReady("web")
		stream := r.exec(t.Context(), &poddv1.ExecRequest_Start{Command: []string{"a", "b"}, Stdin: true})
		for _, in := range []*poddv1.Input{
			{Kind: &poddv1.Input_Stdin{Stdin: []byte("x")}}, {Kind: &poddv1.Input_Stdin{Stdin: []byte("y")}},
			{Kind: &poddv1.Input_StdinEof{StdinEof: true}},
		} {
			if err := stream.Send(stdin(in)); err != nil {
				t.Fatal(err)
			}
		}
		var out, errs bytes.Buffer
		var exit *poddv1.Exit
		for {
			resp, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			out.Write(resp.Output.GetStdout())
			errs.Write(resp.Output.GetStderr())
			if e := resp.Output.GetExit(); e != nil {
				exit = e
			}
		}
		if out.String() != "args [a b]\n" || errs.String() != "input xy\n" || exit.GetCode() != 2 {
			t.Errorf("%q %q %v", out.String(), errs.String(), exit)
		}
		var st metav1.Status
		if err := json.Unmarshal(exit.GetStatus(), &st); err != nil || st.Reason != "NonZeroExitCode" || st.Details.Causes[0].Message != "2" {
			t.Errorf("status = %+v, %v", st, err)
		}
	})
}

func TestExecIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil), podNamed("stuck", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "absent" }))
		r.untilReady("web")
		for _, c := range []struct {
			start *poddv1.ExecRequest_Start
			code  codes.Code
		}{
			{&poddv1.ExecRequest_Start{}, codes.InvalidArgument},
			{&poddv1.ExecRequest_Start{Command: []string{"a"}, Container: "nobody"}, codes.InvalidArgument},
			{&poddv1.ExecRequest_Start{Command: []string{"a"}, Pod: &poddv1.PodRef{Name: "stuck"}}, codes.InvalidArgument},
			{&poddv1.ExecRequest_Start{Command: []string{"a"}, Pod: &poddv1.PodRef{Name: "nobody"}}, codes.NotFound},
		} {
			_, err := r.exec(t.Context(), c.start).Recv()
			refused(t, err, c.code)
		}
	})
}

func TestExecEndsAfterItsCallerWent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		ended := make(chan time.Duration, 1)
		r.world.Store("deaf", fake.Program{Exec: func(ctx context.Context, cmd pod.ExecCommand) int {
			_, _ = io.ReadAll(cmd.Stdin)
			gone := time.Now()
			for range 30 {
				fmt.Fprintln(cmd.Stdout, "still here")
				select {
				case <-ctx.Done():
					ended <- time.Since(gone)
					return 137
				case <-time.After(time.Second):
				}
			}
			return 0
		}})
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "deaf" }))
		r.untilReady("web")
		ctx, cancel := context.WithCancel(t.Context())
		r.exec(ctx, &poddv1.ExecRequest_Start{Command: []string{"a"}, Stdin: true})
		r.pass(time.Minute)
		cancel()
		if took := <-ended; took != 10*time.Second {
			t.Errorf("it was killed after %v", took)
		}
	})
}

func TestWhatIsNotThereYetSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, err := r.life.objects.Resize(t.Context(), &poddv1.ResizeRequest{})
		refused(t, err, codes.Unimplemented)
		bridge, err := poddv1.NewProvidersClient(r.life.conn).Serve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = bridge.Recv()
		refused(t, err, codes.Unimplemented)
	})
}

func TestImages(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", func(p *corev1.Pod) {
			p.Spec.Containers[0].Image, p.Spec.Containers[0].ImagePullPolicy = "brought:1", corev1.PullNever
		}))
		r.pass(time.Minute)
		stream, err := r.life.images.Import(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{"brou", "", "ght:1\n"} {
			if err := stream.Send(&poddv1.ImportRequest{Data: []byte(piece)}); err != nil {
				t.Fatal(err)
			}
		}
		resp, err := stream.CloseAndRecv()
		if err != nil || len(resp.Images) != 1 || resp.Images[0].Names[0] != "brought:1" {
			t.Fatalf("%v %v", resp, err)
		}
		r.until("the pod that waits for it runs", time.Second, func() bool { return r.isReady("web") })

		r.world.Publish("remote:1")
		pull, err := r.life.images.Pull(t.Context(), &poddv1.PullRequest{Name: "remote:1"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pull.Recv(); err != nil || got.Image.GetNames()[0] != "remote:1" {
			t.Errorf("%v %v", got, err)
		}
		r.world.Slow(func(k pod.Kind) time.Duration {
			if k == pod.PullImage {
				return time.Second
			}
			return 0
		})
		if pull, err = r.life.images.Pull(t.Context(), &poddv1.PullRequest{Name: "remote:1"}); err != nil {
			t.Fatal(err)
		}
		if got, err := pull.Recv(); err != nil || got.BytesDone != 8 || got.BytesTotal != 16 {
			t.Errorf("how far it is: %v %v", got, err)
		}
		if got, err := pull.Recv(); err != nil || got.Image.GetNames()[0] != "remote:1" { // nothing is told twice
			t.Errorf("%v %v", got, err)
		}
		list, err := r.life.images.List(t.Context(), &poddv1.ImagesListRequest{})
		if err != nil || len(list.Images) != 3 {
			t.Errorf("%v %v", list, err)
		}
		gone, err := r.life.images.Remove(t.Context(), &poddv1.RemoveRequest{Name: "remote:1"})
		if err != nil || strings.Join(gone.Names, "") != "remote:1" {
			t.Errorf("%v %v", gone, err)
		}
		_, err = r.life.images.Remove(t.Context(), &poddv1.RemoveRequest{Name: "remote:1"})
		refused(t, err, codes.NotFound)
		_, err = r.life.images.Remove(t.Context(), &poddv1.RemoveRequest{})
		refused(t, err, codes.InvalidArgument)
		pull, err = r.life.images.Pull(t.Context(), &poddv1.PullRequest{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = pull.Recv()
		refused(t, err, codes.InvalidArgument)
		empty, err := r.life.images.Import(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = empty.CloseAndRecv()
		refused(t, err, codes.InvalidArgument, "empty")
	})
}

func TestAnArchiveThatBreaksOffLeavesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := r.life.images.Import(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&poddv1.ImportRequest{Data: []byte("half:1\nand more")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		list, err := r.life.images.List(t.Context(), &poddv1.ImagesListRequest{})
		if err != nil || len(list.Images) != 1 {
			t.Errorf("%v %v", list, err)
		}
	})
}

func TestReadinessAndPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.abandon()
		r.start()
		health := healthpb.NewHealthClient(r.life.conn)
		if got, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%v %v", got, err)
		}
		r.working = func(context.Context) error { return errors.New("containerd is away") }
		_, err := r.life.node.Version(t.Context(), &poddv1.VersionRequest{})
		refused(t, err, codes.Unavailable, "containerd is away")
		r.working = func(context.Context) error { panic("a defect") }
		_, err = r.life.node.Version(t.Context(), &poddv1.VersionRequest{})
		refused(t, err, codes.Internal, "defect in podd")
		r.working = func(context.Context) error { return nil }
		if _, err := r.life.node.Version(t.Context(), &poddv1.VersionRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := r.life.node.GetNode(t.Context(), &poddv1.GetNodeRequest{}); err != nil {
			t.Error(err)
		}
		if _, err := r.life.node.Config(t.Context(), &poddv1.ConfigRequest{}); err != nil {
			t.Error(err)
		}
		r.apply(podNamed("web", nil))
		r.untilReady("web")

		// While the known pods can't be looked at, calls are refused.
		r.kill()
		r.world.Break(func(op fake.Op) fake.Fault { return fake.Fault{Hang: op.Kind == fake.Observe} })
		r.impatient = true
		r.start()
		_, err = r.life.objects.Get(t.Context(), &poddv1.GetRequest{Ref: ref("Pod", "web")})
		refused(t, err, codes.Unavailable, "not ready")
		if got, err := healthpb.NewHealthClient(r.life.conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || got.Status != healthpb.HealthCheckResponse_NOT_SERVING {
			t.Errorf("%v %v", got, err)
		}
		// But not for ever: podd is of use without them.
		r.until("podd is ready", time.Minute, func() bool { return r.life.agent.Ready() })
		r.world.Break(func(fake.Op) fake.Fault { return fake.Fault{} })
		r.pass(time.Minute)
		r.stop()
	})
}

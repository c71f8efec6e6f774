package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/agent/fake"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// parrot repeats its input and the sizes of its terminal until its input ends.
func parrot(ctx context.Context, opts pod.AttachOptions) error {
	fmt.Fprintf(opts.Stdout, "once %v\n", opts.StdinOnce)
	lines := make(chan string)
	if opts.Stdin != nil {
		go func() {
			defer close(lines)
			buf := make([]byte, 100)
			for {
				n, err := opts.Stdin.Read(buf)
				if err != nil {
					return
				}
				lines <- string(buf[:n])
			}
		}()
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case size := <-opts.Resize:
			fmt.Fprintf(opts.Stdout, "%dx%d\n", size.Width, size.Height)
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			fmt.Fprintf(opts.Stderr, "heard %s\n", line)
		}
	}
}

func (r *rig) attach(ctx context.Context, start *poddv1.AttachRequest_Start) poddv1.Streams_AttachClient {
	r.t.Helper()
	stream, err := r.life.streams.Attach(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	if start.Pod == nil {
		start.Pod = &poddv1.PodRef{Name: "web"}
	}
	if err := stream.Send(&poddv1.AttachRequest{Kind: &poddv1.AttachRequest_Start_{Start: start}}); err != nil {
		r.t.Fatal(err)
	}
	return stream
}

func attachInput(in *poddv1.Input) *poddv1.AttachRequest {
	return &poddv1.AttachRequest{Kind: &poddv1.AttachRequest_Input{Input: in}}
}

func TestAttach(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("parrot", fake.Program{Attach: parrot, Runs: time.Minute, Code: 7})
		r.apply(podNamed("web", func(p *corev1.Pod) {
			c := &p.Spec.Containers[0]
			c.Image, c.Stdin, c.StdinOnce, c.TTY = "parrot", true, true, true
		}))
		r.untilReady("web")
		stream := r.attach(t.Context(), &poddv1.AttachRequest_Start{Stdin: true, Tty: true})
		expect := func(stdout, stderr string) {
			t.Helper()
			resp, err := stream.Recv()
			if err != nil || string(resp.Output.GetStdout()) != stdout || string(resp.Output.GetStderr()) != stderr {
				t.Fatalf("%v %v", resp, err)
			}
		}
		send := func(in *poddv1.Input) {
			t.Helper()
			if err := stream.Send(attachInput(in)); err != nil {
				t.Fatal(err)
			}
		}
		expect("once true\n", "")
		send(&poddv1.Input{Kind: &poddv1.Input_Resize{Resize: &poddv1.TerminalSize{Width: 80, Height: 1 << 20}}})
		expect("80x65535\n", "")
		send(&poddv1.Input{Kind: &poddv1.Input_Stdin{Stdin: []byte("me")}})
		expect("", "heard me\n")
		send(&poddv1.Input{Kind: &poddv1.Input_StdinEof{StdinEof: true}})
		// The exit is told once it is known.
		resp, err := stream.Recv()
		if err != nil || resp.Output.GetExit().GetCode() != 7 {
			t.Errorf("%v %v", resp, err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestAttachIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil), podNamed("stuck", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "absent" }))
		r.untilReady("web")
		for _, c := range []struct {
			start *poddv1.AttachRequest_Start
			code  codes.Code
			word  string
		}{
			{&poddv1.AttachRequest_Start{Stdin: true}, codes.InvalidArgument, "stdin field"},
			{&poddv1.AttachRequest_Start{Tty: true}, codes.InvalidArgument, "tty field"},
			{&poddv1.AttachRequest_Start{Container: "nobody"}, codes.InvalidArgument, "nobody"},
			{&poddv1.AttachRequest_Start{Pod: &poddv1.PodRef{Name: "stuck"}}, codes.InvalidArgument, "not running"},
			{&poddv1.AttachRequest_Start{Pod: &poddv1.PodRef{Name: "nobody"}}, codes.NotFound, "nobody"},
		} {
			_, err := r.attach(t.Context(), c.start).Recv()
			refused(t, err, c.code, c.word)
		}
	})
}

// TestStreamsEndWithPodd: their callers are told that it stops.
func TestAttachEndsWithPodd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil))
		r.untilReady("web")
		stream := r.attach(t.Context(), &poddv1.AttachRequest_Start{})
		r.pass(time.Hour)
		r.life.end()
		_, err := stream.Recv()
		refused(t, err, codes.Unavailable, "stopping")
		r.stop()
		r.start()
	})
}

// serveUpper answers with what it heard in upper case, once the other side has
// closed its half.
func serveUpper(port uint16, conn net.Conn) {
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if err == nil {
		fmt.Fprintf(conn, "%d: %s", port, strings.ToUpper(string(text)))
	}
}

func (r *rig) forward(ctx context.Context, name string, port uint32) poddv1.Streams_PortForwardClient {
	r.t.Helper()
	stream, err := r.life.streams.PortForward(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	start := &poddv1.PortForwardRequest_Start{Pod: &poddv1.PodRef{Name: name}, Port: port}
	if err := stream.Send(&poddv1.PortForwardRequest{Kind: &poddv1.PortForwardRequest_Start_{Start: start}}); err != nil {
		r.t.Fatal(err)
	}
	return stream
}

func TestPortForward(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("upper", fake.Program{Serve: serveUpper})
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "upper" }))
		r.untilReady("web")
		for name, end := range map[string]func(poddv1.Streams_PortForwardClient) error{
			"says so": func(s poddv1.Streams_PortForwardClient) error {
				return s.Send(&poddv1.PortForwardRequest{Kind: &poddv1.PortForwardRequest_Eof{Eof: true}})
			},
			"ends the call": poddv1.Streams_PortForwardClient.CloseSend,
		} {
			stream := r.forward(t.Context(), "web", 80)
			if resp, err := stream.Recv(); err != nil || !resp.GetConnected() {
				t.Fatalf("%s: %v %v", name, resp, err)
			}
			for _, piece := range []string{"a", "bc"} {
				if err := stream.Send(&poddv1.PortForwardRequest{Kind: &poddv1.PortForwardRequest_Data{Data: []byte(piece)}}); err != nil {
					t.Fatal(err)
				}
			}
			if err := end(stream); err != nil {
				t.Fatal(err)
			}
			got, err := readAll(stream.Recv, (*poddv1.PortForwardResponse).GetData)
			if got != "80: ABC" || err != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	})
}

// TestAConnectionEndsWithItsPod, its caller, and podd.
func TestAConnectionEnds(t *testing.T) {
	for name, end := range map[string]func(r *rig, cancel func()){
		"the pod is deleted": func(r *rig, _ func()) { r.delete("web", nil); r.untilGone("web") },
		"the caller goes":    func(_ *rig, cancel func()) { cancel() },
		"podd stops":         func(r *rig, _ func()) { r.stop(); r.start() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				closed := make(chan bool, 1)
				r.world.Store("holds", fake.Program{Serve: func(_ uint16, conn net.Conn) {
					_, _ = io.ReadAll(conn)
					conn.Close()
					close(closed)
				}})
				r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "holds" }))
				r.untilReady("web")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream := r.forward(ctx, "web", 80)
				r.pass(time.Hour)
				end(r, cancel)
				synctest.Wait()
				select {
				case <-closed:
				default:
					t.Error("the connection is still open")
				}
				if _, err := readAll(stream.Recv, (*poddv1.PortForwardResponse).GetData); err == nil {
					t.Error("the caller is not told")
				}
			})
		})
	}
}

func TestPortForwardIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.apply(podNamed("web", nil), podNamed("stuck", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "absent" }))
		r.untilReady("web")
		for _, c := range []struct {
			name string
			port uint32
			code codes.Code
			word string
		}{
			{"web", 0, codes.InvalidArgument, "port"}, {"web", 65536, codes.InvalidArgument, "port"},
			{"nobody", 80, codes.NotFound, "nobody"}, {"stuck", 80, codes.InvalidArgument, "Current status=Pending"},
			{"web", 80, codes.Unavailable, "connection refused"},
		} {
			_, err := r.forward(t.Context(), c.name, c.port).Recv()
			refused(t, err, c.code, c.word)
		}
	})
}

func TestCopy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("files", fake.Program{Files: map[string]string{"/a": "text", "/dir": ""}})
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "files" }))
		r.untilReady("web")
		copyIn := func(path string, pieces ...string) error {
			stream, err := r.life.streams.CopyIn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			start := &poddv1.CopyInRequest_Start{Pod: &poddv1.PodRef{Name: "web"}, Path: path, NoPreserve: true}
			_ = stream.Send(&poddv1.CopyInRequest{Kind: &poddv1.CopyInRequest_Start_{Start: start}})
			for _, p := range pieces {
				_ = stream.Send(&poddv1.CopyInRequest{Kind: &poddv1.CopyInRequest_Data{Data: []byte(p)}})
			}
			_, err = stream.CloseAndRecv()
			return err
		}
		copyOut := func(path string) (string, error) {
			stream, err := r.life.streams.CopyOut(t.Context(), &poddv1.CopyOutRequest{Pod: &poddv1.PodRef{Name: "web"}, Path: path})
			if err != nil {
				t.Fatal(err)
			}
			return readAll(stream.Recv, (*poddv1.CopyOutResponse).GetData)
		}
		if got, err := copyOut("/a"); got != "text" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if err := copyIn("/dir", "one ", "two"); err != nil {
			t.Error(err)
		}
		if got, err := copyOut("/dir"); got != "one two (not preserved)" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		_, err := copyOut("/nosuch")
		refused(t, err, codes.NotFound, "no such file")
		_, err = copyOut("")
		refused(t, err, codes.InvalidArgument, "path")
		refused(t, copyIn("/nosuch", "x"), codes.NotFound, "no such file")
		refused(t, copyIn("", "x"), codes.InvalidArgument, "path")
	})
}

// TestACopyThatBreaksOff ends with an error, not as if the archive were whole.
func TestACopyThatBreaksOff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		files := map[string]string{"/dir": "old"}
		r.world.Store("files", fake.Program{Files: files})
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "files" }))
		r.untilReady("web")
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := r.life.streams.CopyIn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start := &poddv1.CopyInRequest_Start{Pod: &poddv1.PodRef{Name: "web"}, Path: "/dir"}
		_ = stream.Send(&poddv1.CopyInRequest{Kind: &poddv1.CopyInRequest_Start_{Start: start}})
		_ = stream.Send(&poddv1.CopyInRequest{Kind: &poddv1.CopyInRequest_Data{Data: []byte("half")}})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
			t.Errorf("%v", err)
		}
		if files["/dir"] != "old" {
			t.Errorf("%q", files["/dir"])
		}
	})
}

// TestACallerOfCopyOutGoes: the reading ends with it.
func TestACallerOfCopyOutGoes(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.world.Store("files", fake.Program{Files: map[string]string{"/a": strings.Repeat("x", 10<<20)}}) // more than is on its way
		r.apply(podNamed("web", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "files" }))
		r.untilReady("web")
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := r.life.streams.CopyOut(ctx, &poddv1.CopyOutRequest{Pod: &poddv1.PodRef{Name: "web"}, Path: "/a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // nobody reads: the copy waits
		cancel()
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Canceled {
			t.Errorf("the stream ends with %v", err)
		}
		r.pass(time.Minute) // what it left would keep the bubble from ending
		r.untilReady("web")
	})
}

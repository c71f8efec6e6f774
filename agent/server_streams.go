package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// streams serves podd.v1.Streams.
type streams struct {
	poddv1.UnimplementedStreamsServer
	a *Agent
}

// findPod looks a pod and one of its containers up; without a name it is the
// pod's only one, or its first as the kubectl.kubernetes.io/default-container
// annotation or the order says.
func (s *streams) findPod(ref *poddv1.PodRef, container string) (*corev1.Pod, *corev1.ContainerStatus, string, error) {
	key := store.Key{Kind: KindPod, Namespace: ref.GetNamespace(), Name: ref.GetName()}
	if key.Namespace == "" {
		key.Namespace = metav1.NamespaceDefault
	}
	e := s.a.Snapshot().Get(key)
	if e == nil || ref.GetUid() != "" && ref.GetUid() != string(e.Object.GetUID()) {
		return nil, nil, "", apierrors.NewNotFound(resource(KindPod), key.Name)
	}
	p := e.Pod()
	name, err := chooseContainer(p, container)
	if err != nil {
		return nil, nil, "", err
	}
	return p, containerStatus(p, name), name, nil
}

const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"

func chooseContainer(p *corev1.Pod, name string) (string, error) {
	if name == "" {
		name = p.Annotations[defaultContainerAnnotation]
	}
	if name == "" {
		return p.Spec.Containers[0].Name, nil
	}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range list {
			if c.Name == name {
				return name, nil
			}
		}
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, p.Name))
}

func containerStatus(p *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// Logs sends what a container wrote. With follow it ends with the container.
func (s *streams) Logs(req *poddv1.LogsRequest, stream grpc.ServerStreamingServer[poddv1.LogsResponse]) error {
	p, st, name, err := s.findPod(req.Pod, req.Container)
	if err != nil {
		return err
	}
	attempt, err := logAttempt(p, st, name, req.Previous)
	if err != nil {
		return err
	}
	opts := pod.LogOptions{
		Pod:       pod.Key{UID: p.UID, Namespace: p.Namespace, Name: p.Name},
		Container: name, Attempt: attempt, Follow: req.Follow && !req.Previous,
		Tail: req.Tail, LimitBytes: req.LimitBytes, Timestamps: req.Timestamps,
	}
	if req.SinceTime != nil {
		opts.Since = req.SinceTime.AsTime()
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	if opts.Follow {
		if opts.Done, err = s.a.ended(ctx, p, name, attempt); err != nil {
			return err
		}
	}
	return s.a.cfg.Logs.Read(ctx, logWriter{stream}, opts)
}

// logAttempt finds the instance whose log is meant, with the kubelet's words
// for one that has none.
func logAttempt(p *corev1.Pod, st *corev1.ContainerStatus, name string, previous bool) (int, error) {
	if st == nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is not available", name, p.Name))
	}
	id := ""
	last := st.LastTerminationState.Terminated
	switch {
	case previous && last == nil:
		return 0, apierrors.NewBadRequest(fmt.Sprintf("previous terminated container %q in pod %q not found", name, p.Name))
	case previous:
		id = last.ContainerID
	case st.State.Running != nil:
		id = st.ContainerID
	case st.State.Terminated != nil:
		id = st.State.Terminated.ContainerID
	case last != nil:
		id = last.ContainerID
	}
	for attempt := int(st.RestartCount); attempt >= 0; attempt-- {
		if id == containerURL(p, name, attempt) {
			return attempt, nil
		}
	}
	reason := "ContainerCreating"
	if w := st.State.Waiting; w != nil {
		reason = w.Reason
		if reason == "ErrImagePull" || reason == "ImagePullBackOff" {
			return 0, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: trying and failing to pull image", name, p.Name))
		}
	}
	return 0, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: %s", name, p.Name, reason))
}

// containerURL is how a status names a container.
func containerURL(p *corev1.Pod, name string, attempt int) string {
	return "containerd://" + pod.ID(p.UID, name, attempt)
}

type logWriter struct {
	stream grpc.ServerStreamingServer[poddv1.LogsResponse]
}

func (w logWriter) Write(p []byte) (int, error) {
	if err := w.stream.Send(&poddv1.LogsResponse{Data: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ended closes the channel when an attempt no longer runs, or ctx ends.
func (a *Agent) ended(ctx context.Context, p *corev1.Pod, name string, attempt int) (<-chan struct{}, error) {
	key := store.Key{Kind: KindPod, Namespace: p.Namespace, Name: p.Name}
	w, _, _, err := a.keeper.watchFrom(ctx, func(e *Entry) bool { return e.Key == key }, nil)
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.keeper.stop(context.WithoutCancel(ctx), w)
		for runs(a.Snapshot().Get(key), p, name, attempt) {
			select {
			case <-ctx.Done():
				return
			case <-a.life.Done():
				return
			case <-w.wake:
				w.take()
			}
		}
	}()
	return done, nil
}

func runs(e *Entry, p *corev1.Pod, name string, attempt int) bool {
	if e == nil || e.Object.GetUID() != p.UID {
		return false
	}
	st := containerStatus(e.Pod(), name)
	return st != nil && st.State.Running != nil && st.ContainerID == containerURL(p, name, attempt)
}

type execStream = grpc.BidiStreamingServer[poddv1.ExecRequest, poddv1.ExecResponse]

// disconnectGrace is what an exec'd process has to end after its caller went.
const disconnectGrace = 10 * time.Second

// Exec runs a command. When the caller goes away, its input is closed, and it
// is killed if it does not end within disconnectGrace.
func (s *streams) Exec(stream execStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	start := first.GetStart()
	if start == nil || len(start.Command) == 0 {
		return apierrors.NewBadRequest("the first message has to be the start, with a command")
	}
	if start.Tty {
		return status.Error(codes.Unimplemented, "exec with a terminal is not supported yet")
	}
	id, err := s.runningContainer(start)
	if err != nil {
		return err
	}
	ctx, cancel := detached(stream.Context(), s.a.life)
	defer cancel()
	out := &execOutput{stream: stream}
	cmd := pod.ExecCommand{Args: start.Command, Stdout: out.stdout(), Stderr: out.stderr()}
	if start.Stdin {
		in, feed := io.Pipe()
		defer in.Close()
		go feedInput(stream, feed)
		cmd.Stdin = in
	}
	code, err := s.a.cfg.Execer.Exec(ctx, id, cmd)
	if err != nil {
		return err
	}
	return out.exit(code)
}

func (s *streams) runningContainer(start *poddv1.ExecRequest_Start) (string, error) {
	p, st, name, err := s.findPod(start.Pod, start.Container)
	if err != nil {
		return "", err
	}
	if st == nil || st.State.Running == nil {
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is not running", name, p.Name))
	}
	return st.ContainerID[len("containerd://"):], nil
}

// detached lives a little longer than the call, so that a process whose caller
// went can end by itself.
func detached(call, life context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(call))
	stop := context.AfterFunc(call, func() {
		timer := time.NewTimer(disconnectGrace)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-life.Done():
		case <-ctx.Done():
		}
		cancel()
	})
	return ctx, func() { stop(); cancel() }
}

// feedInput passes input on until its end or the caller's.
func feedInput(stream execStream, feed *io.PipeWriter) {
	for {
		req, err := stream.Recv()
		if err != nil {
			feed.CloseWithError(io.EOF) // half-close, or gone: no more input either way
			return
		}
		switch in := req.GetInput().GetKind().(type) {
		case *poddv1.Input_Stdin:
			if _, err := feed.Write(in.Stdin); err != nil {
				return // the process does not read any more
			}
		case *poddv1.Input_StdinEof:
			feed.CloseWithError(io.EOF)
			return
		}
	}
}

// execOutput sends both streams; a gRPC stream takes one sender at a time.
type execOutput struct {
	mu     sync.Mutex
	stream execStream
}

func (o *execOutput) send(out *poddv1.Output) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stream.Send(&poddv1.ExecResponse{Output: out})
}

type writer func([]byte) error

func (w writer) Write(p []byte) (int, error) {
	if err := w(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (o *execOutput) stdout() io.Writer {
	return writer(func(p []byte) error { return o.send(&poddv1.Output{Kind: &poddv1.Output_Stdout{Stdout: p}}) })
}

func (o *execOutput) stderr() io.Writer {
	return writer(func(p []byte) error { return o.send(&poddv1.Output{Kind: &poddv1.Output_Stderr{Stderr: p}}) })
}

func (o *execOutput) exit(code int) error {
	st := metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess}
	if code != 0 {
		st.Status, st.Reason = metav1.StatusFailure, "NonZeroExitCode"
		st.Message = fmt.Sprintf("command terminated with non-zero exit code: exit status %d", code)
		st.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: "ExitCode", Message: fmt.Sprint(code)}}}
	}
	raw, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return o.send(&poddv1.Output{Kind: &poddv1.Output_Exit{Exit: &poddv1.Exit{Code: int32(code), Status: raw}}})
}

var errStopping = status.Error(codes.Unavailable, "podd is stopping")

func (s *streams) Attach(grpc.BidiStreamingServer[poddv1.AttachRequest, poddv1.AttachResponse]) error {
	return status.Error(codes.Unimplemented, "attach is not supported yet")
}

func (s *streams) PortForward(grpc.BidiStreamingServer[poddv1.PortForwardRequest, poddv1.PortForwardResponse]) error {
	return status.Error(codes.Unimplemented, "port-forward is not supported yet")
}

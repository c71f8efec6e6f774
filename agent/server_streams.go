package agent

import (
	"context"
	"fmt"
	"io"

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

// findPod looks a pod and one of its containers up.
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

// chooseContainer checks a container's name. Without one it is the one that the
// pod names as its default, or its only one.
func chooseContainer(p *corev1.Pod, name string) (string, error) {
	if name == "" {
		name = p.Annotations[defaultContainerAnnotation]
	}
	if name == "" {
		if len(p.Spec.Containers) == 1 {
			return p.Spec.Containers[0].Name, nil
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %v", p.Name, containerNames(p)))
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

func containerNames(p *corev1.Pod) []string {
	var names []string
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for _, c := range list {
			names = append(names, c.Name)
		}
	}
	return names
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
	return s.a.readLog(stream.Context(), logWriter{stream}, p, opts)
}

// readLog reads a log; with follow, until the container has ended.
func (a *Agent) readLog(ctx context.Context, w io.Writer, p *corev1.Pod, opts pod.LogOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !opts.Follow {
		return a.cfg.Logs.Read(ctx, w, opts)
	}
	done, err := a.ended(ctx, p, opts.Container, opts.Attempt)
	if err != nil {
		return err
	}
	opts.Done = done
	if err := a.cfg.Logs.Read(ctx, w, opts); err != nil {
		return err
	}
	if a.life.Err() != nil {
		return errStopped // there may be more to come
	}
	return nil
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
		defer a.keeper.stop(ctx, w)
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

func (s *streams) Attach(grpc.BidiStreamingServer[poddv1.AttachRequest, poddv1.AttachResponse]) error {
	return status.Error(codes.Unimplemented, "attach is not supported yet")
}

func (s *streams) PortForward(grpc.BidiStreamingServer[poddv1.PortForwardRequest, poddv1.PortForwardResponse]) error {
	return status.Error(codes.Unimplemented, "port-forward is not supported yet")
}

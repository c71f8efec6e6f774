package agent

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

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
	ctx, cancel := withLife(stream.Context(), s.a.life)
	defer cancel()
	out := &logWriter{stream: stream}
	if !opts.Follow {
		return s.a.cfg.Logs.Read(ctx, out, opts)
	}
	err = s.a.followLog(ctx, out, p, opts)
	if s.a.life.Err() != nil {
		return errStopped // there may be more to come
	}
	return err
}

// followLog reads the log of one instance of a container after the other, until
// there will be no further one.
func (a *Agent) followLog(ctx context.Context, w *logWriter, p *corev1.Pod, opts pod.LogOptions) error {
	for {
		before := w.sent
		if err := a.followOne(ctx, w, p, opts); err != nil {
			return err
		}
		if opts.LimitBytes != nil {
			left := *opts.LimitBytes - (w.sent - before)
			if left <= 0 {
				return nil
			}
			opts.LimitBytes = &left
		}
		next, err := a.nextAttempt(ctx, p, opts.Container, opts.Attempt)
		if err != nil || next < 0 {
			return err
		}
		opts.Attempt, opts.Tail = next, nil
	}
}

// followOne reads one instance's log until the instance has ended.
func (a *Agent) followOne(ctx context.Context, w *logWriter, p *corev1.Pod, opts pod.LogOptions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	opts.Done = done
	go func() {
		defer close(done)
		_ = a.watchPod(ctx, p, func(now *corev1.Pod) bool { return now == nil || !runs(now, opts.Container, opts.Attempt) })
	}()
	return a.cfg.Logs.Read(ctx, w, opts)
}

func runs(p *corev1.Pod, name string, attempt int) bool {
	st := containerStatus(p, name)
	return st != nil && st.State.Running != nil && st.ContainerID == containerURL(p, name, attempt)
}

// nextAttempt waits for the instance of a container after one that has ended;
// -1 means that there will be none.
func (a *Agent) nextAttempt(ctx context.Context, p *corev1.Pod, name string, attempt int) (int, error) {
	next := -1
	err := a.watchPod(ctx, p, func(now *corev1.Pod) bool {
		if now == nil {
			return true
		}
		st := containerStatus(now, name)
		if newest, err := logAttempt(now, st, name, false); err == nil && newest > attempt {
			// What ended before it was seen to run is read too, if it is still there.
			next = max(attempt+1, newest-1)
			return true
		}
		return !comesBack(now, st, name)
	})
	return next, err
}

// comesBack tells whether a container that does not run will run again.
func comesBack(p *corev1.Pod, st *corev1.ContainerStatus, name string) bool {
	if ended(p.Status.Phase) || st == nil {
		return false
	}
	if st.State.Running != nil {
		return true // its end is not told yet
	}
	if p.DeletionTimestamp != nil {
		return false
	}
	t := st.State.Terminated
	return t == nil || pod.Restarts(p, name, t.ExitCode)
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
	return containerdScheme + pod.ID(p.UID, name, attempt)
}

// logWriter sends pieces of a log.
type logWriter struct {
	stream grpc.ServerStreamingServer[poddv1.LogsResponse]
	// sent is in bytes.
	sent int64
}

func (w *logWriter) Write(p []byte) (int, error) {
	if err := w.stream.Send(&poddv1.LogsResponse{Data: p}); err != nil {
		return 0, err
	}
	w.sent += int64(len(p))
	return len(p), nil
}

// watchPod calls until with the pod as it is now and with every change, until
// it says true or ctx ends. It is called with nil once the pod is gone.
func (a *Agent) watchPod(ctx context.Context, p *corev1.Pod, until func(*corev1.Pod) bool) error {
	key := store.Key{Kind: KindPod, Namespace: p.Namespace, Name: p.Name}
	w, _, _, err := a.keeper.watchFrom(ctx, func(e *Entry) bool { return e.Key == key }, nil)
	if err != nil {
		return err
	}
	defer a.keeper.stop(ctx, w)
	for {
		var now *corev1.Pod
		if e := a.Snapshot().Get(key); e != nil && e.Object.GetUID() == p.UID {
			now = e.Pod()
		}
		if until(now) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
			w.take()
		}
	}
}

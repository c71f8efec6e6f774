package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// logsFlags are the flags of logs.
type logsFlags struct {
	container     string
	allContainers bool
	follow        bool
	previous      bool
	tail          int64
	since         time.Duration
	sinceTime     string
	timestamps    bool
	limitBytes    int64
	prefix        bool
}

func newLogs(s *session) *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:   "logs POD [-c CONTAINER]",
		Short: "Print what a container wrote",
		Example: "  podctl logs web\n  podctl logs -f web -c sidecar --tail=20\n  podctl logs web --previous\n" +
			"  podctl logs pod/web --all-containers --prefix --since=5m",
		Args:              logsArgs,
		ValidArgsFunction: s.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 { // kubectl takes the container so too
				if f.container != "" {
					return errors.New("only one of -c or an inline [CONTAINER] arg is allowed")
				}
				f.container = args[1]
			}
			return f.run(cmd.Context(), s, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.container, "container", "c", "", "the container, if the pod has several")
	flags.BoolVar(&f.allContainers, "all-containers", false, "of all containers of the pod, init containers too")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written from now on")
	flags.BoolVarP(&f.previous, "previous", "p", false, "of the instance before the present one")
	flags.Int64Var(&f.tail, "tail", -1, "so many lines from the end; less than 0 is all")
	flags.DurationVar(&f.since, "since", 0, "only what is not older, such as 5s, 2m or 3h")
	flags.StringVar(&f.sinceTime, "since-time", "", "only what was written after this time (RFC 3339)")
	flags.BoolVar(&f.timestamps, "timestamps", false, "with the time before each line")
	flags.Int64Var(&f.limitBytes, "limit-bytes", 0, "so many bytes at most; 0 is all")
	flags.BoolVar(&f.prefix, "prefix", false, "with pod and container before each line")
	complete(cmd, "container", s.completeContainers)
	return cmd
}

func logsArgs(_ *cobra.Command, args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return errors.New("expected 'logs POD [-c CONTAINER]': one pod is a required argument for the logs command")
	}
	return nil
}

func (f *logsFlags) run(ctx context.Context, s *session, arg string) error {
	req, err := f.request(s.now())
	if err != nil {
		return err
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	pod, err := s.pod(ctx, c, arg)
	if err != nil {
		return err
	}
	req.Pod = podRef(pod)
	if f.allContainers {
		return f.readAll(ctx, s, c, pod, req)
	}
	if req.Container, err = s.container(pod, f.container); err != nil {
		return err
	}
	return read(ctx, c, req, f.writer(s.out, pod, req.Container))
}

// request is the flags as the API has them.
func (f *logsFlags) request(now time.Time) (*poddv1.LogsRequest, error) {
	req := &poddv1.LogsRequest{Follow: f.follow, Previous: f.previous, Timestamps: f.timestamps}
	switch {
	case f.allContainers && f.container != "":
		return nil, errors.New("--all-containers=true should not be specified with container name " + f.container)
	case f.since != 0 && f.sinceTime != "":
		return nil, errors.New("at most one of --since and --since-time may be specified")
	case f.since < 0:
		return nil, errors.New("--since must be greater than 0")
	case f.limitBytes < 0:
		return nil, errors.New("--limit-bytes must be greater than 0")
	}
	if f.tail >= 0 {
		req.Tail = &f.tail
	}
	if f.limitBytes > 0 {
		req.LimitBytes = &f.limitBytes
	}
	if f.since > 0 {
		req.SinceTime = timestamppb.New(now.Add(-f.since))
	}
	if f.sinceTime != "" {
		since, err := time.Parse(time.RFC3339Nano, f.sinceTime)
		if err != nil {
			return nil, fmt.Errorf("--since-time: %w", err)
		}
		req.SinceTime = timestamppb.New(since)
	}
	return req, nil
}

// writer is where a container's lines go.
func (f *logsFlags) writer(out io.Writer, pod *corev1.Pod, container string) io.Writer {
	if !f.prefix {
		return out
	}
	return &lineWriter{out: out, lock: &sync.Mutex{}, prefix: fmt.Sprintf("[pod/%s/%s] ", pod.Name, container)}
}

// readAll reads the logs of all containers: one after the other or, when it
// follows, all at once with whole lines. A container that has not written yet
// is no reason to read no other.
func (f *logsFlags) readAll(ctx context.Context, s *session, c *client, pod *corev1.Pod, req *poddv1.LogsRequest) error {
	names := containerNames(pod)
	if !f.follow {
		var wrong []error
		for _, name := range names {
			wrong = append(wrong, read(ctx, c, forContainer(req, name), f.writer(s.out, pod, name)))
		}
		return errors.Join(wrong...)
	}
	var lock sync.Mutex
	var running sync.WaitGroup
	wrong := make([]error, len(names))
	for i, name := range names {
		w := &lineWriter{out: s.out, lock: &lock}
		if f.prefix {
			w.prefix = fmt.Sprintf("[pod/%s/%s] ", pod.Name, name)
		}
		running.Go(func() {
			wrong[i] = errors.Join(read(ctx, c, forContainer(req, name), w), w.flush())
		})
	}
	running.Wait()
	return errors.Join(wrong...)
}

func forContainer(req *poddv1.LogsRequest, name string) *poddv1.LogsRequest {
	return &poddv1.LogsRequest{
		Pod: req.GetPod(), Container: name, Follow: req.GetFollow(), Previous: req.GetPrevious(), Timestamps: req.GetTimestamps(),
		Tail: req.Tail, LimitBytes: req.LimitBytes, SinceTime: req.GetSinceTime(),
	}
}

// read copies one container's log to w until its end. One that is followed goes
// on when podd is restarted, unless so many bytes only were asked for.
func read(ctx context.Context, c *client, req *poddv1.LogsRequest, w io.Writer) error {
	if req.GetFollow() && req.LimitBytes == nil {
		return followLog(ctx, c, req, w)
	}
	return readOnce(ctx, c, req, w)
}

func readOnce(ctx context.Context, c *client, req *poddv1.LogsRequest, w io.Writer) error {
	stream, err := c.streams.Logs(ctx, req)
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(resp.GetData()); err != nil {
			return err
		}
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// nonZeroExitCode is the reason of a status that only says that a command ended
// with another code than 0; a kubelet sends it so.
const nonZeroExitCode metav1.StatusReason = "NonZeroExitCode"

// execFlags are the flags of exec.
type execFlags struct {
	stdioFlags
	container string
}

func newExec(s *session) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:               "exec POD [-c CONTAINER] -- COMMAND [ARG...]",
		Short:             "Run a command in a container",
		Long:              "Run a command in a container. podctl ends with the exit code of the command.",
		Example:           "  podctl exec web -- ls /\n  podctl exec -it web -- sh\n  podctl exec -i web -c side -- tee /data/x < x",
		ValidArgsFunction: s.completePods,
		RunE: func(cmd *cobra.Command, args []string) error {
			pod, command, err := splitCommand(args, cmd.ArgsLenAtDash())
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), s, pod, command)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.container, "container", "c", "", "the container, if the pod has several")
	flags.BoolVarP(&f.stdin, "stdin", "i", false, "pass standard input to the command")
	flags.BoolVarP(&f.tty, "tty", "t", false, "give the command a terminal")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "only what the command prints")
	complete(cmd, "container", s.completeContainers)
	return cmd
}

// splitCommand parts the pod from the command, which follows --.
func splitCommand(args []string, dash int) (pod string, command []string, err error) {
	switch {
	case dash < 0 && len(args) > 1:
		return "", nil, errors.New("exec [POD] [COMMAND] is not supported: write podctl exec POD -- COMMAND")
	case len(args) == 0 || dash == 0:
		return "", nil, errors.New("pod or type/name must be specified")
	case dash > 1:
		return "", nil, fmt.Errorf("one pod at a time, not %d", dash)
	case dash < 0 || len(args) == dash:
		return "", nil, errors.New("you must specify at least one command for the container")
	}
	return args[0], args[1:], nil
}

func (f *execFlags) run(ctx context.Context, s *session, arg string, command []string) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	defer c.close()
	pod, err := s.pod(ctx, c, arg)
	if err != nil {
		return err
	}
	quiet := *s
	if f.quiet {
		quiet.errOut = io.Discard
	}
	container, err := quiet.container(pod, f.container)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.settle(s)
	stream, err := c.streams.Exec(ctx)
	if err != nil {
		return err
	}
	start := &poddv1.ExecRequest_Start{Pod: podRef(pod), Container: container, Command: command, Stdin: f.stdin, Tty: f.tty}
	if f.tty {
		start.Size = s.size()
	}
	if err := stream.Send(&poddv1.ExecRequest{Kind: &poddv1.ExecRequest_Start_{Start: start}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return s.join(ctx, &execProcess{stream: stream}, f.stdioFlags)
}

// execProcess is the process of an exec.
type execProcess struct {
	stream poddv1.Streams_ExecClient
	mu     sync.Mutex // a stream takes one sender at a time
}

func (p *execProcess) send(in *poddv1.Input) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stream.Send(&poddv1.ExecRequest{Kind: &poddv1.ExecRequest_Input{Input: in}})
}

func (p *execProcess) recv() (*poddv1.Output, error) {
	resp, err := p.stream.Recv()
	return resp.GetOutput(), err
}

func (p *execProcess) noInput() error { return p.stream.CloseSend() }

// ended is the error that a command's end is: nil for one that ended with 0.
// A status that tells more than the code is told too.
func ended(exit *poddv1.Exit) error {
	end := exitError{code: int(exit.GetCode())}
	var status metav1.Status
	failed := json.Unmarshal(exit.GetStatus(), &status) == nil && status.Status == metav1.StatusFailure
	if failed && status.Reason != nonZeroExitCode {
		end.status = &status
		end.code = max(end.code, 1)
	}
	if end.code == 0 {
		return nil
	}
	return end
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// nonZeroExitCode is the reason of a status that only says that a command ended
// with another code than 0; a kubelet sends it so.
const nonZeroExitCode metav1.StatusReason = "NonZeroExitCode"

// execFlags are the flags of exec.
type execFlags struct {
	container string
	stdin     bool
	tty       bool
	quiet     bool
}

func newExec(s *session) *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:               "exec POD [-c CONTAINER] -- COMMAND [ARG...]",
		Short:             "Run a command in a container",
		Long:              "Run a command in a container. podctl ends with the exit code of the command.",
		Example:           "  podctl exec web -- ls /\n  podctl exec -i web -c side -- tee /data/x < x",
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
	flags.BoolVarP(&f.tty, "tty", "t", false, "with a terminal (not served yet)")
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
	if f.tty {
		return errors.New("exec -t: terminals are not served yet; leave -t out, -i alone passes standard input")
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
	stream, err := c.streams.Exec(ctx)
	if err != nil {
		return err
	}
	start := &poddv1.ExecRequest_Start{Pod: podRef(pod), Container: container, Command: command, Stdin: f.stdin}
	if err := stream.Send(&poddv1.ExecRequest{Kind: &poddv1.ExecRequest_Start_{Start: start}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !f.stdin {
		_ = stream.CloseSend()
		return receiveOutput(stream, s.out, s.errOut)
	}
	// It ends with the stream, at the latest with podctl: a read of standard
	// input can't be called off.
	go sendInput(stream, s.in)
	return receiveOutput(stream, s.out, s.errOut)
}

// sendInput passes standard input on until its end or the stream's.
func sendInput(stream poddv1.Streams_ExecClient, in io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 && send(stream, &poddv1.Input{Kind: &poddv1.Input_Stdin{Stdin: buf[:n]}}) != nil {
			return
		}
		if err != nil {
			_ = send(stream, &poddv1.Input{Kind: &poddv1.Input_StdinEof{StdinEof: true}})
			_ = stream.CloseSend()
			return
		}
	}
}

func send(stream poddv1.Streams_ExecClient, input *poddv1.Input) error {
	return stream.Send(&poddv1.ExecRequest{Kind: &poddv1.ExecRequest_Input{Input: input}})
}

// receiveOutput prints what the command writes until it has ended; its exit
// code is the error.
func receiveOutput(stream poddv1.Streams_ExecClient, out, errOut io.Writer) error {
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("podd ended the stream without an exit code")
		}
		if err != nil {
			return err
		}
		switch part := resp.GetOutput().GetKind().(type) {
		case *poddv1.Output_Stdout:
			_, err = out.Write(part.Stdout)
		case *poddv1.Output_Stderr:
			_, err = errOut.Write(part.Stderr)
		case *poddv1.Output_Exit:
			return ended(part.Exit)
		}
		if err != nil {
			return err
		}
	}
}

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

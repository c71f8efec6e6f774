package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// attachFlags are the flags of attach.
type attachFlags struct {
	stdioFlags
	container string
}

func newAttach(s *session) *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "attach POD [-c CONTAINER]",
		Short: "Join the streams of a container's own process",
		Long: "Join the streams of a container's own process, from now on and until it ends. podctl ends with\n" +
			"its exit code. Input reaches a container whose stdin field is set.",
		Example:           "  podctl attach web\n  podctl attach -it shell",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: s.completePods,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), s, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.container, "container", "c", "", "the container, if the pod has several")
	flags.BoolVarP(&f.stdin, "stdin", "i", false, "pass standard input to the container")
	flags.BoolVarP(&f.tty, "tty", "t", false, "standard input is a terminal")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "only what the container prints")
	complete(cmd, "container", s.completeContainers)
	return cmd
}

func (f *attachFlags) run(ctx context.Context, s *session, arg string) error {
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
	name, err := quiet.container(pod, f.container)
	if err != nil {
		return err
	}
	return f.join(ctx, s, c, pod, name)
}

// join joins the streams of a container until it ends.
func (f *attachFlags) join(ctx context.Context, s *session, c *client, pod *corev1.Pod, name string) error {
	quiet := *s
	if f.quiet {
		quiet.errOut = io.Discard
	}
	f.fit(&quiet, containerOf(pod, name))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.streams.Attach(ctx)
	if err != nil {
		return err
	}
	start := &poddv1.AttachRequest_Start{Pod: podRef(pod), Container: name, Stdin: f.stdin, Tty: f.tty}
	if err := stream.Send(&poddv1.AttachRequest{Kind: &poddv1.AttachRequest_Start_{Start: start}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	p := &attachProcess{stream: stream}
	if f.tty {
		fmt.Fprintln(quiet.errOut, "If you don't see a command prompt, try pressing enter.")
		if size := s.size(); size != nil {
			_ = p.send(&poddv1.Input{Kind: &poddv1.Input_Resize{Resize: size}}) // the receiving tells what is wrong
		}
	}
	return s.join(ctx, p, f.stdioFlags)
}

// fit makes the flags fit the container, as kubectl does.
func (f *attachFlags) fit(s *session, c *corev1.Container) {
	switch {
	case f.tty && !c.TTY:
		f.tty = false
		fmt.Fprintf(s.errOut, "error: Unable to use a TTY - container %s did not allocate one\n", c.Name)
	case c.TTY:
		f.tty = true
	}
	f.settle(s)
}

func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if c := &pod.Spec.EphemeralContainers[i].EphemeralContainerCommon; c.Name == name {
			return (*corev1.Container)(c)
		}
	}
	return &corev1.Container{Name: name} // podd tells that there is none
}

// attachProcess is a container's own process.
type attachProcess struct {
	stream poddv1.Streams_AttachClient
	mu     sync.Mutex // a stream takes one sender at a time
}

func (p *attachProcess) send(in *poddv1.Input) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stream.Send(&poddv1.AttachRequest{Kind: &poddv1.AttachRequest_Input{Input: in}})
}

func (p *attachProcess) recv() (*poddv1.Output, error) {
	resp, err := p.stream.Recv()
	return resp.GetOutput(), err
}

func (p *attachProcess) noInput() error { return p.stream.CloseSend() }

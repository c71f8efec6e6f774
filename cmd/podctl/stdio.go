package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// process is the other end of exec and attach.
type process interface {
	send(*poddv1.Input) error
	recv() (*poddv1.Output, error)
	// noInput tells that nothing will be sent any more.
	noInput() error
}

// stdioFlags say what of the terminal goes to the process.
type stdioFlags struct{ stdin, tty, quiet bool }

// console is podctl's own terminal; nil if standard input is none.
func (s *session) console() *os.File {
	f, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// settle gives a terminal up where there is none, as kubectl does: without -i
// in silence, else with a word.
func (f *stdioFlags) settle(s *session) {
	switch {
	case !f.tty:
	case !f.stdin:
		f.tty = false
	case s.console() == nil:
		f.tty = false
		if !f.quiet {
			fmt.Fprintln(s.errOut, "Unable to use a TTY - input is not a terminal or the right kind of file")
		}
	}
}

// size is that of podctl's terminal; nil for unknown.
func (s *session) size() *poddv1.TerminalSize {
	f := s.console()
	if f == nil {
		return nil
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return nil
	}
	return &poddv1.TerminalSize{Width: uint32(width), Height: uint32(height)}
}

// join connects podctl's standard streams to a process until that has ended;
// its exit code is the error. The terminal is left as it was, whatever happens.
func (s *session) join(ctx context.Context, p process, f stdioFlags) error {
	if f.tty {
		console := s.console()
		was, err := term.MakeRaw(int(console.Fd()))
		if err != nil {
			return fmt.Errorf("set the terminal to raw mode: %w", err)
		}
		defer func() { _ = term.Restore(int(console.Fd()), was) }()
		ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGHUP)
		defer cancel()
		go s.tellSizes(ctx, p)
		return s.converse(ctx, p, f)
	}
	return s.converse(ctx, p, f)
}

func (s *session) converse(ctx context.Context, p process, f stdioFlags) error {
	if f.stdin {
		// It ends with the stream, at the latest with podctl: a read of standard
		// input can't be called off.
		go sendInput(p, s.in)
	} else if !f.tty {
		_ = p.noInput()
	}
	over := make(chan error, 1)
	go func() { over <- receiveOutput(p, s.out, s.errOut) }()
	select {
	case err := <-over:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tellSizes sends the terminal's size whenever it changes.
func (s *session) tellSizes(ctx context.Context, p process) {
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	defer signal.Stop(changes)
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			if size := s.size(); size != nil && p.send(&poddv1.Input{Kind: &poddv1.Input_Resize{Resize: size}}) != nil {
				return
			}
		}
	}
}

// sendInput passes standard input on until its end or the stream's.
func sendInput(p process, in io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 && p.send(&poddv1.Input{Kind: &poddv1.Input_Stdin{Stdin: buf[:n]}}) != nil {
			return
		}
		if err != nil {
			_ = p.send(&poddv1.Input{Kind: &poddv1.Input_StdinEof{StdinEof: true}})
			return
		}
	}
}

// receiveOutput prints what the process writes until it has ended; its exit
// code is the error.
func receiveOutput(p process, out, errOut io.Writer) error {
	for {
		part, err := p.recv()
		if errors.Is(err, io.EOF) {
			return errors.New("podd ended the stream without an exit code")
		}
		if err != nil {
			return err
		}
		switch part := part.GetKind().(type) {
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

package agent

import (
	"io"
	"math"
	"sync"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// peer is the other end of a process' streams.
type peer struct {
	// recv is nil input for a message that is none.
	recv func() (*poddv1.Input, error)
	mu   sync.Mutex // a gRPC stream takes one sender at a time
	send func(*poddv1.Output) error
}

func (p *peer) tell(out *poddv1.Output) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.send(out)
}

type writer func([]byte) error

func (w writer) Write(p []byte) (int, error) {
	if err := w(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (p *peer) stdout(b []byte) error {
	return p.tell(&poddv1.Output{Kind: &poddv1.Output_Stdout{Stdout: b}})
}

func (p *peer) stderr(b []byte) error {
	return p.tell(&poddv1.Output{Kind: &poddv1.Output_Stderr{Stderr: b}})
}

// stdio connects the caller to a process. stop is called when the process has
// ended; it may be called more than once.
func (p *peer) stdio(stdin, tty bool) (to pod.Stdio, stop func()) {
	to = pod.Stdio{Stdout: writer(p.stdout), Stderr: writer(p.stderr)}
	f := &feed{sizes: make(chan pod.TerminalSize, 1)}
	if stdin {
		f.out, f.in = io.Pipe()
		to.Stdin = f.out
	}
	if tty {
		to.Resize = f.sizes
	}
	go f.run(p.recv)
	return to, f.stop
}

// feed is the caller's input on its way to the process.
type feed struct {
	out   *io.PipeReader // nil without input
	in    *io.PipeWriter // nil without input
	sizes chan pod.TerminalSize
}

// run ends with the call at the latest.
func (f *feed) run(recv func() (*poddv1.Input, error)) {
	defer f.close()
	for {
		in, err := recv()
		if err != nil { // half-close, or gone: no more input either way
			return
		}
		switch in := in.GetKind().(type) {
		case *poddv1.Input_Stdin:
			f.write(in.Stdin)
		case *poddv1.Input_StdinEof:
			f.close()
		case *poddv1.Input_Resize:
			f.resize(terminalSize(in.Resize))
		}
	}
}

func (f *feed) write(p []byte) {
	if f.in != nil {
		_, _ = f.in.Write(p) // the process may not read any more
	}
}

func (f *feed) close() {
	if f.in != nil {
		f.in.Close()
	}
}

// resize keeps the latest size only.
func (f *feed) resize(size pod.TerminalSize) {
	select {
	case <-f.sizes:
	default:
	}
	f.sizes <- size
}

func (f *feed) stop() {
	if f.out != nil {
		f.out.Close()
	}
}

// terminalSize is zero for none.
func terminalSize(s *poddv1.TerminalSize) pod.TerminalSize {
	return pod.TerminalSize{
		Width: uint16(min(s.GetWidth(), math.MaxUint16)), Height: uint16(min(s.GetHeight(), math.MaxUint16)),
	}
}

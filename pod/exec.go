package pod

import "io"

// Stdio connects a process in a container to its caller.
type Stdio struct {
	// Stdin may be nil, which is an empty input; Stdout and Stderr may be nil,
	// which discards. With a terminal everything goes to Stdout.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Resize tells the sizes of the caller's terminal; it may be nil.
	Resize <-chan TerminalSize
}

// ExecCommand is a further process in a container.
type ExecCommand struct {
	Args []string
	TTY  bool
	// Size is the terminal's when the process starts; zero for unknown.
	Size TerminalSize
	Stdio
}

// AttachOptions say how to join a container's own streams.
type AttachOptions struct {
	// StdinOnce closes the container's input for good with the first input that
	// ends, as Kubernetes' field of that name asks.
	StdinOnce bool
	Stdio
}

// TerminalSize is in characters.
type TerminalSize struct{ Width, Height uint16 }

package pod

import "io"

// ExecCommand is a further process in a container.
type ExecCommand struct {
	Args []string
	// Stdin may be nil, which is an empty input; Stdout and Stderr may be nil,
	// which discards. With TTY everything goes to Stdout.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	TTY            bool
	// Resize may be nil.
	Resize <-chan TerminalSize
}

// TerminalSize is in characters.
type TerminalSize struct{ Width, Height uint16 }

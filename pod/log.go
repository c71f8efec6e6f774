package pod

import "time"

// LogOptions say what to read.
type LogOptions struct {
	Pod       Key
	Container string
	// Attempt is the instance to read.
	Attempt    int
	Follow     bool
	Tail       *int64
	LimitBytes *int64
	Since      time.Time
	Timestamps bool
	// Done is closed when the container has ended for good; it may be nil.
	Done <-chan struct{}
}

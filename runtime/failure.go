package runtime

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"

	"github.com/podd-io/podd/pod"
)

// Failure translates an error of containerd or the kernel into what the core
// understands. It is called once, at the boundary; an error that is a
// *pod.Failure already stays as it is.
func Failure(err error, reason string) error {
	if err == nil {
		return nil
	}
	var known *pod.Failure
	if errors.As(err, &known) {
		return err
	}
	return &pod.Failure{Kind: kindOf(err), Reason: reason, Message: err.Error()}
}

func kindOf(err error) pod.FailureKind {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return pod.Transient
	case errdefs.IsNotFound(err):
		return pod.NotFound
	case errdefs.IsAlreadyExists(err), errdefs.IsConflict(err):
		return pod.Conflict
	case errdefs.IsInvalidArgument(err), errdefs.IsPermissionDenied(err):
		return pod.Permanent
	case errors.Is(err, syscall.ENOSPC), errdefs.IsUnavailable(err):
		return pod.Transient
	}
	return pod.Transient
}

// startFailure is what a kubelet reports when the OCI runtime can't start a
// process. Nothing but a new attempt can help, so it counts as one.
func startFailure(err error) error {
	return &pod.Failure{
		Kind:    kindOf(err),
		Reason:  "StartError",
		Message: "failed to create containerd task: " + trimRuntime(err.Error()),
	}
}

// trimRuntime leaves what matters of an error that passed through shim and
// ttrpc.
func trimRuntime(msg string) string {
	for _, noise := range []string{"rpc error: code = Unknown desc = ", ": unknown"} {
		msg = strings.ReplaceAll(msg, noise, "")
	}
	return msg
}

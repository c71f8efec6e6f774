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
// process.
func startFailure(err error) error {
	return &pod.Failure{
		Kind: kindOf(err), Reason: reasonRun,
		Message: "failed to create containerd task: " + trimRuntime(err.Error()),
	}
}

// trimRuntime leaves what matters of an error that came from the OCI runtime
// through shim and containerd, each of which put something before it.
func trimRuntime(msg string) string {
	before := []string{
		"rpc error: code = Unknown desc = ", "ttrpc: ", "failed to create shim task: ", "failed to start shim task: ",
		"OCI runtime create failed: ", "OCI runtime start failed: ", "OCI runtime exec failed: ",
		"runc create failed: ", "runc start failed: ", "runc exec failed: ", "exec failed: ", "crun: ",
		"unable to start container process: ", "error during container init: ",
	}
	for trimmed := true; trimmed; {
		trimmed = false
		for _, noise := range before {
			if rest, ok := strings.CutPrefix(msg, noise); ok {
				msg, trimmed = rest, true
			}
		}
	}
	return strings.TrimSpace(strings.TrimSuffix(msg, ": unknown"))
}

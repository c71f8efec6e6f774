package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// Reasons that Kubernetes has no word for.
const (
	reasonCancelled      metav1.StatusReason = "ClientClosedRequest"
	reasonUnimplemented  metav1.StatusReason = "NotImplemented"
	reasonNoSpace        metav1.StatusReason = "InsufficientStorage"
	statusClientClosed                       = 499 // nginx' number, widely understood
	reasonOutOfResources metav1.StatusReason = "OutOfResources"
)

// codesOfReasons are the gRPC codes of Kubernetes' reasons, with their HTTP
// codes for errors that come without one.
func codesOfReasons() map[metav1.StatusReason]struct {
	code codes.Code
	http int32
} {
	return map[metav1.StatusReason]struct {
		code codes.Code
		http int32
	}{
		metav1.StatusReasonNotFound:              {codes.NotFound, http.StatusNotFound},
		metav1.StatusReasonAlreadyExists:         {codes.AlreadyExists, http.StatusConflict},
		metav1.StatusReasonConflict:              {codes.Aborted, http.StatusConflict},
		metav1.StatusReasonInvalid:               {codes.InvalidArgument, http.StatusUnprocessableEntity},
		metav1.StatusReasonBadRequest:            {codes.InvalidArgument, http.StatusBadRequest},
		reasonOwned:                              {codes.FailedPrecondition, http.StatusForbidden},
		metav1.StatusReasonForbidden:             {codes.PermissionDenied, http.StatusForbidden},
		metav1.StatusReasonExpired:               {codes.OutOfRange, http.StatusGone},
		metav1.StatusReasonTimeout:               {codes.DeadlineExceeded, http.StatusGatewayTimeout},
		metav1.StatusReasonServiceUnavailable:    {codes.Unavailable, http.StatusServiceUnavailable},
		reasonNoSpace:                            {codes.ResourceExhausted, http.StatusInsufficientStorage},
		metav1.StatusReasonRequestEntityTooLarge: {codes.ResourceExhausted, http.StatusRequestEntityTooLarge},
		reasonOutOfResources:                     {codes.ResourceExhausted, http.StatusTooManyRequests},
		reasonCancelled:                          {codes.Canceled, statusClientClosed},
		reasonUnimplemented:                      {codes.Unimplemented, http.StatusNotImplemented},
		metav1.StatusReasonInternalError:         {codes.Internal, http.StatusInternalServerError},
	}
}

// statusError turns any error into a gRPC one that carries a metav1.Status. It
// is the only place where the two meet.
func statusError(err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		if len(s.Details()) > 0 {
			return err
		}
		return withDetail(s.Code(), metav1.Status{Message: s.Message(), Reason: reasonOf(s.Code())})
	}
	k8s := kubernetesStatus(err)
	known, ok := codesOfReasons()[k8s.Reason]
	if !ok {
		known.code = codes.Internal
	}
	return withDetail(known.code, k8s)
}

// reasonOf is what a bare gRPC code is in Kubernetes' words.
func reasonOf(c codes.Code) metav1.StatusReason {
	switch c {
	case codes.InvalidArgument:
		return metav1.StatusReasonBadRequest
	case codes.AlreadyExists:
		return metav1.StatusReasonAlreadyExists
	case codes.ResourceExhausted:
		return reasonOutOfResources
	}
	for reason, known := range codesOfReasons() {
		if known.code == c {
			return reason
		}
	}
	return metav1.StatusReasonInternalError
}

// kubernetesStatus is any error as Kubernetes would tell it.
func kubernetesStatus(err error) metav1.Status {
	var api apierrors.APIStatus
	if errors.As(err, &api) {
		return api.Status()
	}
	st := metav1.Status{Message: err.Error(), Reason: metav1.StatusReasonInternalError}
	var f *pod.Failure
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		st.Reason = metav1.StatusReasonTimeout
	case errors.Is(err, context.Canceled):
		st.Reason = reasonCancelled
	case errors.Is(err, syscall.ENOSPC):
		st.Reason = reasonNoSpace
	case errors.Is(err, errStopped):
		st.Reason = metav1.StatusReasonServiceUnavailable
	case errors.Is(err, errPodGone):
		st.Reason = metav1.StatusReasonNotFound
	case errors.As(err, &f):
		st.Reason = reasonOfFailure(f.Kind)
	}
	return st
}

func reasonOfFailure(k pod.FailureKind) metav1.StatusReason {
	switch k {
	case pod.NotFound:
		return metav1.StatusReasonNotFound
	case pod.Conflict:
		return metav1.StatusReasonConflict
	case pod.Permanent:
		return metav1.StatusReasonBadRequest
	case pod.Transient:
	}
	return metav1.StatusReasonServiceUnavailable
}

func withDetail(c codes.Code, k8s metav1.Status) error {
	k8s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	k8s.Status = metav1.StatusFailure
	if k8s.Code == 0 {
		k8s.Code = codesOfReasons()[k8s.Reason].http
	}
	s := status.New(c, k8s.Message)
	raw, err := json.Marshal(k8s)
	if err != nil {
		return s.Err()
	}
	detailed, err := s.WithDetails(&poddv1.Status{Json: raw})
	if err != nil {
		return s.Err()
	}
	return detailed.Err()
}

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

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
		return withDetail(s.Code(), metav1.Status{
			Status: metav1.StatusFailure, Message: s.Message(), Code: httpCode(s.Code()), Reason: reasonFor(s.Code()),
		})
	}
	k8s := kubernetesStatus(err)
	return withDetail(code(k8s), k8s)
}

func kubernetesStatus(err error) metav1.Status {
	var api apierrors.APIStatus
	if errors.As(err, &api) {
		return api.Status()
	}
	st := metav1.Status{Status: metav1.StatusFailure, Message: err.Error(), Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError}
	var f *pod.Failure
	switch {
	case errors.As(err, &f) && f.Kind == pod.NotFound:
		st.Code, st.Reason = http.StatusNotFound, metav1.StatusReasonNotFound
	case errors.As(err, &f) && f.Kind == pod.Permanent:
		st.Code, st.Reason = http.StatusBadRequest, metav1.StatusReasonBadRequest
	case errors.As(err, &f) && f.Kind == pod.Conflict:
		st.Code, st.Reason = http.StatusConflict, metav1.StatusReasonConflict
	case errors.Is(err, context.DeadlineExceeded):
		st.Code, st.Reason = http.StatusGatewayTimeout, metav1.StatusReasonTimeout
	case errors.Is(err, context.Canceled):
		st.Code, st.Reason = 499, "ClientClosedRequest"
	}
	st.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	return st
}

func withDetail(c codes.Code, k8s metav1.Status) error {
	k8s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
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

// code is the gRPC code of a Kubernetes status.
func code(s metav1.Status) codes.Code {
	switch s.Reason {
	case metav1.StatusReasonNotFound:
		return codes.NotFound
	case metav1.StatusReasonAlreadyExists:
		return codes.AlreadyExists
	case metav1.StatusReasonConflict:
		return codes.Aborted
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest:
		return codes.InvalidArgument
	case reasonOwned:
		return codes.FailedPrecondition
	case metav1.StatusReasonForbidden:
		return codes.PermissionDenied
	case metav1.StatusReasonExpired:
		return codes.OutOfRange
	case metav1.StatusReasonTimeout:
		return codes.DeadlineExceeded
	case metav1.StatusReasonServiceUnavailable:
		return codes.Unavailable
	case "ClientClosedRequest":
		return codes.Canceled
	}
	return codes.Internal
}

// httpCode and reasonFor say what a bare gRPC code is in Kubernetes' words.
func httpCode(c codes.Code) int32 {
	switch c {
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Canceled:
		return 499
	}
	return http.StatusInternalServerError
}

func reasonFor(c codes.Code) metav1.StatusReason {
	switch c {
	case codes.Unimplemented:
		return "NotImplemented"
	case codes.Unavailable:
		return metav1.StatusReasonServiceUnavailable
	case codes.InvalidArgument:
		return metav1.StatusReasonBadRequest
	}
	return metav1.StatusReasonInternalError
}

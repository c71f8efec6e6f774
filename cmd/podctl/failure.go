package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// exitError is the error of a command that ran in a container and did not end
// with 0; podctl ends with the same code.
type exitError struct {
	code int
	// silent: there is nothing to say.
	silent bool
	// status is set when it could not be run, or ended in a way of its own.
	status *metav1.Status
}

func (e exitError) Error() string {
	text := fmt.Sprintf("command terminated with exit code %d", e.code)
	if e.status != nil {
		text = statusText(*e.status) + "\n" + text
	}
	return text
}

// reported is the error of a verb that has already said what went wrong.
type reported struct{}

func (reported) Error() string { return "failed" }

// report prints an error as kubectl does and returns the exit code.
func (s *session) report(err error) int {
	var end exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &end):
		if !end.silent {
			fmt.Fprintln(s.errOut, end.Error())
		}
		return end.code
	case errors.As(err, new(reported)):
		return 1
	}
	all := leaves(err)
	for _, e := range all {
		text, known := s.describeFailure(e)
		if !known && len(all) == 1 && !strings.HasPrefix(text, "error: ") {
			text = "error: " + text
		}
		fmt.Fprintln(s.errOut, strings.TrimSuffix(text, "\n"))
	}
	return 1
}

// leaves are the errors that were joined into err.
func leaves(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, leaves(e)...)
	}
	return all
}

// describeFailure is the text of one error; known says that it needs no
// "error: " before it.
func (s *session) describeFailure(err error) (text string, known bool) {
	if api := apierrors.APIStatus(nil); errors.As(err, &api) {
		return statusText(api.Status()), true
	}
	st, ok := grpcStatus(err)
	if !ok {
		return err.Error(), false
	}
	if detail := statusDetail(st); detail != nil {
		return statusText(*detail), true
	}
	switch _, dialing, found := strings.Cut(st.Message(), "Error while dialing: "); {
	case found:
		return s.nobodyAnswers(strings.TrimSuffix(dialing, `"`)), false
	case st.Code() == codes.Unavailable:
		return fmt.Sprintf("podd at %s went away: %s", s.endpoint(), st.Message()) + s.whyClosed(), false
	case st.Code() == codes.DeadlineExceeded:
		return fmt.Sprintf("podd at %s did not answer within %s (--request-timeout)", s.endpoint(), s.requestTimeout), false
	}
	return fmt.Sprintf("Error from server (%s): %s", st.Code(), st.Message()), true
}

// nobodyAnswers says what was tried and what can be done.
func (s *session) nobodyAnswers(cause string) string {
	advice := "Is podd running? Start it (systemctl start podd), or say where it listens with --address or $PODD_ADDRESS."
	if strings.Contains(cause, "permission denied") {
		advice = "Use root, or an account in the group that owns the socket (podd)."
	}
	return fmt.Sprintf("podd does not answer at %s: %s\n%s", s.endpoint(), cause, advice)
}

// whyClosed is what may be behind a closed connection: with TLS 1.3 podd can only
// close that of somebody whose certificate it does not accept.
func (s *session) whyClosed() string {
	if !strings.HasPrefix(s.endpoint(), tcpScheme) {
		return ""
	}
	return "\nHas an authority of podd's client-ca-file signed the client certificate?"
}

// grpcStatus is the status of a call that failed, if err is one's.
func grpcStatus(err error) (*status.Status, bool) {
	var failed interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &failed) {
		return nil, false
	}
	return failed.GRPCStatus(), true
}

// statusDetail is the metav1.Status that podd adds to its errors.
func statusDetail(st *status.Status) *metav1.Status {
	for _, detail := range st.Details() {
		if carried, ok := detail.(*poddv1.Status); ok {
			var s metav1.Status
			if json.Unmarshal(carried.GetJson(), &s) == nil {
				return &s
			}
		}
	}
	return nil
}

// statusText is a refusal in kubectl's words.
func statusText(s metav1.Status) string {
	switch {
	case s.Reason == metav1.StatusReasonInvalid && s.Details != nil:
		return invalidText(s)
	case s.Reason == metav1.StatusReasonUnknown:
		return "Error from server: " + s.Message
	}
	return fmt.Sprintf("Error from server (%s): %s", s.Reason, s.Message)
}

// invalidText lists what is wrong with an object, one cause a line.
func invalidText(s metav1.Status) string {
	text := "The request is invalid"
	if s.Details.Kind != "" || s.Details.Name != "" {
		text = fmt.Sprintf("The %s %q is invalid", s.Details.Kind, s.Details.Name)
	}
	switch causes := s.Details.Causes; len(causes) {
	case 0:
		return text + ": " + s.Message
	case 1:
		return text + ": " + causeText(causes[0])
	default:
		text += ": "
		for _, cause := range causes {
			text += "\n* " + causeText(cause)
		}
		return text
	}
}

func causeText(c metav1.StatusCause) string {
	if c.Field == "" {
		return c.Message
	}
	return c.Field + ": " + c.Message
}

// isNotFound tells whether err says that an object isn't there.
func isNotFound(err error) bool {
	if apierrors.IsNotFound(err) {
		return true
	}
	st, ok := grpcStatus(err)
	return ok && st.Code() == codes.NotFound
}

// notFound is the error for an object that was there or should be.
func notFound(r ref) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: r.kind.plural}, r.name)
}

// badRequest is the refusal of what podd could not do either.
func badRequest(format string, args ...any) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusBadRequest,
		Reason: metav1.StatusReasonBadRequest, Message: fmt.Sprintf(format, args...),
	}}
}

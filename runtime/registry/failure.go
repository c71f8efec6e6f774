package registry

import (
	"errors"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"go.uber.org/zap"
)

// failure is why a visit failed, in words that name what was answered. It wraps
// containerd's error.
type failure struct {
	words string
	err   error
}

func (f *failure) Error() string { return f.words }
func (f *failure) Unwrap() error { return f.err }

// Failure puts the error with which a visit ended into words. It is to be called
// when the visit has ended. No credential is in it.
func (v *Visit) Failure(err error) error {
	words := v.answers.text()
	if words == "" || !v.answered(err) {
		words = legible(err)
	}
	if v.cred == (Credential{}) && v.answers.wanted() {
		words += "; no credentials are known for it"
	}
	words = strings.Join(append([]string{words}, v.access.lacking...), "; ")
	return &failure{words: v.cred.redact(words), err: err}
}

// Succeeded logs what went wrong on the way, such as a mirror that is down. It
// is to be called when the visit has ended well.
func (v *Visit) Succeeded() {
	if words := v.answers.text(); words != "" {
		v.access.registries.log.Info("an image was pulled around hosts that failed",
			zap.String("image", v.access.name), zap.String("why", v.cred.redact(words)))
	}
}

// answered tells whether an error stands for what a registry answered, or for
// its silence. What was not found may also be a part of an image that was.
func (v *Visit) answered(err error) bool {
	var status remoteerrors.ErrUnexpectedStatus
	var request *url.Error
	var network net.Error
	return errors.As(err, &status) || errors.As(err, &request) || errors.As(err, &network) ||
		errors.Is(err, docker.ErrInvalidAuthorization) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errdefs.IsNotFound(err) && v.answers.has(v.registry())
}

// query is what may hold signatures in an address.
var query = regexp.MustCompile(`\?[^\s"]+`)

// legible is an error in fewer words, and without secrets of addresses.
func legible(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		if u, parseErr := url.Parse(request.URL); parseErr == nil {
			return u.Host + ": " + legible(request.Err)
		}
	}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, `failed to resolve reference "`); ok {
		_, text, _ = strings.Cut(rest, `": `)
	}
	return query.ReplaceAllString(text, "?...")
}

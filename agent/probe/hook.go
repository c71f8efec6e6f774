package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Caller makes the HTTP requests of lifecycle hooks. Certificates are not
// verified, as a kubelet does not either.
type Caller struct{ client *http.Client }

// NewCaller makes one. Each request has a connection of its own.
func NewCaller() Caller {
	return Caller{&http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as documented
	}}}
}

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 10 << 10

// Call sends a request; whatever is answered is success.
func (c Caller) Call(ctx context.Context, host string, get *corev1.HTTPGetAction) error {
	target, err := url.Parse(get.Path)
	if err != nil {
		return fmt.Errorf("path %q: %w", get.Path, err)
	}
	target.Scheme = "http"
	if get.Scheme == corev1.URISchemeHTTPS {
		target.Scheme = "https"
	}
	if !strings.HasPrefix(target.Path, "/") {
		target.Path = "/" + target.Path
	}
	target.Host = net.JoinHostPort(host, get.Port.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	for _, h := range get.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			req.Host = h.Value
		} else {
			req.Header.Add(h.Name, h.Value)
		}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // what it says does not matter
	return nil
}

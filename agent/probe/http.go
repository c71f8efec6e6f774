package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/podd-io/podd/pod"
)

// The kubelet's: how much of a body counts, how far redirects are followed,
// and what it calls itself.
const (
	maxBody      = 10 << 10
	maxRedirects = 10
	userAgent    = "kube-probe/1.37"
)

// transport makes one connection a request, uses no proxy and does not verify
// certificates: a probe asks whether the pod answers, not who it is. HTTP/2 is
// spoken where TLS agrees on it.
func transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as a kubelet
		DisableKeepAlives:  true,
		DisableCompression: true,
		ForceAttemptHTTP2:  true,
		DialContext:        dialer(0).DialContext, // the client's timeout holds
	}
}

// maxTries is the kubelet's: so often an answer that breaks off is asked for
// again at once.
const maxTries = 3

func (p *Prober) http(ctx context.Context, cfg pod.ProbeConfig) (out pod.ProbeOutcome, err error) {
	for range maxTries {
		if out, err = p.get(ctx, cfg); err == nil || ctx.Err() != nil {
			break
		}
	}
	return out, err
}

func (p *Prober) get(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error) {
	req, err := request(ctx, cfg)
	if err != nil {
		return pod.ProbeOutcome{}, &pod.Failure{Kind: pod.Permanent, Message: err.Error()}
	}
	// The timeout is the client's, not the context's, for the words that people
	// know: "Client.Timeout exceeded while awaiting headers".
	client := http.Client{Transport: p.transport, Timeout: cfg.Timeout, CheckRedirect: sameHost}
	resp, err := client.Do(req)
	if err != nil {
		return unhealthy(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return brokenBody(ctx, err)
	}
	return judge(resp, string(body)), nil
}

// brokenBody: a body that breaks off tells nothing, as in a kubelet. One that
// doesn't come in time is a timeout, which timeoutSeconds promises to be a
// failure.
func brokenBody(ctx context.Context, err error) (pod.ProbeOutcome, error) {
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return unhealthy(ctx, err)
	}
	return pod.ProbeOutcome{}, &pod.Failure{Kind: pod.Transient, Reason: pod.ProbeStateFailure, Message: err.Error()}
}

// judge: 200 to 399 is health. A redirect to another host was not followed and
// counts as health with a remark, as a kubelet's warning does. A failure does
// not show the body: it may hold what events must not tell
// (kubernetes/kubernetes#99425).
func judge(resp *http.Response, body string) pod.ProbeOutcome {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return pod.ProbeOutcome{Healthy: true, Warning: true, Output: "Probe terminated redirects, Response body: " + body}
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return pod.ProbeOutcome{Healthy: true, Output: body}
	}
	return pod.ProbeOutcome{Output: fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode)}
}

// sameHost follows redirects within the host only; the port may differ.
func sameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// request is the kubelet's: a Host header among the probe's own wins over the
// address.
func request(ctx context.Context, cfg pod.ProbeConfig) (*http.Request, error) {
	h := cfg.Handler.HTTPGet
	host := cfg.Host
	if h.Host != "" {
		host = h.Host
	}
	u, err := url.Parse(h.Path)
	if err != nil {
		u = &url.URL{Path: h.Path} // taken as it is, as a kubelet does
	}
	u.Scheme, u.Host = strings.ToLower(string(h.Scheme)), address(host, h.Port.IntValue())
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = header(h.HTTPHeaders)
	req.Host = req.Header.Get("Host") // empty: the address
	return req, nil
}

// header is the probe's own, with what is missing from it. An empty Accept or
// User-Agent asks for none; net/http leaves the latter out by itself.
func header(own []corev1.HTTPHeader) http.Header {
	out := http.Header{}
	for _, h := range own {
		out.Add(h.Name, h.Value)
	}
	if _, ok := out["User-Agent"]; !ok {
		out.Set("User-Agent", userAgent)
	}
	if _, ok := out["Accept"]; !ok {
		out.Set("Accept", "*/*")
	} else if out.Get("Accept") == "" {
		out.Del("Accept")
	}
	return out
}

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
	"time"

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
// certificates: a probe asks whether the pod answers, not who it is.
func transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as a kubelet
		DisableKeepAlives:      true,
		DisableCompression:     true,
		DialContext:            (&net.Dialer{KeepAlive: -1}).DialContext,
		MaxResponseHeaderBytes: 1 << 20,
		TLSHandshakeTimeout:    time.Minute, // the probe's own timeout ends it before
	}
}

func (p *Prober) http(ctx context.Context, cfg pod.ProbeConfig) (pod.ProbeOutcome, error) {
	req, err := request(ctx, cfg)
	if err != nil {
		return pod.ProbeOutcome{}, &pod.Failure{Kind: pod.Permanent, Message: fmt.Sprintf("%s probe of container %q: %v", cfg.Kind, cfg.Container, err)}
	}
	client := *p.client
	client.CheckRedirect = sameHost
	resp, err := client.Do(req)
	if err != nil {
		return pod.ProbeOutcome{Output: timedOut(ctx, err).Error()}, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return pod.ProbeOutcome{Output: timedOut(ctx, err).Error()}, nil
	}
	return judge(resp, string(body)), nil
}

// judge: 200 to 399 is health. A redirect to another host was not followed and
// counts as health with a remark, as a kubelet's warning does.
func judge(resp *http.Response, body string) pod.ProbeOutcome {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return pod.ProbeOutcome{Healthy: true, Output: fmt.Sprintf("Probe terminated redirects, Response body: %v", body)}
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return pod.ProbeOutcome{Healthy: true, Output: body}
	}
	return pod.ProbeOutcome{Output: fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode)}
}

// sameHost follows redirects within the host only.
func sameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// request is the kubelet's: a Host header among the pod's own wins over the
// address, and an empty Accept or User-Agent header removes the default one.
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
	if own := req.Header.Get("Host"); own != "" {
		req.Host = own
	}
	return req, nil
}

func header(own []corev1.HTTPHeader) http.Header {
	out := http.Header{}
	for _, h := range own {
		out.Add(h.Name, h.Value)
	}
	for name, value := range map[string]string{"User-Agent": userAgent, "Accept": "*/*"} {
		switch given, ok := out[name]; {
		case !ok:
			out.Set(name, value)
		case len(given) == 1 && given[0] == "" && name == "Accept":
			out.Del(name) // User-Agent stays, empty: net/http would add its own
		}
	}
	return out
}

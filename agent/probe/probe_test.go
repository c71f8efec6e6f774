package probe_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podd-io/podd/agent/probe"
	"github.com/podd-io/podd/pod"
)

func target(t *testing.T, raw string) (string, intstr.IntOrString) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname(), intstr.FromInt(port)
}

func get(t *testing.T, server *httptest.Server, path string, headers ...corev1.HTTPHeader) pod.ProbeOutcome {
	t.Helper()
	host, port := target(t, server.URL)
	scheme := corev1.URISchemeHTTP
	if server.TLS != nil {
		scheme = corev1.URISchemeHTTPS
	}
	out, err := probe.New().Probe(t.Context(), pod.ProbeConfig{
		Host: host, Timeout: 300 * time.Millisecond, Kind: pod.Liveness,
		Handler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: port, Scheme: scheme, HTTPHeaders: headers}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func handler(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("fine")) })
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(strings.Repeat("x", 1<<20))) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/bad", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(r.Host + "|" + r.UserAgent() + "|" + r.Header.Get("Accept") + "|" + r.Header.Get("X-Own")))
	})
	return mux
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(handler(t))
	defer server.Close()
	for path, want := range map[string]pod.ProbeOutcome{
		"/ok":   {Healthy: true, Output: "fine"},
		"/bad":  {Output: "HTTP probe failed with statuscode: 500"},
		"/big":  {Healthy: true, Output: strings.Repeat("x", 10<<10)},
		"/here": {Output: "HTTP probe failed with statuscode: 500"},
	} {
		if got := get(t, server, path); got != want {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if got := get(t, server, "/loop"); got.Healthy || !strings.Contains(got.Output, "stopped after 10 redirects") {
		t.Errorf("/loop: %+v", got)
	}
	if got := get(t, server, "/away"); !got.Healthy || !strings.Contains(got.Output, "Probe terminated redirects") {
		t.Errorf("/away: %+v", got)
	}
	if got := get(t, server, "/hang"); got.Healthy || !strings.Contains(got.Output, "deadline exceeded") {
		t.Errorf("/hang: %+v", got)
	}
}

func TestHeaders(t *testing.T) {
	server := httptest.NewServer(handler(t))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	if got := get(t, server, "/who"); got.Output != host+"|kube-probe/1.37|*/*|" {
		t.Errorf("default headers: %q", got.Output)
	}
	got := get(t, server, "/who",
		corev1.HTTPHeader{Name: "Host", Value: "web.example"}, corev1.HTTPHeader{Name: "X-Own", Value: "a"},
		corev1.HTTPHeader{Name: "Accept", Value: "text/plain"})
	if got.Output != "web.example|kube-probe/1.37|text/plain|a" {
		t.Errorf("own headers: %q", got.Output)
	}
}

func TestHTTPSIsNotVerified(t *testing.T) {
	server := httptest.NewTLSServer(handler(t))
	defer server.Close()
	if got := get(t, server, "/ok"); !got.Healthy {
		t.Errorf("%+v", got)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := pod.ProbeConfig{Host: "127.0.0.1", Timeout: time.Second, Handler: corev1.ProbeHandler{
		TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(l.Addr().(*net.TCPAddr).Port)}}}
	if got, err := probe.New().Probe(t.Context(), cfg); err != nil || !got.Healthy {
		t.Errorf("while it listens: %+v, %v", got, err)
	}
	l.Close()
	if got, err := probe.New().Probe(t.Context(), cfg); err != nil || got.Healthy || !strings.Contains(got.Output, "connection refused") {
		t.Errorf("when it listens no more: %+v, %v", got, err)
	}
}

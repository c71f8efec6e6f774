package probe_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/podd-io/podd/agent/probe"
	"github.com/podd-io/podd/pod"
)

// config probes path on a server at raw, which is http://host:port.
func config(t *testing.T, raw, path string, headers ...corev1.HTTPHeader) pod.ProbeConfig {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return pod.ProbeConfig{
		Container: "web", Kind: pod.Liveness, Host: u.Hostname(), Timeout: 10 * time.Second,
		Handler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt(port), Scheme: corev1.URIScheme(strings.ToUpper(u.Scheme)), HTTPHeaders: headers,
		}},
	}
}

func run(t *testing.T, cfg pod.ProbeConfig) pod.ProbeOutcome {
	t.Helper()
	out, err := probe.New().Probe(t.Context(), cfg)
	if err != nil {
		t.Errorf("%s: %v", cfg.Handler.HTTPGet.Path, err)
	}
	return out
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func code(c int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c) }
}

func reset(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// halfway promises more than it sends.
func halfway(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte("only this"))
	w.(http.Flusher).Flush()
	if r.URL.Query().Has("hang") {
		<-r.Context().Done()
	}
}

func server() http.Handler {
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{
		"/ok": text("fine"), "/bad": code(http.StatusInternalServerError), "/gone": code(http.StatusBadRequest),
		"/edge": code(http.StatusOK), "/empty": code(http.StatusNoContent), "/unmodified": code(http.StatusNotModified),
		"/big": text(strings.Repeat("x", 1<<20)), "/loop": redirect("/loop"), "/here": redirect("/bad"),
		"/away": redirect("http://elsewhere.invalid/"), "/reset": reset, "/halfway": halfway,
		"/hang": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"/who": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(strings.Join([]string{r.Host, r.UserAgent(), strings.Join(r.Header["Accept"], ","),
				strings.Join(r.Header["X-Own"], ","), r.Header.Get("Accept-Encoding"), strconv.FormatBool(r.Close), r.URL.RawQuery}, "|")))
		},
	} {
		mux.HandleFunc(path, h)
	}
	return mux
}

func TestHTTP(t *testing.T) {
	s := httptest.NewServer(server())
	defer s.Close()
	for path, want := range map[string]pod.ProbeOutcome{
		"/ok":         {Healthy: true, Output: "fine"},
		"/edge":       {Healthy: true},
		"/empty":      {Healthy: true},
		"/unmodified": {Healthy: true, Warning: true, Output: "Probe terminated redirects, Response body: "},
		"/gone":       {Output: "HTTP probe failed with statuscode: 400"},
		"/bad":        {Output: "HTTP probe failed with statuscode: 500"},
		"/nowhere":    {Output: "HTTP probe failed with statuscode: 404"},
		"/big":        {Healthy: true, Output: strings.Repeat("x", 10<<10)},
		"/here":       {Output: "HTTP probe failed with statuscode: 500"},
		"/away":       {Healthy: true, Warning: true, Output: "Probe terminated redirects, Response body: <a href=\"http://elsewhere.invalid/\">Found</a>.\n\n"},
		"/loop":       {Output: `Get "/loop": stopped after 10 redirects`},
		"/reset":      {Output: `Get "` + s.URL + `/reset": `},
	} {
		got := run(t, config(t, s.URL, path))
		exact := path != "/reset"
		if got.Healthy != want.Healthy || got.Warning != want.Warning || exact && got.Output != want.Output || !strings.HasPrefix(got.Output, want.Output) {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestHTTPHostOfItsOwn(t *testing.T) {
	s := httptest.NewServer(server())
	defer s.Close()
	cfg := config(t, s.URL, "/ok")
	cfg.Handler.HTTPGet.Host, cfg.Host = cfg.Host, "elsewhere.invalid"
	if got := run(t, cfg); !got.Healthy {
		t.Errorf("%+v", got)
	}
}

func TestHTTPTimeout(t *testing.T) {
	s := httptest.NewServer(server())
	defer s.Close()
	for path, want := range map[string]string{
		"/hang":         `Get "` + s.URL + `/hang": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
		"/halfway?hang": "context deadline exceeded (Client.Timeout or context cancellation while reading body)",
	} {
		cfg := config(t, s.URL, path)
		cfg.Timeout = 100 * time.Millisecond
		if got := run(t, cfg); got.Healthy || got.Output != want {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestHTTPAnswerThatBreaksOffTellsNothing(t *testing.T) {
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 5 {
			text("whole")(w, r)
			return
		}
		halfway(w, r)
	}))
	defer s.Close()
	_, err := probe.New().Probe(t.Context(), config(t, s.URL, "/"))
	want := pod.Failure{Kind: pod.Transient, Reason: pod.ProbeStateFailure, Message: "unexpected EOF"}
	var f *pod.Failure
	if !errors.As(err, &f) || *f != want || asked.Load() != 3 {
		t.Errorf("after %d tries: %v", asked.Load(), err)
	}
	if got := run(t, config(t, s.URL, "/")); got.Output != "whole" || asked.Load() != 6 {
		t.Errorf("the third try: %+v", got)
	}
}

func TestHTTPRequestThatCannotBeMade(t *testing.T) {
	cfg := config(t, "http://127.0.0.1:1", "/")
	cfg.Handler.HTTPGet.Scheme = "a b"
	_, err := probe.New().Probe(t.Context(), cfg)
	var f *pod.Failure
	if !errors.As(err, &f) || f.Kind != pod.Permanent || f.Reason != "" || !strings.HasPrefix(f.Message, `parse "a%20b://`) && !strings.HasPrefix(f.Message, `parse "a b://`) {
		t.Errorf("%v", err)
	}
}

// TestHTTPConnectionsAreNotKept: each probe dials anew, so that it asks whether
// the pod can be reached now.
func TestHTTPConnectionsAreNotKept(t *testing.T) {
	var made atomic.Int32
	s := httptest.NewUnstartedServer(server())
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	p := probe.New()
	for range 3 {
		if out, err := p.Probe(t.Context(), config(t, s.URL, "/ok")); err != nil || !out.Healthy {
			t.Errorf("%+v, %v", out, err)
		}
	}
	if made.Load() != 3 {
		t.Errorf("%d connections for 3 probes", made.Load())
	}
}

func TestHTTPHeaders(t *testing.T) {
	s := httptest.NewServer(server())
	defer s.Close()
	t.Setenv("HTTP_PROXY", "http://elsewhere.invalid")
	host := strings.TrimPrefix(s.URL, "http://")
	header := func(name, value string) corev1.HTTPHeader { return corev1.HTTPHeader{Name: name, Value: value} }
	for want, own := range map[string][]corev1.HTTPHeader{
		host + "|kube-probe/1.37|*/*|||true|x=1":               nil,
		"web.example|kube-probe/1.37|text/plain|a,b||true|x=1": {header("host", "web.example"), header("X-Own", "a"), header("X-Own", "b"), header("Accept", "text/plain")},
		host + "|mine||||true|x=1":                             {header("User-Agent", "mine"), header("Accept", "")},
		host + "||*/*|||true|x=1":                              {header("User-Agent", "")},
	} {
		if got := run(t, config(t, s.URL, "/who?x=1", own...)); got.Output != want {
			t.Errorf("%q, not %q", got.Output, want)
		}
	}
}

func TestHTTPSIsNotVerified(t *testing.T) {
	for name, protocols := range map[string][]string{"HTTP/1.1": nil, "HTTP/2.0": {"h2"}} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto)) }))
		s.EnableHTTP2 = protocols != nil
		s.TLS = &tls.Config{NextProtos: protocols}
		s.StartTLS()
		if got := run(t, config(t, s.URL, "/")); !got.Healthy || got.Output != name {
			t.Errorf("%s: %+v", name, got)
		}
		s.Close()
	}
}

func TestHTTPSOfAServerThatSpeaksPlain(t *testing.T) {
	s := httptest.NewServer(server())
	defer s.Close()
	if got := run(t, config(t, strings.Replace(s.URL, "http:", "https:", 1), "/ok")); got.Healthy || !strings.Contains(got.Output, "server gave HTTP response to HTTPS client") {
		t.Errorf("%+v", got)
	}
}

// silent accepts connections and says nothing.
func silent(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestHTTPOfAServerThatNeverAnswers(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		cfg := config(t, scheme+"://"+silent(t).Addr().String(), "/")
		cfg.Timeout = 100 * time.Millisecond
		if got := run(t, cfg); got.Healthy || !strings.Contains(got.Output, "Client.Timeout exceeded") {
			t.Errorf("%s: %+v", scheme, got)
		}
	}
}

func TestTheCallerGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := config(t, "http://"+silent(t).Addr().String(), "/")
	tcp := cfg
	tcp.Handler = corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: cfg.Handler.HTTPGet.Port}}
	for _, cfg := range []pod.ProbeConfig{cfg, tcp} {
		if out, err := probe.New().Probe(ctx, cfg); err == nil {
			t.Errorf("an outcome, %+v", out)
		}
	}
}

func TestTCP(t *testing.T) {
	l := silent(t)
	cfg := pod.ProbeConfig{Host: "127.0.0.1", Timeout: 10 * time.Second, Handler: corev1.ProbeHandler{
		TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(l.Addr().(*net.TCPAddr).Port)}}}
	if got, err := probe.New().Probe(t.Context(), cfg); err != nil || !got.Healthy || got.Output != "" {
		t.Errorf("while it listens: %+v, %v", got, err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err.Error() != "EOF" {
		t.Errorf("the pod sees %d bytes and %v, not an orderly end", n, err)
	}
	_ = conn.Close()
	_ = l.Close()
	if got, err := probe.New().Probe(t.Context(), cfg); err != nil || got.Healthy || !strings.Contains(got.Output, "connect: connection refused") {
		t.Errorf("when it listens no more: %+v, %v", got, err)
	}
	cfg.Handler.TCPSocket.Host = "host.invalid"
	if got, err := probe.New().Probe(t.Context(), cfg); err != nil || got.Healthy || !strings.Contains(got.Output, "host.invalid") {
		t.Errorf("another host: %+v, %v", got, err)
	}
}

func TestNothingToRun(t *testing.T) {
	_, err := probe.New().Probe(t.Context(), pod.ProbeConfig{Container: "web", Pod: types.NamespacedName{Namespace: "default", Name: "p"}})
	var f *pod.Failure
	if !errors.As(err, &f) || f.Kind != pod.Permanent || f.Message != "missing probe handler for default/p:web" {
		t.Errorf("%v", err)
	}
}

func TestNoGoroutineStays(t *testing.T) {
	before := runtime.NumGoroutine()
	s := httptest.NewServer(server())
	tlsServer := httptest.NewUnstartedServer(server())
	tlsServer.EnableHTTP2 = true
	tlsServer.StartTLS()
	p := probe.New()
	for _, base := range []string{s.URL, tlsServer.URL} {
		for _, path := range []string{"/ok", "/big", "/hang", "/halfway", "/away"} {
			cfg := config(t, base, path)
			if path == "/hang" {
				cfg.Timeout = 50 * time.Millisecond
			}
			_, _ = p.Probe(t.Context(), cfg) // the others look at outcomes
		}
	}
	s.Close()
	tlsServer.Close()
	goroutinesBackTo(t, before)
}

func goroutinesBackTo(t *testing.T, before int) {
	t.Helper()
	for wait := time.Millisecond; runtime.NumGoroutine() > before; wait *= 2 {
		if wait > 5*time.Second {
			all := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, all[:runtime.Stack(all, true)])
		}
		time.Sleep(wait)
	}
}

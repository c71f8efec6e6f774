package integration_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// TestBootChart, with pods that are waited for, that fail, and that run on.
func TestBootChart(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "exec sleep 1000"))
	n.apply(shell("db", "exec sleep 1000"))
	n.apply(strings.Replace(shell("bad", "true"), "busybox:1.36", "127.0.0.1:1/nowhere:1", 1))
	n.ready("web")
	n.ready("db")
	svg := n.podctl("boot-chart", "web", "db", "bad")
	d := xml.NewDecoder(strings.NewReader(svg))
	for err := error(nil); err == nil; {
		if _, err = d.Token(); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%v in\n%s", err, svg)
		}
	}
	for _, has := range []string{">web<", ">bad<", "CreateSandbox sandbox: took ", "PullImage image/127.0.0.1:1/nowhere:1", "ready after "} {
		if !strings.Contains(svg, has) {
			t.Errorf("no %q in\n%s", has, svg)
		}
	}
	table := n.podctl("boot-chart", "-o", "wide")
	for _, has := range []string{"containerd up", "take up the known pods", "StartContainer", "failed: "} {
		if !strings.Contains(table, has) {
			t.Errorf("no %q in\n%s", has, table)
		}
	}
	before := n.moments("web")
	n.kill()
	n.start()
	if after := n.moments("web"); after != before || after == "" {
		t.Errorf("before the restart %s, after it %s", before, after)
	}
	if table := n.podctl("boot-chart", "-o", "wide"); !strings.Contains(table, "it ran on while podd was away") {
		t.Errorf("after a restart:\n%s", table)
	}
}

// moments are when a pod's start began and ended.
func (n *node) moments(pod string) string {
	n.t.Helper()
	var got struct {
		Pods []struct{ Begun, Ready, Over string }
	}
	if err := json.Unmarshal([]byte(n.podctl("boot-chart", pod, "-o", "json")), &got); err != nil || len(got.Pods) != 1 {
		n.t.Fatalf("%v: %v", err, got)
	}
	return fmt.Sprint(got.Pods[0])
}

// TestQuitDoesNotEndPodd but has it write its state down.
func TestQuitDoesNotEndPodd(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.apply(shell("web", "exec sleep 1000"))
	n.ready("web")
	if err := n.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	var text string
	n.eventually(10*time.Second, "the state is written", func() error {
		files, _ := filepath.Glob(n.path("run", "state-*.txt"))
		if len(files) != 1 {
			return fmt.Errorf("there are %v", files)
		}
		raw, err := os.ReadFile(files[0])
		text = string(raw)
		return err
	})
	for _, has := range []string{"pod default/web (", "phase Running", "goroutine ", "start: containerd up: "} {
		if !strings.Contains(text, has) {
			t.Errorf("no %q in\n%.2000s", has, text)
		}
	}
	n.ready("web") // it answers
	if got := n.podctl("profile", "state"); !strings.Contains(got, "pod default/web (") {
		t.Errorf("%.2000s", got)
	}
	n.podctl("profile", "cpu", "--seconds=1", "-o", n.path("cpu.pb.gz"))
}

// spans are what a collector was sent.
type spans struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	names map[string]int
	trace map[string]bool
	who   map[string]bool
}

func (s *spans) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range req.GetResourceSpans() {
		for _, a := range r.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				s.who[a.GetValue().GetStringValue()] = true
			}
		}
		for _, scope := range r.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				s.names[span.GetName()]++
				s.trace[string(span.GetTraceId())] = true
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// TestTraces: the environment is the test's, so that it is not parallel.
func TestTraces(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, srv := &spans{names: map[string]int{}, trace: map[string]bool{}, who: map[string]bool{}}, grpc.NewServer()
	collector.RegisterTraceServiceServer(srv, got)
	go func() { _ = srv.Serve(lis) }()
	defer srv.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+lis.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	n := newNode(t)
	n.apply(shell("web", "exec sleep 1000"))
	n.ready("web")
	n.eventually(10*time.Second, "the trace has come", func() error {
		got.mu.Lock()
		defer got.mu.Unlock()
		for _, name := range []string{"pod start", "CreateSandbox", "SetupNetwork", "CreateContainer", "StartContainer"} {
			if got.names[name] != 1 {
				return fmt.Errorf("%d spans of %s: %v", got.names[name], name, got.names)
			}
		}
		return nil
	})
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.trace) != 1 || len(got.who) != 1 || !got.who["podd"] {
		t.Errorf("%d traces, by %v: podd's containerd is not to trace as well", len(got.trace), got.who)
	}
}

// hushes are planted where secrets are; none is to be in a bundle.
var hushes = []string{"hush-data-1", "hush-string-2", "hush-registry-3", "hush-env-4", "hush-applied-5", "hush-file-6", "hush-header-7"}

func TestADebugBundleHasNoSecrets(t *testing.T) {
	t.Parallel()
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	auth, err := os.CreateTemp(t.TempDir(), "auth")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(auth, `{"auths":{"127.0.0.1:1":{"auth":%q}}}`, b64("robot:hush-file-6"))
	auth.Close()
	n := newNode(t, "--registry-auth-file", auth.Name(), "--log-level", "debug")
	n.apply(`
apiVersion: v1
kind: Secret
metadata: {name: keys}
data: {a: ` + b64("hush-data-1") + `}
stringData: {b: hush-string-2}
---
apiVersion: v1
kind: Secret
metadata: {name: registry}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: ` + b64(`{"auths":{"127.0.0.1:1":{"username":"u","password":"hush-registry-3","auth":"`+b64("u:hush-registry-3")+`"}}}`) + `}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"a":"hush-applied-5"}'}
spec:
  terminationGracePeriodSeconds: 0
  imagePullSecrets: [{name: registry}]
  containers:
  - name: main
    image: busybox:1.36
    command: [sleep, "1000"]
    env:
    - {name: PLAIN, value: hush-env-4}
    - {name: KEY, valueFrom: {secretKeyRef: {name: keys, key: a}}}
    livenessProbe: # what it says comes into events and the log
      exec: {command: [sh, -c, "echo the probe says $KEY $PLAIN; exit 1"]}
      periodSeconds: 1
      failureThreshold: 1000
    readinessProbe: {httpGet: {port: 80, httpHeaders: [{name: Authorization, value: Bearer hush-header-7}]}}
`)
	n.eventually(20*time.Second, "the probe's words are in an event", func() error {
		if out := n.podctl("events"); !strings.Contains(out, "the probe says hush-data-1 hush-env-4") {
			return errors.New(out)
		}
		return nil
	})
	path := n.path("bundle.tar.gz")
	said := n.podctl("debug-bundle", "-o", path)
	files := bundled(t, path)
	for name, text := range files {
		for _, hush := range hushes {
			if strings.Contains(text, hush) || strings.Contains(text, b64(hush)) {
				t.Errorf("%s has %s", name, hush)
			}
		}
	}
	for name, has := range map[string]string{
		"objects/events.json": "the probe says [redacted] [redacted]", "objects/pods.json": "PLAIN", "objects/secrets.json": ".dockerconfigjson",
		"config.yaml": "registry-auth-file", "state.txt": "pod default/web (", "podd.log": "podd is ready", "boot-chart.svg": "<svg",
		"metrics.txt": "podd_pods", "version.json": "containerdVersion", "heap.pb.gz": "\x1f\x8b", "goroutines.pb.gz": "\x1f\x8b",
		"timeline.json": "CreateSandbox",
	} {
		if !strings.Contains(files[name], has) {
			t.Errorf("%s: no %q in it; podctl said %s", name, has, said)
		}
	}
	if n.other == nil && !strings.Contains(files["containerd/containerd.log"], "containerd") {
		t.Errorf("containerd's log is not there: %s", said)
	}
}

// bundled are a bundle's files by name.
func bundled(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, archive := map[string]string{}, tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		all[name] = string(text)
	}
}

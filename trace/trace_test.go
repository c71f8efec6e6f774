package trace

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/pod"
)

// receiver is a collector in this process.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	mu   sync.Mutex
	got  []*otlp.ResourceSpans
	asks int
}

func (r *receiver) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got, r.asks = append(r.got, req.GetResourceSpans()...), r.asks+1
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP takes OTLP over HTTP.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	text, err := io.ReadAll(body)
	sent := &collector.ExportTraceServiceRequest{}
	if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(text, sent) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	_, _ = r.Export(req.Context(), sent) // it never fails
}

// spans are all that came, by name.
func (r *receiver) spans() map[string]*otlp.Span {
	all := map[string]*otlp.Span{}
	for _, rs := range r.got {
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				all[s.GetName()] = s
			}
		}
	}
	return all
}

// grpcReceiver is where OTEL_EXPORTER_OTLP_ENDPOINT leads.
func grpcReceiver(t *testing.T) *receiver {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, srv := &receiver{}, grpc.NewServer()
	collector.RegisterTraceServiceServer(srv, r)
	go func() { _ = srv.Serve(lis) }()
	t.Cleanup(srv.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+lis.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	return r
}

var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

func start() agent.Start {
	return agent.Start{Pod: pod.Key{UID: "u-1", Namespace: "default", Name: "web"}, Begun: at(0)}
}

func step(kind pod.Kind, wanted, began, ended int) agent.Step {
	return agent.Step{Kind: kind, Subject: "container/web", Reason: "it is to run", Wanted: at(wanted), Began: at(began), Ended: at(ended)}
}

// traced runs f with a tracer and returns once everything is sent.
func traced(t *testing.T, f func(*Tracer)) {
	t.Helper()
	tracer, err := New(t.Context(), os.Getenv, "v1.2.3", "box", zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	f(tracer)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tracer.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func whole(tr *Tracer) {
	s := start()
	tr.Begin(s)
	s.Steps = append(s.Steps, step(pod.CreateContainer, 10, 30, 50))
	tr.Step(s, s.Steps[0])
	failed := step(pod.StartContainer, 50, 50, 60)
	failed.Error = "no such file"
	s.Steps = append(s.Steps, failed)
	tr.Step(s, failed)
	s.Running, s.Ready, s.Over, s.Outcome = at(70), at(80), at(80), agent.BecameReady
	tr.Over(s)
}

func attributes(all []*common.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range all {
		m[kv.GetKey()] = strings.TrimSpace(strings.SplitN(kv.GetValue().String(), ":", 2)[1])
	}
	return m
}

func TestAStartIsATrace(t *testing.T) {
	for protocol, receive := range map[string]func(*testing.T) *receiver{
		"grpc": grpcReceiver,
		"http": func(t *testing.T) *receiver {
			r := &receiver{}
			srv := httptest.NewServer(r)
			t.Cleanup(srv.Close)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
			return r
		},
	} {
		t.Run(protocol, func(t *testing.T) {
			r := receive(t)
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "site=north")
			traced(t, whole)
			checkWhole(t, r)
		})
	}
}

func checkWhole(t *testing.T, r *receiver) {
	t.Helper()
	spans := r.spans()
	root, create, failed := spans["pod start"], spans["CreateContainer"], spans["StartContainer"]
	if len(spans) != 3 || root == nil || create == nil || failed == nil {
		t.Fatalf("spans: %v", spans)
	}
	for _, child := range []*otlp.Span{create, failed} {
		if string(child.GetTraceId()) != string(root.GetTraceId()) || string(child.GetParentSpanId()) != string(root.GetSpanId()) {
			t.Errorf("%s is not below the start", child.GetName())
		}
	}
	if got := [2]uint64{root.GetStartTimeUnixNano(), root.GetEndTimeUnixNano()}; got != [2]uint64{uint64(at(0).UnixNano()), uint64(at(80).UnixNano())} {
		t.Errorf("the start lasted %v", got)
	}
	want := map[string]string{
		"k8s.namespace.name": `"default"`, "k8s.pod.name": `"web"`, "k8s.pod.uid": `"u-1"`, "podd.start.attempt": "0",
		"podd.start.resumed": "false", "podd.start.outcome": `"Ready"`, "podd.start.steps": "2",
	}
	if diff := cmp.Diff(want, attributes(root.GetAttributes())); diff != "" {
		t.Errorf("the start's attributes (-want +got):\n%s", diff)
	}
	if e := root.GetEvents(); len(e) != 2 || e[0].GetName() != "Running" || e[1].GetName() != "Ready" {
		t.Errorf("events %v", e)
	}
	if got := attributes(create.GetAttributes())["podd.action.waited_seconds"]; got != "0.02" {
		t.Errorf("it waited %s", got)
	}
	if st := failed.GetStatus(); st.GetCode() != otlp.Status_STATUS_CODE_ERROR || st.GetMessage() != "no such file" {
		t.Errorf("status %v", st)
	}
	about := attributes(r.got[0].GetResource().GetAttributes())
	if about["service.name"] != `"podd"` || about["service.version"] != `"v1.2.3"` || about["k8s.node.name"] != `"box"` || about["site"] != `"north"` {
		t.Errorf("resource %v", about)
	}
}

func TestTheServiceNameIsTheEnvironments(t *testing.T) {
	r := grpcReceiver(t)
	t.Setenv("OTEL_SERVICE_NAME", "edge")
	traced(t, whole)
	if got := attributes(r.got[0].GetResource().GetAttributes())["service.name"]; got != `"edge"` {
		t.Error(got)
	}
}

// TestOneStartIsOneTraceAcrossARestart: the first podd is killed before the pod
// is ready, so that its span of the start is never sent.
func TestOneStartIsOneTraceAcrossARestart(t *testing.T) {
	r := grpcReceiver(t)
	traced(t, func(tr *Tracer) {
		s := start()
		tr.Begin(s)
		tr.Step(s, step(pod.CreateContainer, 1, 1, 2))
	})
	traced(t, func(tr *Tracer) {
		s := start()
		s.Taken = at(1000)
		tr.Begin(s)
		tr.Step(s, step(pod.StartContainer, 1001, 1001, 1002))
		s.Over, s.Outcome = at(1003), agent.BecameReady
		tr.Over(s)
	})
	spans := r.spans()
	root := spans["pod start"]
	for _, name := range []string{"CreateContainer", "StartContainer"} {
		if child := spans[name]; child == nil || string(child.GetParentSpanId()) != string(root.GetSpanId()) || string(child.GetTraceId()) != string(root.GetTraceId()) {
			t.Errorf("%s: %v, below %v", name, child, root)
		}
	}
	if attributes(root.GetAttributes())["podd.start.resumed"] != "true" {
		t.Error("the start was resumed")
	}
	if other := start(); rootIDs(other) == rootIDs(agent.Start{Pod: other.Pod, Attempt: 1}) {
		t.Error("two starts of one pod have one trace")
	}
}

func TestSampledOut(t *testing.T) {
	r := grpcReceiver(t)
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	traced(t, whole)
	if len(r.got) != 0 {
		t.Errorf("got %v", r.got)
	}
}

func TestAStartHasOnlySoManySpans(t *testing.T) {
	r := grpcReceiver(t)
	traced(t, func(tr *Tracer) {
		s := start()
		tr.Begin(s)
		for i := range maxSteps + 100 {
			s.Dropped = i + 1
			tr.Step(s, step(pod.RunProbe, i, i, i+1))
		}
		s.Over = at(9999)
		tr.Over(s)
	})
	n := 0
	for _, rs := range r.got {
		for _, ss := range rs.GetScopeSpans() {
			n += len(ss.GetSpans())
		}
	}
	if n != maxSteps+1 {
		t.Errorf("%d spans", n)
	}
}

func TestAsked(t *testing.T) {
	for text, want := range map[string]bool{
		"":                           false,
		"OTEL_SERVICE_NAME=x":        false,
		"OTEL_TRACES_EXPORTER=otlp":  true,
		"OTEL_TRACES_EXPORTER=weird": true, // which is refused
		"OTEL_TRACES_EXPORTER=none":  false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317":                           true,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:4317":                    true,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317 OTEL_SDK_DISABLED=true":    false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317 OTEL_TRACES_EXPORTER=none": false,
	} {
		if got := Asked(environment(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func environment(text string) func(string) string {
	return func(name string) string {
		for _, field := range strings.Fields(text) {
			if k, v, _ := strings.Cut(field, "="); k == name {
				return v
			}
		}
		return ""
	}
}

func TestWhatIsNotThere(t *testing.T) {
	for text, says := range map[string]string{
		"OTEL_TRACES_EXPORTER=zipkin":                  `export traces: OTEL_TRACES_EXPORTER: "zipkin" is none of otlp, none`,
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/json":        `export traces: OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" is none of grpc, http/protobuf`,
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json": `export traces: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "http/json" is none of grpc, http/protobuf`,
	} {
		if _, err := New(t.Context(), environment(text), "", "", zap.NewNop()); err == nil || err.Error() != says {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestACollectorThatIsAway is told of once, and holds nobody up.
func TestACollectorThatIsAway(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	e := &teller{SpanExporter: &broken{fails: 3}, log: zap.New(core)}
	for range 5 {
		if err := e.ExportSpans(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	for _, l := range logs.All() {
		said = append(said, l.Message)
	}
	if !slices.Equal(said, []string{"could not export traces; what could not be sent is lost, the next is tried again", "traces are exported again"}) {
		t.Errorf("%q", said)
	}
}

// TestNothingIsLeftRunning: what sends traces ends with Run.
func TestNothingIsLeftRunning(t *testing.T) {
	grpcReceiver(t)
	before := runtime.NumGoroutine()
	traced(t, func(*Tracer) {})
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
		time.Sleep(10 * time.Millisecond) // connections close in their own time
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

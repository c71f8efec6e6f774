package trace

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
)

// flushTime bounds the sending of what is left when podd stops.
const flushTime = 3 * time.Second

// maxSteps bounds the spans of one start: a pod that never becomes ready is probed
// for ever.
const maxSteps = 500

// Tracer makes the traces. It implements agent.Tracer; what it is told it queues,
// and drops when the queue is full.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   oteltrace.Tracer
	log      *zap.Logger

	mu sync.Mutex
	// open are the starts under way, guarded by mu.
	open map[types.UID]oteltrace.Span
}

var _ agent.Tracer = &Tracer{}

// New makes a tracer as the environment has it. Run has to be called.
func New(ctx context.Context, getenv func(string) string, version, node string, log *zap.Logger) (*Tracer, error) {
	exporter, err := newExporter(ctx, getenv)
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "podd"), attribute.String("service.version", version),
			attribute.String("k8s.node.name", node),
		),
		resource.WithTelemetrySDK(), resource.WithFromEnv()) // what the environment says comes last
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&teller{SpanExporter: exporter, log: log}),
		sdktrace.WithResource(about), sdktrace.WithIDGenerator(derived{}),
	)
	return &Tracer{
		provider: provider, tracer: provider.Tracer("github.com/podd-io/podd"), log: log,
		open: map[types.UID]oteltrace.Span{},
	}, nil
}

// Run sends traces until ctx ends, and then what is left.
func (t *Tracer) Run(ctx context.Context) error {
	<-ctx.Done()
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if err := t.provider.Shutdown(bound); err != nil {
		t.log.Warn("could not export the last traces", zap.Error(err))
	}
	return nil
}

// Begin implements agent.Tracer. A start that an earlier podd began has the same
// trace and the same span: that podd's spans are its children.
func (t *Tracer) Begin(s agent.Start) {
	_, span := t.tracer.Start(withIDs(rootIDs(s)), "pod start", oteltrace.WithNewRoot(), oteltrace.WithTimestamp(s.Begun),
		oteltrace.WithAttributes(
			attribute.String("k8s.namespace.name", s.Pod.Namespace), attribute.String("k8s.pod.name", s.Pod.Name),
			attribute.String("k8s.pod.uid", string(s.Pod.UID)), attribute.Int("podd.start.attempt", s.Attempt),
			attribute.Bool("podd.start.resumed", !s.Taken.IsZero() && s.Begun.Before(s.Taken)),
		))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[s.Pod.UID] = span
}

// Step implements agent.Tracer.
func (t *Tracer) Step(s agent.Start, step agent.Step) {
	t.mu.Lock()
	root := t.open[s.Pod.UID]
	t.mu.Unlock()
	if root == nil || !root.IsRecording() || len(s.Steps)+s.Dropped > maxSteps {
		return
	}
	ctx := oteltrace.ContextWithSpan(withIDs(stepIDs(s, step)), root)
	_, span := t.tracer.Start(ctx, string(step.Kind), oteltrace.WithTimestamp(step.Wanted), oteltrace.WithAttributes(
		attribute.String("podd.action.subject", string(step.Subject)), attribute.Int("podd.action.attempt", step.Attempt),
		attribute.String("podd.action.reason", step.Reason),
		attribute.Float64("podd.action.waited_seconds", step.Began.Sub(step.Wanted).Seconds()),
	))
	if step.Began.After(step.Wanted) {
		span.AddEvent("turn came", oteltrace.WithTimestamp(step.Began))
	}
	if step.Error != "" {
		span.SetStatus(codes.Error, step.Error)
	}
	span.End(oteltrace.WithTimestamp(step.Ended))
}

// Over implements agent.Tracer.
func (t *Tracer) Over(s agent.Start) {
	t.mu.Lock()
	root := t.open[s.Pod.UID]
	delete(t.open, s.Pod.UID)
	t.mu.Unlock()
	if root == nil {
		return
	}
	root.SetAttributes(attribute.String("podd.start.outcome", string(s.Outcome)), attribute.Int("podd.start.steps", len(s.Steps)+s.Dropped))
	for _, moment := range []struct {
		name string
		at   time.Time
	}{{"Running", s.Running}, {"Ready", s.Ready}} {
		if !moment.at.IsZero() {
			root.AddEvent(moment.name, oteltrace.WithTimestamp(moment.at))
		}
	}
	if s.Outcome == agent.FailedToRun || s.Outcome == agent.LostSandbox {
		root.SetStatus(codes.Error, string(s.Outcome))
	}
	root.End(oteltrace.WithTimestamp(s.Over))
}

// ids name a span. They are derived from the pod's uid and the start's attempt, so
// that one start is one trace whatever podd makes its spans.
type ids struct {
	trace oteltrace.TraceID
	span  oteltrace.SpanID
}

func rootIDs(s agent.Start) ids { return hash(s) }

func stepIDs(s agent.Start, step agent.Step) ids {
	return hash(s, string(step.Kind), string(step.Subject), strconv.FormatInt(step.Wanted.UnixNano(), 10))
}

func hash(s agent.Start, more ...string) ids {
	start := string(s.Pod.UID) + "/" + strconv.Itoa(s.Attempt)
	whole, part := sha256.Sum256([]byte(start)), sha256.New()
	_, _ = fmt.Fprintf(part, "%s %q", start, more) // it never fails
	return ids{oteltrace.TraceID(whole[:16]), oteltrace.SpanID(part.Sum(nil)[:8])}
}

type idsKey struct{}

func withIDs(i ids) context.Context {
	return context.WithValue(context.Background(), idsKey{}, i)
}

// derived gives a span the ids in its context. It implements sdktrace.IDGenerator.
type derived struct{}

func (derived) NewIDs(ctx context.Context) (oteltrace.TraceID, oteltrace.SpanID) {
	i, _ := ctx.Value(idsKey{}).(ids)
	return i.trace, i.span
}

func (derived) NewSpanID(ctx context.Context, _ oteltrace.TraceID) oteltrace.SpanID {
	i, _ := ctx.Value(idsKey{}).(ids)
	return i.span
}

package trace

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/zap"
)

// Asked says whether the environment asks for traces: by naming the exporter or
// where it sends to. OpenTelemetry's own default is to send to localhost; podd's is
// to do nothing.
func Asked(getenv func(string) string) bool {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	switch getenv("OTEL_TRACES_EXPORTER") {
	case "none":
		return false
	case "":
		return getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	}
	return true
}

// newExporter makes the exporter that the environment names. Its endpoint, headers,
// certificates, compression and time-out it reads from there itself. It connects
// when there is something to send.
func newExporter(ctx context.Context, getenv func(string) string) (sdktrace.SpanExporter, error) {
	if kind := getenv("OTEL_TRACES_EXPORTER"); kind != "" && kind != "otlp" {
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is none of otlp, none", kind)
	}
	protocol, name := getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	if protocol == "" {
		protocol, name = getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL"
	}
	switch protocol {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "", "http/protobuf": // the default of the specification
		return otlptracehttp.New(ctx)
	}
	return nil, fmt.Errorf("%s: %q is none of grpc, http/protobuf", name, protocol)
}

// teller tells of an exporter that fails once, not at every try. What could not be
// exported is lost. It is called by one goroutine at a time.
type teller struct {
	sdktrace.SpanExporter
	log     *zap.Logger
	failing bool
	lost    int
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *teller) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil:
		if e.lost += len(spans); !e.failing {
			e.log.Warn("could not export traces; what could not be sent is lost, the next is tried again", zap.Error(err))
		}
	case e.failing:
		e.log.Info("traces are exported again", zap.Int("spans lost", e.lost))
		e.lost = 0
	}
	e.failing = err != nil
	return nil
}

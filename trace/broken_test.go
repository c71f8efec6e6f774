package trace

import (
	"context"
	"errors"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// broken is an exporter that fails so often.
type broken struct{ fails int }

func (b *broken) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	if b.fails--; b.fails >= 0 {
		return errors.New("connection refused")
	}
	return nil
}

func (b *broken) Shutdown(context.Context) error { return nil }

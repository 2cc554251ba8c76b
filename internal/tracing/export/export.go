// Package export sends spans to a collector by OTLP over HTTP, beside what is traced: a span is put into a
// bounded queue, and dropped where that is full. A collector that is gone, slow or wrong costs spans, and one
// line of log when that begins and when it ends.
package export

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/tracing"
)

const (
	// queued is how many spans wait to be sent at most: some 2 MiB.
	queued = 2048
	// collecting is how long spans are gathered before they are sent, sending how long that may take.
	collecting, sending = 2 * time.Second, 5 * time.Second
	// leaving bounds what a process waits for its last spans to be sent.
	leaving = time.Second
	// million is of what SamplingRatePerMillion is a part.
	million = 1_000_000
)

// Start makes the Tracer of a process; nil where settings are. stop sends what is left, for at most a second.
// No connection is waited for.
func Start(ctx context.Context, process string, settings *config.Tracing, log logr.Logger) (tracer *tracing.Tracer, stop func(), err error) {
	if settings == nil {
		return nil, func() {}, nil
	}
	exporter, err := otlptrace.New(ctx, newClient(settings.Endpoint))
	if err != nil {
		return nil, nil, err
	}
	host, _ := os.Hostname() // the name of the pod, or empty
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sampler(settings.SamplingRatePerMillion)),
		sdktrace.WithBatcher(&watched{SpanExporter: exporter, endpoint: settings.Endpoint, log: log},
			sdktrace.WithMaxQueueSize(queued), sdktrace.WithBatchTimeout(collecting), sdktrace.WithExportTimeout(sending)),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", process), attribute.String("service.instance.id", host))),
	)
	return tracing.New(provider), func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaving)
		defer cancel()
		_ = provider.Shutdown(last) // what has not gone by then is dropped
	}, nil
}

// sampler records what the caller records, and a share of what nobody has decided about.
func sampler(perMillion *int32) sdktrace.Sampler {
	own := sdktrace.NeverSample()
	if perMillion != nil && *perMillion > 0 {
		own = sdktrace.TraceIDRatioBased(float64(*perMillion) / million)
	}
	return sdktrace.ParentBased(own)
}

// watched tells when spans begin to be lost, and when no more are.
type watched struct {
	sdktrace.SpanExporter
	endpoint string
	log      logr.Logger
	losing   atomic.Bool
}

// ExportSpans sends spans. It fails nobody.
func (w *watched) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := w.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && w.losing.CompareAndSwap(false, true):
		w.log.Info("Traces are lost: the collector does not take them", "endpoint", w.endpoint, "error", err.Error())
	case err == nil && w.losing.CompareAndSwap(true, false):
		w.log.Info("The collector takes traces again", "endpoint", w.endpoint)
	}
	return nil
}

// Package tracing makes spans (OpenTelemetry): of a request, or of a turn of a loop, and of the steps within.
// It knows the interface only; package export sends them. Without a Tracer nothing is made, and nothing is
// allocated: steps look for the span that they are part of in their context, find none, and are none.
package tracing

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Attributes of spans, beside those that OpenTelemetry names.
const (
	Object  = attribute.Key("forewarm.object")
	Verdict = attribute.Key("forewarm.verdict")
	Reason  = attribute.Key("forewarm.reason")
	Result  = attribute.Key("forewarm.result")
	Pool    = attribute.Key("forewarm.pool")
	Chunk   = attribute.Key("forewarm.chunk")
	Source  = attribute.Key("forewarm.forecast.source")
)

// scope is who makes the spans.
const scope = "forewarm.dev"

// Tracer begins traces, or goes on with those of callers. A nil Tracer makes no spans.
type Tracer struct{ tracer trace.Tracer }

// New makes a Tracer of a provider.
func New(provider trace.TracerProvider) *Tracer { return &Tracer{provider.Tracer(scope)} }

// Serve makes a span of each request, below that of the caller where it sends W3C trace context; named by the
// pattern that next, a ServeMux, finds for it. A nil Tracer returns next itself.
func (t *Tracer) Serve(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		r = r.WithContext(ctx)
		next.ServeHTTP(w, r)
		if name := strings.TrimPrefix(r.Pattern, "/"); name != "" {
			span.SetName(name)
		}
	})
}

// Begin begins a trace, which the caller must end. A nil Tracer begins none.
func (t *Tracer) Begin(ctx context.Context, name string) (context.Context, trace.Span) {
	if t == nil {
		return ctx, trace.SpanFromContext(ctx)
	}
	return t.tracer.Start(ctx, name)
}

// Step begins a part of the span of ctx, which the caller must end; none where that is not recorded.
func Step(ctx context.Context, name string) (context.Context, trace.Span) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return ctx, unrecorded
	}
	return span.TracerProvider().Tracer(scope).Start(ctx, name)
}

// unrecorded is a span of nothing.
var unrecorded = trace.SpanFromContext(context.Background())

// Recorded is the span of ctx; nil where there is none, or it is not recorded.
func Recorded(ctx context.Context) trace.Span {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		return span
	}
	return nil
}

// Note says something of the span of ctx, if that is recorded.
func Note(ctx context.Context, key attribute.Key, value string) {
	if span := Recorded(ctx); span != nil {
		span.SetAttributes(key.String(value))
	}
}

// Failed says that what the span of ctx is about has failed, if err is one.
func Failed(ctx context.Context, err error) {
	if span := Recorded(ctx); span != nil && err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
}

package tracing

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

var errNo = errors.New("no")

// work is what is traced: a request with two steps, one of which has a step of its own.
func work(ctx context.Context) {
	Note(ctx, Verdict, "Allow")
	inner, decide := Step(ctx, "decide")
	_, claim := Step(inner, "claim")
	claim.End()
	Failed(inner, errNo)
	decide.End()
	Failed(ctx, nil)
}

func served() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ceilings", func(_ http.ResponseWriter, r *http.Request) { work(r.Context()) })
	return mux
}

// TestOffIsNothing: without a Tracer there is no other handler, no span, and nothing is allocated.
func TestOffIsNothing(t *testing.T) {
	var off *Tracer
	mux := http.NewServeMux()
	if off.Serve(mux) != http.Handler(mux) {
		t.Error("another handler")
	}
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, 1)
	if allocs := testing.AllocsPerRun(100, func() {
		ctx, span := off.Begin(ctx, "cycle")
		work(ctx)
		span.End()
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if Recorded(ctx) != nil {
		t.Error("something is recorded")
	}
}

// TestNobodysSpanIsEnded: where nothing is recorded, a step does not end what it is a part of.
func TestNobodysSpanIsEnded(t *testing.T) {
	tracer, recorder := recorded(sdktrace.NeverSample())
	ctx, span := tracer.Begin(t.Context(), "cycle")
	work(ctx)
	span.End()
	if got := recorder.Ended(); len(got) > 0 {
		t.Errorf("%d spans", len(got))
	}
}

func recorded(sampler sdktrace.Sampler) (*Tracer, *tracetest.SpanRecorder) {
	recorder := tracetest.NewSpanRecorder()
	return New(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sampler)), sdktrace.WithSpanProcessor(recorder))), recorder
}

const (
	callersTrace = "0af7651916cd43dd8448eb211c80319c"
	callersSpan  = "b7ad6b7169203331"
)

// TestServe: spans are below the caller's where it sends its context, and are recorded where it says so.
func TestServe(t *testing.T) {
	for name, c := range map[string]struct {
		header  string
		sampler sdktrace.Sampler
		want    int
		trace   string
	}{
		"the caller traces":          {"00-" + callersTrace + "-" + callersSpan + "-01", sdktrace.NeverSample(), 3, callersTrace},
		"the caller does not":        {"00-" + callersTrace + "-" + callersSpan + "-00", sdktrace.AlwaysSample(), 0, ""},
		"no caller says, all":        {"", sdktrace.AlwaysSample(), 3, ""},
		"no caller says, none":       {"", sdktrace.NeverSample(), 0, ""},
		"a caller says what is none": {"00-what-is-this", sdktrace.AlwaysSample(), 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, recorder := recorded(c.sampler)
			request := httptest.NewRequest(http.MethodPost, "/ceilings", nil)
			request.Header.Set("traceparent", c.header)
			tracer.Serve(served()).ServeHTTP(httptest.NewRecorder(), request)
			spans := recorder.Ended()
			if len(spans) != c.want {
				t.Fatalf("%d spans, want %d", len(spans), c.want)
			}
			if c.want == 0 {
				return
			}
			claim, decide, root := spans[0], spans[1], spans[2]
			if root.Name() != "ceilings" || decide.Name() != "decide" || claim.Name() != "claim" || root.SpanKind() != trace.SpanKindServer {
				t.Errorf("%s, %s, %s", root.Name(), decide.Name(), claim.Name())
			}
			if claim.Parent().SpanID() != decide.SpanContext().SpanID() || decide.Parent().SpanID() != root.SpanContext().SpanID() {
				t.Error("they are not below each other")
			}
			if c.trace != "" && (root.Parent().SpanID().String() != callersSpan || claim.SpanContext().TraceID().String() != c.trace) {
				t.Errorf("the caller's is not above them: %s below %s", root.SpanContext().TraceID(), root.Parent().SpanID())
			}
			if a := root.Attributes(); len(a) != 1 || a[0].Key != Verdict || a[0].Value.AsString() != "Allow" {
				t.Errorf("attributes %v", a)
			}
			if root.Status().Code != codes.Unset || decide.Status().Code != codes.Error || decide.Status().Description != "no" {
				t.Errorf("status %v and %v", root.Status(), decide.Status())
			}
		})
	}
}

package handler

import (
	"context"
	"errors"

	"forewarm.dev/internal/tracing"
)

// trace tells the span of a review, if there is one, how it ended.
func trace(ctx context.Context, verdict, reason string) {
	tracing.Note(ctx, tracing.Verdict, verdict)
	tracing.Note(ctx, tracing.Reason, reason)
	if verdict == "Error" {
		tracing.Failed(ctx, errors.New(reason))
	}
}

// traceObject tells it what the review is about.
func traceObject(ctx context.Context, c converted) {
	if span := tracing.Recorded(ctx); span != nil {
		span.SetAttributes(tracing.Object.String(c.request.Object.String()))
	}
}

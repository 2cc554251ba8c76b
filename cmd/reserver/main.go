// Command reserver keeps capacity warm: it forecasts the demand of each WarmPool and keeps
// as many placeholder pods as the forecast and the costs ask for.
package main

import (
	"context"
	"os"

	"github.com/go-logr/logr"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
	"forewarm.dev/internal/tracing/export"
)

const about = `reserver keeps capacity warm for the pods that a WarmPool expects.

It records the demand of each WarmPool in DemandHistory objects, forecasts it, and keeps
placeholder pods ungated so that the node autoscaler buys nodes before they are needed. In
mode Observe (the default of a WarmPool) it only shows in status what it would do. One
replica leads; the others stand by.`

func main() { os.Exit(observe.Main("reserver", about, run)) }

func run(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Config) error {
	tracer, stop, err := export.Start(ctx, "forewarm-reserver", settings.Reserver.Tracing, log)
	if err != nil {
		return err
	}
	defer stop()
	manager, err := wire(ctx, log, flags, settings.Reserver, tracer)
	if err != nil {
		return err
	}
	return manager.Start(ctx)
}

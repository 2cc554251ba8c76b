// Command extender answers kube-scheduler's extender calls: it guards warm capacity for
// those it was warmed for, packs GPUs, and lets real pods take placeholders over.
package main

import (
	"context"
	"os"

	"github.com/go-logr/logr"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
	"forewarm.dev/internal/tracing/export"
)

const about = `extender answers the filter, prioritize and preempt calls of kube-scheduler.

Run it beside the scheduler: it serves plain HTTP on loopback, or TLS to callers with a client
certificate. It answers from informers, asks nobody, and passes everything through when it is
not synced or late. To have a pod tried again it writes one annotation, forewarm.dev/requeued,
or deletes the placeholder pods that it waits for in vain.
manifests/scheduler shows the scheduler's side of the configuration.`

func main() { os.Exit(observe.Main("extender", about, run)) }

func run(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Config) error {
	tracer, stop, err := export.Start(ctx, "forewarm-extender", settings.Extender.Tracing, log)
	if err != nil {
		return err
	}
	defer stop()
	manager, err := wire(ctx, log, flags, settings, tracer)
	if err != nil {
		return err
	}
	return manager.Start(ctx)
}

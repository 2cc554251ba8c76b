// Command webhook holds workloads under the ceilings that admins annotate, and tells new
// GPU pods their vendor, count and WarmPool.
package main

import (
	"context"
	"os"

	"github.com/go-logr/logr"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
	"forewarm.dev/internal/tracing/export"
)

const about = `webhook reviews writes to the cluster.

It refuses to let Deployments, StatefulSets, ReplicaSets, ReplicationControllers and
everything else that has a /scale grow above the annotation forewarm.dev/max-replicas on
the workload, on its Namespace, or on the Namespace kube-system, where it binds the whole
cluster. Autoscalers get what the ceiling allows instead, and HorizontalPodAutoscalers are
brought under it. It annotates new GPU pods with vendor, count and WarmPool and lets them
onto GPU nodes.

It serves TLS with a certificate that it signs itself, or of cert-manager or of files, and
registers itself with the API server once it is ready. While no replica runs, everything is admitted. Several replicas
may run; each serves.`

func main() { os.Exit(observe.Main("webhook", about, run)) }

func run(ctx context.Context, log logr.Logger, flags observe.Flags, settings config.Config) error {
	tracer, stop, err := export.Start(ctx, "forewarm-webhook", settings.Webhook.Tracing, log)
	if err != nil {
		return err
	}
	defer stop()
	process, err := wire(ctx, log, flags, settings.Webhook, tracer)
	if err != nil {
		return err
	}
	return process.run(ctx)
}

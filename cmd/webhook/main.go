// Command webhook holds workloads under the ceilings that admins annotate, and tells new
// GPU pods their vendor, count and WarmPool.
package main

import (
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
)

const about = `webhook reviews writes to the cluster.

It refuses to let Deployments, StatefulSets, ReplicaSets, ReplicationControllers and
everything else that has a /scale grow above the annotation forewarm.dev/max-replicas on
the workload, on its Namespace, or on the Namespace kube-system, where it binds the whole
cluster. It annotates new GPU pods with vendor, count and WarmPool and lets them onto GPU
nodes.

It serves TLS with a certificate that it signs itself, and registers itself with the API
server once it is ready. While no replica runs, everything is admitted. Several replicas
may run; each serves.`

func main() {
	os.Exit(observe.Exit("webhook", run(), os.Stderr))
}

func run() error {
	flags, err := observe.ParseFlags("webhook", about, os.Args[1:], os.Stdout)
	if err != nil {
		return err
	}
	settings, err := config.Load(flags.Config)
	if err != nil {
		return err
	}
	log := observe.Logger(flags.Verbosity, os.Stderr)
	ctx := ctrl.SetupSignalHandler()
	process, err := wire(ctx, log, flags, settings.Webhook)
	if err != nil {
		return err
	}
	return process.run(ctx)
}

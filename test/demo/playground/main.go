// Command playground leaves a control plane with Karpenter and all of Forewarm running,
// under a light live load of GPU jobs, until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
	"forewarm.dev/test/demo/stack"
)

// namespace holds the jobs of the live load.
const namespace = "team-ml"

func main() {
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "playground: %v\n", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

func run(ctx context.Context) (err error) {
	store, err := assets.Open()
	if err != nil {
		return err
	}
	ours, err := stack.New()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "forewarm-playground-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Println("Starting a control plane with Karpenter and Forewarm …")
	c, err := cluster.Start(ctx, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true, Dir: dir,
		NodeBootDelay: 20 * time.Second, BatchIdle: play.BatchIdle, BatchMax: play.BatchMax,
		NodePools:          []cluster.NodePool{{Name: play.PoolName, DisruptionBudget: "100%"}},
		SchedulerExtenders: []configv1.Extender{ours.SchedulerExtender()},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	if err := ours.Start(ctx, c, store.Root, filepath.Join(store.Root, "bin")); err != nil {
		return err
	}
	if err := c.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return err
	}
	if err := c.Client.Create(ctx, pool()); err != nil {
		return err
	}
	introduce(c)
	return load(ctx, c.Client)
}

// pool is a WarmPool that acts within seconds: it keeps two GPUs warm from the start.
func pool() client.Object {
	p := play.WarmPool(play.Times{
		Boot: 20 * time.Second, Lead: 25 * time.Second, ConsolidateAfter: 30 * time.Second,
		Interval: 5 * time.Second, History: 24 * time.Hour,
	}, 1)
	p.Spec.Chunks[1].Min = 2
	return p
}

func introduce(c *cluster.Cluster) {
	fmt.Printf(`
A control plane with Karpenter, Forewarm and a light load of GPU jobs is running.

  export KUBECONFIG=%s
  bin/forewarmctl status
  kubectl get warmpools,demandhistories,forecastmodels
  kubectl get pods -A -o wide
  kubectl describe warmpool %s

Logs are in %s. Interrupt (Ctrl-C) to stop and remove everything.
`, c.Kubeconfig, play.PoolName, filepath.Join(c.Dir, "logs"))
}

// load submits a job of one to eight GPUs every few seconds until ctx ends.
func load(ctx context.Context, writer client.Client) error {
	random := rand.New(rand.NewPCG(1, 1)) // the same load every time
	for i := 0; ; i++ {
		wait := time.NewTimer(time.Duration(random.ExpFloat64() * float64(8*time.Second)))
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		job := arrivals.Job{GPUs: 1 << random.IntN(4), Run: 20*time.Second + time.Duration(random.ExpFloat64()*float64(time.Minute))}
		if err := writer.Create(ctx, play.NewJob(fmt.Sprintf("job-%05d", i), namespace, job, job.Run)); err != nil && ctx.Err() == nil {
			return fmt.Errorf("submit a job: %w", err)
		}
	}
}

// Package live is a control plane for all of Forewarm's processes, and a light load of GPU jobs on it
// that does not end: the playground's, and what the pictures of the dashboards are of.
package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
	"forewarm.dev/test/demo/stack"
)

const (
	// Namespace holds the jobs of the load.
	Namespace = "team-ml"
	// Boot is from Karpenter's decision to the node.
	Boot = 20 * time.Second
)

// Cluster is a control plane with Karpenter, whose scheduler asks our extender.
func Cluster(ours *stack.Stack) cluster.Options {
	return cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true, Karpenter: true,
		NodeBootDelay: Boot, BatchIdle: play.BatchIdle, BatchMax: play.BatchMax,
		NodePools:          []cluster.NodePool{{Name: play.PoolName, DisruptionBudget: "100%"}},
		SchedulerExtenders: []configv1.Extender{ours.SchedulerExtender()},
	}
}

// Pool is a WarmPool that acts within seconds: it keeps two GPUs warm from the start.
func Pool() *v1alpha1.WarmPool {
	p := play.WarmPool(play.Times{
		Boot: Boot, Lead: 25 * time.Second, ConsolidateAfter: 30 * time.Second,
		Interval: 5 * time.Second, History: 24 * time.Hour,
	}, 1)
	p.Spec.Chunks[1].Min = 2
	return p
}

// Load submits a job of one to eight GPUs every few seconds until ctx ends.
func Load(ctx context.Context, writer client.Client) error {
	random := rand.New(rand.NewPCG(1, 1)) // the same load every time
	for i := 0; ; i++ {
		wait := time.NewTimer(time.Duration(random.ExpFloat64() * float64(8*time.Second)))
		select {
		case <-ctx.Done():
			return nil
		case <-wait.C:
		}
		job := arrivals.Job{GPUs: 1 << random.IntN(4), Run: 20*time.Second + time.Duration(random.ExpFloat64()*float64(time.Minute))}
		if err := writer.Create(ctx, play.NewJob(fmt.Sprintf("job-%05d", i), Namespace, job, job.Run)); err != nil && ctx.Err() == nil {
			return fmt.Errorf("submit a job: %w", err)
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/chaos/invariant"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/demo/stack"
)

// recovery bounds how long after a fault all must work again, on a machine that is busy with other things.
const recovery = 3 * time.Minute

// prober asks for what users want to work.
type prober struct {
	*supervisor
	next int
	// plans is how many cycles the leading reserver had when it was last asked.
	plans map[string]uint64
}

// recovered waits until all works again, and returns how long that took from since. What still fails
// after the bound is a violation.
func (p *prober) recovered(ctx context.Context, since time.Time, step string) time.Duration {
	p.next++
	p.plans = map[string]uint64{}
	for _, part := range []struct {
		what string
		asks func(context.Context) error
	}{
		{"processes", p.ready},
		{"growth within a total, which needs a webhook", p.grows},
		{"a pod, which needs the scheduler", p.schedules},
		{"plans, which need a leading reserver", p.planned},
	} {
		err := cluster.Wait(ctx, recovery, func() error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			return part.asks(ctx)
		})
		if err != nil && ctx.Err() == nil {
			p.journal.add(invariant.Violation{Invariant: "everything-recovers", At: time.Now(), Says: fmt.Sprintf("%s after %s: %v", part.what, step, err)})
			break
		}
	}
	return time.Since(since)
}

func (p *prober) ready(ctx context.Context) error {
	for _, name := range p.components() {
		if err := p.cluster.Ready(ctx, name); err != nil {
			return err
		}
	}
	for _, r := range p.stack.Replicas {
		if err := r.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// grows makes nothing: the entry for totals fails closed, so that an answer is a webhook's.
func (p *prober) grows(ctx context.Context) error {
	object := workload(target{kind: "Deployment", namespace: probeNamespace, name: "probe"}, 1)
	return p.cluster.Client.Create(ctx, object, client.DryRunAll)
}

// schedules has a pod of its own bound.
func (p *prober) schedules(ctx context.Context) error {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: probeNamespace, Name: fmt.Sprint("probe-", p.next)}, Spec: podSpec(map[string]string{"role": "plain"}, "")}
	if err := p.cluster.Client.Create(ctx, pod.DeepCopy()); client.IgnoreAlreadyExists(err) != nil {
		return err
	}
	if err := p.cluster.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
		return err
	}
	if pod.Spec.NodeName == "" || pod.Status.Phase != corev1.PodRunning {
		return fmt.Errorf("pod %s: node %q, %s", pod.Name, pod.Spec.NodeName, pod.Status.Phase)
	}
	return client.IgnoreNotFound(p.cluster.Client.Delete(ctx, pod))
}

// planned sees one reserver lead and plan.
func (p *prober) planned(ctx context.Context) error {
	leader, err := p.leader(ctx, stack.Reserver)
	if err != nil {
		return err
	}
	families, err := leader.Metrics(ctx)
	if err != nil {
		return err
	}
	cycles := cyclesOf(families).Count
	before, asked := p.plans[leader.Name]
	p.plans[leader.Name] = cycles
	if !asked || cycles <= before {
		return errors.New("no plan since it was last asked")
	}
	return nil
}

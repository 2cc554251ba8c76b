package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/bench/webhook/proc"
	"forewarm.dev/webhook"
)

// maxMiB is the target of the design for a process.
const maxMiB = 1024

// creators write at once.
const creators = 24

// measureMemory fills a cluster, starts cmd/webhook in it, and prints what it takes. Every
// Namespace and workload has a ceiling, and one Namespace a total, so that the leader counts all
// workloads too: that is the most that it ever holds.
func (b *bench) measureMemory(ctx context.Context, out io.Writer) error {
	b.patience = 10 * time.Minute
	var idle, audited []float64
	look := func(at *[]float64, pids ...func() int) func(context.Context) error {
		return func(ctx context.Context) (err error) {
			*at, err = b.busy(ctx, pids...)
			return err
		}
	}
	apiServer, hook := func() int { return b.apiPID }, func() int { return b.hooks[forewarm].pid }
	for _, step := range []func(context.Context) error{b.connect, b.build, b.populate, look(&idle, apiServer), b.runForewarm, b.followed, look(&audited, apiServer, hook)} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	pid := hook()
	resident, err := proc.MemoryMiB(pid, "VmRSS")
	if err != nil {
		return err
	}
	peak, err := proc.MemoryMiB(pid, "VmHWM")
	if err != nil {
		return err
	}
	told := "met"
	if peak > maxMiB {
		told = "MISSED"
	}
	b.machine(out)
	fmt.Fprintf(out, "%d Namespaces and %d Deployments, each with a ceiling: RSS %.0f MiB, at most %.0f so far; at most %d: %s\n",
		b.settings.namespaces, b.settings.workloads, resident, peak, maxMiB, told)
	fmt.Fprintf(out, "CPU of the API server %.1f %% of a core, before %.1f %%; of cmd/webhook, while it leads and audits, %.1f %%\n", audited[0], idle[0], audited[1])
	last, err := json.Marshal(map[string]any{"memory": map[string]any{
		"namespaces": b.settings.namespaces, "workloads": b.settings.workloads, "rss_mib": rounded(resident, 1), "peak_rss_mib": rounded(peak, 1),
		"api_cpu_percent": rounded(audited[0], 1), "api_idle_cpu_percent": rounded(idle[0], 1), "cpu_percent": rounded(audited[1], 1),
	}})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", last)
	return err
}

// busy is how much of a core each process takes, in per cent.
func (b *bench) busy(ctx context.Context, pids ...func() int) ([]float64, error) {
	b.progress("looking at CPU for %s", b.settings.watched)
	read := func() ([]float64, error) {
		out := make([]float64, len(pids))
		for i, pid := range pids {
			var err error
			if out[i], err = proc.CPUSeconds(pid()); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	before, err := read()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(b.settings.watched):
	}
	after, err := read()
	if err != nil {
		return nil, err
	}
	for i := range after {
		after[i] = (after[i] - before[i]) * 100 / time.Since(started).Seconds()
	}
	return after, nil
}

// populate creates Namespaces, and workloads evenly in them.
func (b *bench) populate(ctx context.Context) error {
	s := b.settings
	b.progress("creating %d Namespaces and %d Deployments", s.namespaces, s.workloads)
	err := b.create(ctx, s.namespaces, func(i int) client.Object {
		space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: spaceName(i), Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: fmt.Sprint(namespaceCeiling)}}}
		if i == 0 {
			space.Annotations[webhook.MaxTotalReplicas] = fmt.Sprint(s.workloads * replicas)
		}
		return space
	})
	if err != nil {
		return err
	}
	return b.create(ctx, s.workloads, func(i int) client.Object {
		o := deployment()
		o.Namespace, o.Name = spaceName(i%s.namespaces), fmt.Sprintf("%s-%d", workload, i)
		return o
	})
}

func spaceName(i int) string { return fmt.Sprintf("%s-%d", namespace, i) }

func (b *bench) create(ctx context.Context, n int, object func(int) client.Object) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for i := range n {
		group.Go(func() error {
			if err := b.cluster.Client.Create(ctx, object(i)); err != nil {
				return fmt.Errorf("create object %d of %d: %w", i+1, n, err)
			}
			return nil
		})
		if ctx.Err() != nil {
			break
		}
	}
	return group.Wait()
}

// followed waits until all ceilings are compiled to the twin, and the total is counted.
func (b *bench) followed(ctx context.Context) error {
	b.progress("cmd/webhook is ready; waiting for the twin and the total")
	return b.waitFor(ctx, "cmd/webhook to follow all that there is", func() error {
		sets := &metav1.PartialObjectMetadataList{}
		sets.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CeilingSetList"))
		if err := b.cluster.Client.List(ctx, sets, client.Limit(1)); err != nil {
			return err
		}
		n := len(sets.Items)
		if sets.RemainingItemCount != nil {
			n += int(*sets.RemainingItemCount)
		}
		if n < b.settings.namespaces {
			return fmt.Errorf("%d CeilingSets", n)
		}
		ledger := &v1alpha1.Ledger{}
		if err := b.cluster.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "namespace." + spaceName(0)}, ledger); err != nil {
			return err
		}
		if !ledger.Data.Complete {
			return errors.New("the ledger is not complete")
		}
		return nil
	})
}

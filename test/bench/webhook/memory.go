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
	for _, step := range []func(context.Context) error{b.connect, b.build, b.populate, b.runForewarm, b.followed} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	pid := b.hooks[forewarm].pid
	resident, err := memoryMiB(pid, "VmRSS")
	if err != nil {
		return err
	}
	peak, err := memoryMiB(pid, "VmHWM")
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
	last, err := json.Marshal(map[string]any{"memory": map[string]any{
		"namespaces": b.settings.namespaces, "workloads": b.settings.workloads, "rss_mib": rounded(resident, 1), "peak_rss_mib": rounded(peak, 1),
	}})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", last)
	return err
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

package reserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/internal/tracing"
)

// parallel bounds the requests of one plan that are under way at once.
const parallel = 8

// outcome is what became of a plan's steps.
type outcome struct {
	created, ungated, deleted int32
	err                       error
}

// propose asks for the approval of what waits for one; nil if nothing does.
func (r *Reserver) propose(ctx context.Context, pool *v1alpha1.WarmPool, seen sight, plan capacity.Result) *v1alpha1.CapacityPlan {
	if !approval.Needed(pool) {
		return nil
	}
	proposed, err := r.options.Plans.Propose(ctx, pool, plan, seen.standing, seen.at)
	if err != nil {
		r.metrics.errors.WithLabelValues("Propose").Inc()
		r.log.Error(err, "Nothing proposed", "pool", pool.Name)
	}
	return proposed
}

// apply keeps the guards, also where there is no step to take, and takes the steps of a plan. A step
// that fails does not stop the others; the next plan starts from what there then is.
func (r *Reserver) apply(ctx context.Context, w world, pool *v1alpha1.WarmPool, plan capacity.Result) outcome {
	ctx, step := tracing.Step(ctx, "apply")
	defer step.End()
	if err := r.guards.Ensure(ctx, w.pools, w.placeholders, r.options.Clock.Now()); err != nil {
		r.metrics.errors.WithLabelValues("Guard").Inc()
		return outcome{err: fmt.Errorf("set the guards up: %w", err)}
	}
	run := run{reserver: r, pool: pool, fresh: map[string][]string{}}
	for _, action := range []capacity.Action{capacity.Delete, capacity.Create, capacity.Ungate} {
		run.all(ctx, action, plan.Steps)
	}
	return run.outcome
}

// run is one plan being applied.
type run struct {
	reserver *Reserver
	pool     *v1alpha1.WarmPool

	mu      sync.Mutex
	fresh   map[string][]string // placeholders made by this plan and still gated, by chunk
	outcome outcome
}

// all takes the steps of one kind, several at once.
func (r *run) all(ctx context.Context, action capacity.Action, steps []capacity.Step) {
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, step := range steps {
		if step.Action == action {
			group.Go(func() error { r.one(ctx, step); return nil })
		}
	}
	_ = group.Wait() // errors are kept in the outcome
}

func (r *run) one(ctx context.Context, step capacity.Step) {
	var err error
	switch step.Action {
	case capacity.Create:
		err = r.create(ctx, step)
	case capacity.Ungate:
		err = r.ungate(ctx, step)
	case capacity.Delete:
		err = r.remove(ctx, step)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.outcome.err = err
		r.reserver.metrics.errors.WithLabelValues(string(step.Action)).Inc()
		return
	}
	r.reserver.metrics.changes.WithLabelValues(string(step.Action), string(step.Reason)).Inc()
}

func (r *run) create(ctx context.Context, step capacity.Step) error {
	for i := range r.pool.Spec.Chunks {
		chunk := &r.pool.Spec.Chunks[i]
		if chunk.Name != step.Chunk {
			continue
		}
		pod := placeholder.New(r.pool, chunk, r.reserver.options.PlaceholderNamespace, r.reserver.options.PlaceholderImage)
		if err := r.reserver.cached.Create(ctx, pod); err != nil {
			return fmt.Errorf("create a placeholder of chunk %s: %w", step.Chunk, err)
		}
		r.mu.Lock()
		r.fresh[step.Chunk] = append(r.fresh[step.Chunk], pod.Name)
		r.outcome.created++
		r.mu.Unlock()
	}
	return nil
}

func (r *run) ungate(ctx context.Context, step capacity.Step) error {
	name := step.Pod
	if name == "" {
		if name = r.nextFresh(step.Chunk); name == "" {
			return nil // its create failed, and is counted there
		}
	}
	zone := ""
	if spread := r.pool.Spec.Nodes.Zones; spread != nil && step.Zone != "" {
		zone = fmt.Sprintf(`,"nodeSelector":{%q:%q}`, spread.Key, step.Zone)
	}
	body := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}},"spec":{"schedulingGates":null%s}}`,
		v1alpha1.AnnotationUngatedAt, r.reserver.options.Clock.Now().UTC().Format(time.RFC3339Nano), zone)
	patch := client.RawPatch(types.MergePatchType, []byte(body))
	if err := client.IgnoreNotFound(r.reserver.cached.Patch(ctx, r.placeholder(name), patch)); err != nil {
		return fmt.Errorf("ungate placeholder %s: %w", name, err)
	}
	r.mu.Lock()
	r.outcome.ungated++
	r.mu.Unlock()
	return nil
}

func (r *run) nextFresh(chunk string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := r.fresh[chunk]
	if len(names) == 0 {
		return ""
	}
	r.fresh[chunk] = names[1:]
	return names[0]
}

func (r *run) remove(ctx context.Context, step capacity.Step) error {
	if err := client.IgnoreNotFound(r.reserver.cached.Delete(ctx, r.placeholder(step.Pod))); err != nil {
		return fmt.Errorf("delete placeholder %s: %w", step.Pod, err)
	}
	r.mu.Lock()
	r.outcome.deleted++
	r.mu.Unlock()
	return nil
}

func (r *run) placeholder(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: r.reserver.options.PlaceholderNamespace}}
}

package reserver

import (
	"context"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/coming"
)

const (
	// longestWindow is how far ahead is looked for what will start: the longest lead time and interval.
	longestWindow = 3 * time.Hour
	// defaultShare is that of the API.
	defaultShare = 25
)

// announced is what will start; what was known last where that cannot be read, which holds up nothing but the
// giving back.
func (r *Reserver) announced(ctx context.Context, now time.Time) coming.Future {
	future, err := r.finder.Find(ctx, now, now.Add(longestWindow))
	if err != nil {
		r.metrics.errors.WithLabelValues("Foresee").Inc()
		r.log.Error(err, "What is known to start is what was known last")
	}
	return future
}

// setKnown counts what is known to start within the window of a pool, as far as its namespaces are
// allowed.
func (r *Reserver) setKnown(w world, pool *v1alpha1.WarmPool, seen *sight) {
	share := int32(defaultShare)
	if f := pool.Spec.Demand.Future; f != nil && f.NamespaceSharePercent != nil {
		share = *f.NamespaceSharePercent
	}
	starts := r.startsOf(w, pool, seen)
	if share == 0 || len(starts) == 0 {
		return
	}
	resource := pool.Spec.Demand.Resource
	sizes := make([]int64, len(seen.limits.Chunks))
	for i, chunk := range seen.limits.Chunks {
		sizes[i] = chunk.Requests[resource]
	}
	for i, known := range capacity.Known(starts, seen.limits.Chunks, sizes, float64(share)/100, w.coming.Allowance(resource, w.Pods)) {
		seen.demand.Chunks[i].Known = known
	}
}

// startsOf are the pods of a pool that start within its window. One that fits no node of the pool never counts.
func (r *Reserver) startsOf(w world, pool *v1alpha1.WarmPool, seen *sight) []capacity.Coming {
	var starts []capacity.Coming
	for _, pods := range w.coming.Pods {
		k, amount, ok := r.tracker.wouldBe(pods.Pod)
		if !ok || amount == 0 || k.pool != pool.Name || pods.At.After(seen.at.Add(seen.limits.Window())) {
			continue
		}
		for i, chunk := range seen.limits.Chunks {
			if chunk.Name == k.chunk {
				starts = append(starts, capacity.Coming{Namespace: pods.Pod.Namespace, Chunk: i, Amount: amount * float64(pods.Count)})
			}
		}
	}
	return starts
}

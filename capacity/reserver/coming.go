package reserver

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/coming"
	"forewarm.dev/internal/quantity"
)

const (
	// longestWindow is how far ahead is looked for what will start: the longest lead time and interval.
	longestWindow = 3 * time.Hour
	// defaultShare is that of the API.
	defaultShare = 25
)

// announced are the pods that will start; none where they cannot be read, which holds nothing up.
func (r *Reserver) announced(ctx context.Context, now time.Time) []coming.Pods {
	pods, err := coming.List(ctx, r.cached, r.live, now, now.Add(longestWindow))
	if err != nil {
		r.metrics.errors.WithLabelValues("Foresee").Inc()
		r.log.Error(err, "What is known to start does not count")
	}
	return pods
}

// setKnown counts what is known to start within the window of a pool, as far as its namespaces are
// allowed. What cannot be read does not count, and holds nothing up.
func (r *Reserver) setKnown(ctx context.Context, w world, pool *v1alpha1.WarmPool, seen *sight) {
	share := int32(defaultShare)
	if f := pool.Spec.Demand.Future; f != nil && f.NamespaceSharePercent != nil {
		share = *f.NamespaceSharePercent
	}
	starts := r.startsOf(w, pool, seen)
	if share == 0 || len(starts) == 0 {
		return
	}
	resource := pool.Spec.Demand.Resource
	allowed, err := coming.Allowances(ctx, r.cached, resource, w.Pods)
	if err != nil {
		r.metrics.errors.WithLabelValues("Foresee").Inc()
		r.log.Error(err, "What is known to start does not count", "pool", pool.Name)
		return
	}
	sizes := make([]int64, len(seen.limits.Chunks))
	for i, chunk := range seen.limits.Chunks {
		sizes[i] = chunk.Requests[resource]
	}
	for i, known := range capacity.Known(starts, seen.limits.Chunks, sizes, float64(share)/100, allowed) {
		seen.demand.Chunks[i].Known = known
	}
}

// startsOf are the pods of a pool that start within its window. One that fits no empty node of the pool
// never counts.
func (r *Reserver) startsOf(w world, pool *v1alpha1.WarmPool, seen *sight) []capacity.Coming {
	var starts []capacity.Coming
	for _, pods := range w.coming {
		k, amount, ok := r.tracker.wouldBe(pods.Pod)
		if !ok || k.pool != pool.Name || pods.At.After(seen.at.Add(seen.limits.Window())) || !w.fitsEmpty(pods.Pod, seen.nodes) {
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

// fitsEmpty tells whether a pod fits one of the nodes while nothing but DaemonSets runs there; of a
// pool without nodes that is not known.
func (w world) fitsEmpty(pod *corev1.Pod, nodes []*corev1.Node) bool {
	requests := quantity.OfPod(pod)
	for _, node := range nodes {
		if requests.FitsIn(w.emptyRoom(node)) {
			return true
		}
	}
	return len(nodes) == 0
}

package reserver

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/coming"
	"forewarm.dev/capacity/room"
	"forewarm.dev/internal/quantity"
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

// startsOf are the pods of a pool that start within its window. One that fits no empty node of the pool
// never counts; of a pool without nodes that is not known.
func (r *Reserver) startsOf(w world, pool *v1alpha1.WarmPool, seen *sight) []capacity.Coming {
	var starts []capacity.Coming
	var empty []quantity.Vector
	for _, pods := range w.coming.Pods {
		k, amount, ok := r.tracker.wouldBe(pods.Pod)
		if !ok || k.pool != pool.Name || pods.At.After(seen.at.Add(seen.limits.Window())) {
			continue
		}
		if empty == nil {
			empty = w.emptyRooms(seen.nodes)
		}
		if len(empty) > 0 && !slices.ContainsFunc(empty, quantity.OfPod(pods.Pod).FitsIn) {
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

// emptyRooms is what each of some nodes offers beside the pods of DaemonSets.
func (w world) emptyRooms(nodes []*corev1.Node) []quantity.Vector {
	rooms := make([]quantity.Vector, 0, len(nodes))
	for _, node := range nodes {
		rooms = append(rooms, room.Empty(w.Snapshot, node))
	}
	return rooms
}

package reserver

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/clusterautoscaler"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/capacity/supply"
)

// setSupply looks whether a pool gets nodes, and what others want of it that do not. It is asked for
// none only where there is another pool to turn to.
func (r *Reserver) setSupply(ctx context.Context, w world, pool *v1alpha1.WarmPool, seen *sight) {
	for i, chunk := range pool.Spec.Chunks {
		seen.demand.Chunks[i].Diverted = supply.DivertedTo(w.pools, pool.Name, chunk.Name)
	}
	if !pool.Spec.Mode.Acts() {
		return
	}
	before, looked := supply.BreakerOf(pool), supply.See(pool, seen.leadTimes, w.placeholders[pool.Name], seen.nodes)
	seen.supply = supply.Tells{Breaker: before.Next(looked, seen.at), Patience: looked.Patience}
	seen.fallbacks = supply.Fallbacks(w.pools, pool)
	if len(seen.fallbacks) > 0 {
		seen.limits.Supply = seen.supply.Breaker.State
	}
	if pool.Status.Supply != nil {
		seen.supply.Why = pool.Status.Supply.Message
	}
	if waiting := supply.Waiting(w.placeholders[pool.Name], seen.at); len(waiting) > 0 {
		seen.said = r.whyNoNodes(ctx, w, pool, seen, waiting)
	}
	if seen.supply.Breaker.State == capacity.Open && before.State != capacity.Open {
		seen.supply.Why = seen.said.Why()
	}
}

// whyNoNodes is what autoscalers say of placeholders that wait; nothing where that cannot be read.
func (r *Reserver) whyNoNodes(ctx context.Context, w world, pool *v1alpha1.WarmPool, seen *sight, waiting []*corev1.Pod) supply.Said {
	of := supply.Names{Words: clusterautoscaler.Words(pool, seen.nodes)}
	for _, t := range w.nodePoolsOf(pool) {
		of.NodePools = append(of.NodePools, t.Labels[karpenter.NodePoolLabel])
	}
	said, err := r.asker.Ask(ctx, pool.Name, waiting, of, seen.at)
	if err != nil {
		r.metrics.errors.WithLabelValues("Explain").Inc()
		r.log.Error(err, "Not known why no node comes", "pool", pool.Name)
	}
	return said
}

// turn spreads what a pool cannot get over its fallbacks, and lets these plan for it at once.
func (r *Reserver) turn(pool *v1alpha1.WarmPool, seen *sight, plan capacity.Result) {
	var missing []capacity.Shortage
	for i, chunk := range plan.Chunks {
		missing = append(missing, capacity.Shortage{Chunk: seen.limits.Chunks[i], Missing: chunk.Diverted})
	}
	seen.supply.Diversions = capacity.Divert(missing, pool.Spec.Demand.Resource, seen.fallbacks)
	if before := pool.Status.Supply; !equality.Semantic.DeepEqual(divertedOf(before), divertedOf(seen.supply.Status())) {
		for _, d := range seen.supply.Diversions {
			r.hurry.add(hurryForNodes, d.Pool)
		}
	}
}

func divertedOf(s *v1alpha1.SupplyStatus) []v1alpha1.DivertedChunk {
	if s == nil {
		return nil
	}
	return s.Diverted
}

// tellSupply says it in status, by a condition, a metric, and an event when it changes.
func (r *Reserver) tellSupply(status *v1alpha1.WarmPoolStatus, pool *v1alpha1.WarmPool, seen sight) {
	status.Supply = seen.supply.Status()
	is, reason, says := seen.supply.Condition(pool, len(seen.fallbacks) == 0)
	setter(status, pool)(v1alpha1.ConditionStockOut, is, reason, says)
	r.metrics.stockOut.WithLabelValues(pool.Name).Set(map[bool]float64{true: 1}[is])
	switch before, now := supply.BreakerOf(pool).State, seen.supply.Breaker.State; {
	case before == now:
	case now == capacity.Open:
		r.options.Events.Eventf(pool, nil, corev1.EventTypeWarning, reason, "Observe", "%s", says)
	case now == capacity.Closed:
		r.options.Events.Eventf(pool, nil, corev1.EventTypeNormal, reason, "Observe", "nodes come again")
	}
}

// Package supply tells whether pools get the nodes that they ask for, and to which pools those turn
// that do not. What it knows is in status, so that the next leader goes on from it.
package supply

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/spec"
)

// See looks at the placeholders and the nodes of a pool. One that waits for a certain zone says nothing of
// the others.
func See(pool *v1alpha1.WarmPool, known capacity.LeadTimes, placeholders []*corev1.Pod, nodes []*corev1.Node) capacity.Supply {
	seen := capacity.Supply{Patience: placeholder.Patience(pool, known)}
	for _, pod := range placeholders {
		asked, ok := placeholder.Ungated(pod)
		if !ok || !waits(pool, pod) {
			continue
		}
		if seen.Asked.IsZero() || asked.Before(seen.Asked) {
			seen.Asked = asked
		}
	}
	for _, node := range nodes {
		if made := node.CreationTimestamp.Time; made.After(seen.Came) {
			seen.Came = made
		}
	}
	return seen
}

// BreakerOf is the breaker that a pool's status remembers.
func BreakerOf(pool *v1alpha1.WarmPool) capacity.Breaker {
	s := pool.Status.Supply
	if s == nil {
		return capacity.Breaker{}
	}
	b := capacity.Breaker{State: capacity.BreakerState(s.State), Since: s.Since.Time, Trips: int(s.Trips)}
	if s.State == v1alpha1.SupplyClosed {
		b.State = capacity.Closed
	}
	return b
}

// Tells is what is said of a pool's supply.
type Tells struct {
	Breaker  capacity.Breaker
	Patience time.Duration
	// Why is what the autoscaler says, empty where it says nothing.
	Why string
	// Diversions are what other pools are turned to for.
	Diversions []capacity.Diversion
}

// Status says it; nil where there is nothing to say.
func (t Tells) Status() *v1alpha1.SupplyStatus {
	b := t.Breaker
	if b == (capacity.Breaker{}) {
		return nil
	}
	status := &v1alpha1.SupplyStatus{State: string(b.State), Since: metav1.NewTime(b.Since), Trips: int32(b.Trips), Message: t.Why}
	switch b.State {
	case capacity.Open:
		retry := metav1.NewTime(b.RetryAt(t.Patience))
		status.RetryAt = &retry
	case capacity.Closed:
		status.State, status.Message = v1alpha1.SupplyClosed, ""
	}
	for _, d := range t.Diversions {
		status.Diverted = append(status.Diverted, v1alpha1.DivertedChunk{Chunk: d.Chunk, Count: int32(d.Count), Pool: d.Pool, Into: d.Into, As: int32(d.As)})
	}
	return status
}

// Fallbacks are the pools that a pool may turn to, in its order: those that act, get their nodes, and
// can be used.
func Fallbacks(pools []*v1alpha1.WarmPool, pool *v1alpha1.WarmPool) []capacity.Fallback {
	var usable []capacity.Fallback
	for _, name := range pool.Spec.Fallback {
		at := slices.IndexFunc(pools, func(p *v1alpha1.WarmPool) bool { return p.Name == name && p.Name != pool.Name })
		if at < 0 || !pools[at].Spec.Mode.Acts() || BreakerOf(pools[at]).State != capacity.Closed || held(pools[at]) {
			continue
		}
		if chunks, err := spec.Chunks(pools[at]); err == nil {
			usable = append(usable, capacity.Fallback{Pool: name, Resource: pools[at].Spec.Demand.Resource, Chunks: chunks})
		}
	}
	return usable
}

// held tells that nothing of a pool can change, or that it selects nothing.
func held(pool *v1alpha1.WarmPool) bool {
	return slices.ContainsFunc(pool.Status.Conditions, func(c metav1.Condition) bool {
		return c.Status == metav1.ConditionTrue && (c.Type == v1alpha1.ConditionConflict || c.Type == v1alpha1.ConditionInfeasible)
	})
}

// DivertedTo is what other pools want of a chunk of this one, as their status says.
func DivertedTo(pools []*v1alpha1.WarmPool, pool, chunk string) float64 {
	sum := 0.0
	for _, other := range pools {
		if other.Status.Supply == nil || !other.Spec.Mode.Acts() {
			continue
		}
		for _, d := range other.Status.Supply.Diverted {
			if d.Pool == pool && d.Into == chunk && slices.Contains(other.Spec.Fallback, pool) {
				sum += float64(d.As)
			}
		}
	}
	return sum
}

// Condition is what condition StockOut says: whether, why, and in words. nowhere says that no pool can
// be turned to.
func (t Tells) Condition(pool *v1alpha1.WarmPool, nowhere bool) (is bool, reason, message string) {
	switch t.Breaker.State {
	case capacity.Open:
		return true, v1alpha1.ReasonNodesOverdue, t.overdue(pool, nowhere)
	case capacity.HalfOpen:
		return true, v1alpha1.ReasonTryingOneNode, t.Why
	default:
		return false, v1alpha1.ReasonNodesCome, ""
	}
}

func (t Tells) overdue(pool *v1alpha1.WarmPool, nowhere bool) string {
	says := "no node has come for " + t.Patience.String()
	if t.Why != "" {
		says += ": " + t.Why
	}
	switch {
	case len(pool.Spec.Fallback) == 0:
		return says + "; spec.fallback names no pool to turn to, so that nodes are still asked for"
	case nowhere:
		return says + "; no pool of spec.fallback can be turned to, so that nodes are still asked for"
	default:
		return says
	}
}

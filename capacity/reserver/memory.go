package reserver

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

// due tells whether a pool's interval has passed, and starts the next one on a multiple of
// the interval, so that samples of history lie on a grid whoever leads.
func (r *Reserver) due(pool *v1alpha1.WarmPool, now time.Time) bool {
	m := r.memoryOf(pool, now)
	if now.Before(m.due) {
		return false
	}
	interval := pool.Spec.Forecast.Interval.Duration
	m.due = now.Truncate(interval).Add(interval)
	return true
}

func (r *Reserver) anyDue(pools []*v1alpha1.WarmPool, now time.Time) bool {
	return slices.ContainsFunc(pools, func(pool *v1alpha1.WarmPool) bool {
		return !now.Before(r.memoryOf(pool, now).due)
	})
}

func (r *Reserver) memoryOf(pool *v1alpha1.WarmPool, now time.Time) *memory {
	m := r.memory[pool.Name]
	if m == nil || m.uid != string(pool.UID) {
		m = &memory{since: now, wanted: map[string][]wantedAt{}, uid: string(pool.UID), maxNodes: lastCeilings(&pool.Status)}
		r.memory[pool.Name] = m
	}
	return m
}

// forgetGone drops what is remembered and measured of pools that are gone.
func (r *Reserver) forgetGone(pools []*v1alpha1.WarmPool) {
	uids := make([]types.UID, 0, len(pools))
	for _, pool := range pools {
		uids = append(uids, pool.UID)
	}
	r.options.Chooser.Keep(uids)
	for name := range r.memory {
		if !slices.ContainsFunc(pools, func(pool *v1alpha1.WarmPool) bool { return pool.Name == name }) {
			delete(r.memory, name)
			gone := prometheus.Labels{"pool": name}
			r.metrics.placeholders.DeletePartialMatch(gone)
			r.metrics.wanted.DeletePartialMatch(gone)
			r.metrics.demand.DeletePartialMatch(gone)
			r.metrics.leadTime.DeletePartialMatch(gone)
		}
	}
}

// remember keeps what was wanted during the hold time.
func (r *Reserver) remember(pool *v1alpha1.WarmPool, plan capacity.Result, now time.Time) {
	m := r.memoryOf(pool, now)
	oldest := now.Add(-pool.Spec.Sizing.Hold.Duration)
	for _, chunk := range plan.Chunks {
		past := slices.DeleteFunc(m.wanted[chunk.Name], func(w wantedAt) bool { return w.at.Before(oldest) })
		m.wanted[chunk.Name] = append(past, wantedAt{now, chunk.Wanted})
	}
}

// kept is the highest number wanted within the hold time; all that are held while less
// than a hold time has been seen.
func (r *Reserver) kept(pool *v1alpha1.WarmPool, chunk string, held int64, now time.Time) int64 {
	m := r.memoryOf(pool, now)
	if now.Sub(m.since) < pool.Spec.Sizing.Hold.Duration {
		return held
	}
	var highest int64
	for _, w := range m.wanted[chunk] {
		highest = max(highest, w.wanted)
	}
	return highest
}

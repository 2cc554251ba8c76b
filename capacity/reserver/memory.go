package reserver

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/spec"
	tells "forewarm.dev/capacity/status"
)

// due tells whether a pool's interval has passed, and starts the next one on a multiple of
// the interval, so that samples of history lie on a grid whoever leads. What is left of it is
// measured by the monotonic clock: where the machine's time is set back, the pool is due as before.
func (r *Reserver) due(pool *v1alpha1.WarmPool, now time.Time) bool {
	m := r.memoryOf(pool, now)
	if !m.isDue(now, r.hurry.of(pool.Name)) {
		return false
	}
	r.hurry.done(pool.Name)
	interval := pool.Spec.Forecast.Interval.Duration
	left := now.Truncate(interval).Add(interval).Sub(now) // Truncate drops the monotonic reading
	m.planned, m.due = now, now.Add(left)
	return true
}

// isDue tells that a pool is planned for at the end of its interval, or earlier where it is in a
// hurry, so long after the plan before.
func (m *memory) isDue(now time.Time, hurry time.Duration) bool {
	return !now.Before(m.due) || hurry > 0 && now.Sub(m.planned) >= hurry
}

func (r *Reserver) anyDue(pools []*v1alpha1.WarmPool, now time.Time) bool {
	return slices.ContainsFunc(pools, func(pool *v1alpha1.WarmPool) bool {
		return r.memoryOf(pool, now).isDue(now, r.hurry.of(pool.Name))
	})
}

func (r *Reserver) memoryOf(pool *v1alpha1.WarmPool, now time.Time) *memory {
	m := r.memory[pool.Name]
	if m == nil || m.uid != string(pool.UID) {
		m = &memory{since: now, wanted: map[string][]wantedAt{}, uid: string(pool.UID), maxNodes: tells.Ceilings(&pool.Status)}
		r.memory[pool.Name] = m
	}
	return m
}

// forgetGone drops what is remembered and measured of pools that are gone.
func (r *Reserver) forgetGone(pools []*v1alpha1.WarmPool) {
	uids, names := make([]types.UID, 0, len(pools)), make([]string, 0, len(pools))
	for _, pool := range pools {
		uids, names = append(uids, pool.UID), append(names, pool.Name)
	}
	r.options.Chooser.Keep(uids)
	r.options.Announcer.Keep(names)
	r.asker.Keep(names)
	r.options.Forecaster.Keep(names)
	for name := range r.memory {
		if !slices.ContainsFunc(pools, func(pool *v1alpha1.WarmPool) bool { return pool.Name == name }) {
			delete(r.memory, name)
			gone := prometheus.Labels{"pool": name}
			r.metrics.placeholders.DeletePartialMatch(gone)
			r.metrics.wanted.DeletePartialMatch(gone)
			r.metrics.demand.DeletePartialMatch(gone)
			r.metrics.leadTime.DeletePartialMatch(gone)
			r.metrics.above.DeletePartialMatch(gone)
			r.metrics.stockOut.DeletePartialMatch(gone)
		}
	}
}

// remember keeps what was wanted during the hold time.
func (r *Reserver) remember(pool *v1alpha1.WarmPool, plan capacity.Result, now time.Time) {
	m := r.memoryOf(pool, now)
	oldest := now.Add(-holdTime(pool))
	for _, chunk := range plan.Chunks {
		past := slices.DeleteFunc(m.wanted[chunk.Name], func(w wantedAt) bool { return w.at.Before(oldest) })
		m.wanted[chunk.Name] = append(past, wantedAt{now, chunk.Wanted})
	}
}

// kept is the highest number wanted within the hold time; all that are held while less
// than a hold time has been seen, or not all that they may be held for.
func (r *Reserver) kept(pool *v1alpha1.WarmPool, chunk string, held int64, young bool) int64 {
	if young {
		return held
	}
	var highest int64
	for _, w := range r.memory[pool.Name].wanted[chunk] {
		highest = max(highest, w.wanted)
	}
	return highest
}

// young tells that less than a hold time has been seen of a pool.
func (r *Reserver) young(pool *v1alpha1.WarmPool, now time.Time) bool {
	return now.Sub(r.memoryOf(pool, now).since) < holdTime(pool)
}

// holdTime is for how long what was wanted is kept, which is what plans weigh.
func holdTime(pool *v1alpha1.WarmPool) time.Duration { return spec.Limits(pool, nil, 0, 0).HoldTime() }

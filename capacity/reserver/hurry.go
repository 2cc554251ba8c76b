package reserver

import (
	"sync"
	"time"

	"forewarm.dev/api/v1alpha1"
)

// hurryForPods is how long after its last plan a pool is planned for again because of new pods that
// find no room.
const hurryForPods = 5 * time.Second

// hurry are the pools that are planned for before their interval is over. The zero value has none.
type hurry struct {
	mu    sync.Mutex
	pools map[string]time.Duration
}

// add notes that a pool is due so long after its last plan; false for no pool.
func (h *hurry) add(after time.Duration, pool string) bool {
	if pool == "" {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pools == nil {
		h.pools = map[string]time.Duration{}
	}
	if known, ok := h.pools[pool]; !ok || after < known {
		h.pools[pool] = after
	}
	return true
}

// of is how long after its last plan a pool is due; zero for at the end of its interval.
func (h *hurry) of(pool string) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pools[pool]
}

// retry makes a pool due soon whose plan was not applied whole: the API server counts what was deleted
// a moment later against the quota than it deletes it. A plan that fails again and again waits longer.
func (r *Reserver) retry(pool *v1alpha1.WarmPool, done outcome, now time.Time) {
	m := r.memoryOf(pool, now)
	switch {
	case done.err != nil && m.failed:
		r.hurry.add(hurryForPods, pool.Name)
	case done.err != nil:
		r.hurry.add(hurryForNodes, pool.Name)
	}
	m.failed = done.err != nil
}

// done notes that a pool is being planned for.
func (h *hurry) done(pool string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pools, pool)
}

package handler

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender"
	"forewarm.dev/internal/demand"
)

// SetPool adds or changes a WarmPool.
func (x *Index) SetPool(pool *v1alpha1.WarmPool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setPool(pool)
}

func (x *Index) setPool(pool *v1alpha1.WarmPool) {
	before := x.pools[pool.Name]
	x.pools[pool.Name] = pool
	x.hear(before, pool)
	x.compile(before == nil || before.UID != pool.UID || before.Generation != pool.Generation)
}

// DropPool removes a WarmPool.
func (x *Index) DropPool(pool *v1alpha1.WarmPool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropPool(pool.Name)
}

func (x *Index) dropPool(name string) {
	delete(x.pools, name)
	delete(x.heard, name)
	x.compile(true)
}

// compile works out what is held, and, if a spec has changed, the classes and whose each
// node is. A pool whose selectors cannot be read holds nothing; the reserver reports it.
func (x *Index) compile(specs bool) {
	x.held = nil
	for _, pool := range x.pools {
		if x.expecting(pool) {
			x.held = append(x.held, extender.Held{Pool: pool.Name, Resource: x.devices.CountedAs(pool.Spec.Demand.Resource)})
		}
	}
	slices.SortFunc(x.held, func(a, b extender.Held) int { return cmp.Compare(a.Pool, b.Pool) })
	if specs {
		x.classes = nil
		for _, pool := range x.pools {
			if c, err := demand.Compile(pool); err == nil {
				x.classes = append(x.classes, c)
			}
		}
		demand.Sort(x.classes)
		for _, node := range x.nodes {
			node.Pool = x.poolOf(node.labels)
		}
	}
	x.waiting.Wake()
}

// expecting tells whether a pool holds capacity for owners that it expects, or lends it never. What a
// silent reserver wanted long ago is expected no more, nor what waits for an approval.
func (x *Index) expecting(pool *v1alpha1.WarmPool) bool {
	if !pool.Spec.Mode.Acts() {
		return false
	}
	return pool.Spec.Borrow == v1alpha1.BorrowNever || !x.silent(pool) &&
		slices.ContainsFunc(pool.Status.Chunks, func(c v1alpha1.ChunkStatus) bool {
			return c.Wanted > 0 && (pool.Spec.Mode != v1alpha1.ModeApprove || c.Pending+c.Reserved > 0)
		})
}

// silentAfter is for how long the reserver may not plan for a pool until what it wanted counts no more,
// or silentIntervals of the pool's, if that is longer.
const (
	silentAfter     = 10 * time.Minute
	silentIntervals = 3
)

// hear notes when the reserver last planned for a pool: by our own clock where we see it happen.
func (x *Index) hear(before, pool *v1alpha1.WarmPool) {
	planned := pool.Status.Planned
	switch {
	case before == nil && planned != nil && planned.Time.Before(x.now()):
		x.heard[pool.Name] = planned.Time
	case before == nil || before.UID != pool.UID || !before.Status.Planned.Equal(planned):
		x.heard[pool.Name] = x.now()
	}
}

// silent tells whether the reserver has not planned for a pool for long. One that does not say when it
// plans, as of an older version, is believed.
func (x *Index) silent(pool *v1alpha1.WarmPool) bool {
	return pool.Status.Planned != nil && x.now().Sub(x.heard[pool.Name]) > max(silentAfter, silentIntervals*pool.Spec.Forecast.Interval.Duration)
}

// lapse has pools hold no more of which the reserver is silent.
func (x *Index) lapse() {
	if slices.ContainsFunc(x.held, func(h extender.Held) bool { return !x.expecting(x.pools[h.Pool]) }) {
		x.compile(false)
	}
}

// Silent is how many of the WarmPools that act have a reserver that is silent.
func (x *Index) Silent() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, pool := range x.pools {
		if pool.Spec.Mode.Acts() && x.silent(pool) {
			n++
		}
	}
	return n
}

// holds tells whether a pool holds its capacity now.
func (x *Index) holding(pool string) bool {
	return slices.ContainsFunc(x.held, func(h extender.Held) bool { return h.Pool == pool })
}

// poolOf is the pool that a node belongs to: of several that select it, the oldest.
func (x *Index) poolOf(node labels.Set) string {
	owner := ""
	for i := range x.classes {
		c := &x.classes[i]
		if node != nil && c.Nodes.Matches(node) && (owner == "" || x.older(c.Pool, owner)) {
			owner = c.Pool
		}
	}
	return owner
}

func (x *Index) older(a, b string) bool {
	at, bt := x.pools[a].CreationTimestamp, x.pools[b].CreationTimestamp
	return at.Before(&bt) || at.Equal(&bt) && a < b
}

package topology

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/snapshot"
)

const (
	// patience is how long is waited for what Kueue knows of topologies.
	patience = 5 * time.Second
	// atOnce bounds the Workloads that room is looked for at a time; the loop comes back within a second.
	atOnce = 10
)

// Pools are what is known of WarmPools where room is made.
type Pools interface {
	// Of is the pool whose demand a pod would be part of; nil for none.
	Of(pod *corev1.Pod) *v1alpha1.WarmPool
	// Held is what is free on nodes, and what a pool's placeholders hold there.
	Held(pool *v1alpha1.WarmPool) []capacity.HeldNode
	// GiveWay deletes placeholders of a pool for somebody, and tells whether any are gone.
	GiveWay(ctx context.Context, pool *v1alpha1.WarmPool, to *metav1.PartialObjectMetadata, victims []string) bool
}

// tried is the last attempt to make room for a Workload, and from which pool.
type tried struct {
	capacity.Attempt
	pool string
}

// Due tells whether room is to be made for some Workload. What was freed for one stays so for a while after it
// has stopped to wait: its pods are yet to come.
func (w *Watcher) Due(now time.Time) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.tried, func(uid types.UID, t tried) bool {
		_, waits := w.loads[uid]
		return !waits && !t.Holds(now)
	})
	for uid := range w.loads {
		if w.due(uid, now) {
			return true
		}
	}
	return false
}

// due tells whether room is to be made for a Workload.
func (w *Watcher) due(uid types.UID, now time.Time) bool {
	t, was := w.tried[uid]
	return !was || t.Due(now)
}

// Holds tells whether a pool is to ungate nothing, since what it freed lately is not for its own.
func (w *Watcher) Holds(pool string, now time.Time) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tried {
		if t.pool == pool && t.Holds(now) {
			return true
		}
	}
	return false
}

// MakeRoom has placeholders give way to the Workloads that wait, to all pods of each at once. What was freed for
// those that are not due is kept from the others. It is not for concurrent use.
func (w *Watcher) MakeRoom(ctx context.Context, s snapshot.Snapshot, pools Pools, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m := maker{w: w, s: s, pools: pools, held: map[string][]capacity.HeldNode{}, trees: map[string]Tree{}}
	looked := 0
	for _, load := range w.Waiting() {
		due := w.due(load.UID, now) && looked < atOnce
		if !due && !w.tried[load.UID].Holds(now) {
			continue
		}
		pool, victims := m.victims(ctx, load)
		if !due {
			continue
		}
		looked++
		t := tried{Attempt: w.tried[load.UID].Next(now)}
		if pool != nil {
			t.pool = pool.Name
			t.Gave = len(victims) > 0 && pools.GiveWay(ctx, pool, &metav1.PartialObjectMetadata{TypeMeta: load.Kind, ObjectMeta: load.ObjectMeta}, victims)
		}
		w.mu.Lock()
		w.tried[load.UID] = t
		w.mu.Unlock()
	}
	return m.failed
}

// maker is what is known while room is made: of each pool what is left, and of each topology its tree.
type maker struct {
	w      *Watcher
	s      snapshot.Snapshot
	pools  Pools
	held   map[string][]capacity.HeldNode
	trees  map[string]Tree
	failed error
}

// victims are the placeholders that give way to a Workload, and whose; the pool is nil where none acts for it.
func (m *maker) victims(ctx context.Context, load Load) (pool *v1alpha1.WarmPool, victims []string) {
	pool, groups := poolOf(load, m.pools)
	if pool == nil {
		return nil, nil
	}
	held, known := m.held[pool.Name]
	if !known {
		held = m.pools.Held(pool)
		m.held[pool.Name] = held
	}
	if !slices.ContainsFunc(held, func(n capacity.HeldNode) bool { return len(n.Held) > 0 }) {
		return pool, nil // there is nothing to give
	}
	tree, known := m.trees[load.Topology]
	if !known {
		var err error
		tree, err = m.w.Tree(ctx, load.Topology)
		m.trees[load.Topology], m.failed = tree, errors.Join(m.failed, err)
	}
	victims, m.held[pool.Name] = tree.Victims(groups, m.s, held)
	return pool, victims
}

// poolOf is the pool that acts for the pods of a Workload, and those of its groups that are of it; nil where
// none does, or several.
func poolOf(load Load, pools Pools) (pool *v1alpha1.WarmPool, groups []Group) {
	for _, g := range load.Groups {
		one := pools.Of(g.Pod)
		switch {
		case one == nil:
			continue
		case !one.Spec.Mode.Acts() || pool != nil && pool.Name != one.Name:
			return nil, nil
		}
		pool, groups = one, append(groups, g)
	}
	return pool, groups
}

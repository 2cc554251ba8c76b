package topology

import (
	"context"
	"errors"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/snapshot"
)

// patience is how long is waited for what Kueue knows of topologies.
const patience = 5 * time.Second

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
	var failed error
	held, trees := map[string][]capacity.HeldNode{}, map[string]Tree{}
	for _, load := range w.Waiting() {
		pool, groups := poolOf(load, pools)
		t, victims := tried{}, []string(nil)
		if pool != nil {
			t.pool = pool.Name
			if _, known := trees[load.Topology]; !known {
				tree, err := w.Tree(ctx, load.Topology)
				trees[load.Topology], failed = tree, errors.Join(failed, err)
			}
			if held[t.pool] == nil {
				held[t.pool] = pools.Held(pool)
			}
			victims, held[t.pool] = trees[load.Topology].Victims(groups, s, held[t.pool])
		}
		if w.due(load.UID, now) {
			t.Attempt = w.tried[load.UID].Next(now)
			t.Gave = len(victims) > 0 && pools.GiveWay(ctx, pool, &metav1.PartialObjectMetadata{TypeMeta: load.Kind, ObjectMeta: load.ObjectMeta}, victims)
			w.mu.Lock()
			w.tried[load.UID] = t
			w.mu.Unlock()
		}
	}
	return failed
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

package topology

import (
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/snapshot"
)

// patience is how long is waited for an answer about what Kueue knows of topologies and queues.
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

// MakeRoom has placeholders give way to Workloads, as InTurn has them, to all pods of each at once. What was freed for
// others that still wait is kept from them. It is not for concurrent use.
func (w *Watcher) MakeRoom(ctx context.Context, s snapshot.Snapshot, pools Pools, turn []Load, now time.Time) error {
	m := maker{w: w, s: s, pools: pools, held: map[string][]capacity.HeldNode{}, trees: map[string]Tree{}, allowed: map[types.NamespacedName]map[string]bool{}}
	holders, due := w.holders(now), map[types.UID]bool{}
	for _, load := range turn {
		due[load.UID] = true
	}
	for _, load := range append(holders, turn...) {
		pool, victims := m.victims(ctx, load)
		if !due[load.UID] {
			continue
		}
		due[load.UID] = false // one that holds room comes first, and once
		gave := len(victims) > 0 && pools.GiveWay(ctx, pool, &metav1.PartialObjectMetadata{TypeMeta: load.Kind, ObjectMeta: load.ObjectMeta}, victims)
		w.note(load, pool, gave, now)
	}
	return m.failed
}

// maker is what is known while room is made: of each pool what is left, of each topology its tree, and of each LocalQueue the
// flavors that it may use.
type maker struct {
	w       *Watcher
	s       snapshot.Snapshot
	pools   Pools
	held    map[string][]capacity.HeldNode
	trees   map[string]Tree
	allowed map[types.NamespacedName]map[string]bool
	failed  error
}

// victims are the placeholders that give way to a Workload, and whose; the pool is nil where none acts for it.
func (m *maker) victims(ctx context.Context, load Load) (pool *v1alpha1.WarmPool, victims []string) {
	pool, groups := poolOf(load, m.pools.Of)
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
	tree := m.tree(ctx, load)
	if len(tree.flavors) == 0 {
		return pool, nil
	}
	victims, m.held[pool.Name] = tree.Victims(groups, m.s, held)
	return pool, victims
}

// tree is the topology of a Workload, with the flavors that its queue may use; empty where it cannot be read.
func (m *maker) tree(ctx context.Context, load Load) Tree {
	tree, known := m.trees[load.Topology]
	if !known {
		m.ask(ctx, func(within context.Context) (err error) {
			tree, err = m.w.Tree(within, load.Topology)
			return err
		})
		m.trees[load.Topology] = tree
	}
	key := types.NamespacedName{Namespace: load.Namespace, Name: load.Queue}
	allowed, known := m.allowed[key]
	if !known {
		m.ask(ctx, func(within context.Context) (err error) {
			allowed, err = m.w.flavors(within, key)
			return err
		})
		m.allowed[key] = allowed
	}
	tree.flavors = slices.DeleteFunc(slices.Clone(tree.flavors), func(f flavor) bool { return !allowed[f.Name] })
	return tree
}

// ask reads something of Kueue, unless it has not answered in time before.
func (m *maker) ask(ctx context.Context, read func(context.Context) error) {
	if errors.Is(m.failed, context.DeadlineExceeded) {
		return
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m.failed = errors.Join(m.failed, read(within))
}

// poolOf is the pool that acts for the pods of a Workload, and those of its groups that are of it; nil where
// none does, or several.
func poolOf(load Load, of func(*corev1.Pod) *v1alpha1.WarmPool) (pool *v1alpha1.WarmPool, groups []Group) {
	for _, g := range load.Groups {
		one := of(g.Pod)
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

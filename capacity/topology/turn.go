package topology

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

const (
	// atOnce bounds the Workloads that room is looked for at a time; the loop comes back within a second.
	atOnce = 10
	// holdAtMost is how long what was freed for a Workload is kept from its pool while it waits on: Kueue looks
	// again by itself, or when something happens.
	holdAtMost = 2 * time.Minute
	// anew is how long after room was first made for a Workload in vain it is made again; sooner if the
	// Workload has changed.
	anew = 10 * time.Minute
	// settle is how long its pods may take to come once a Workload waits no more.
	settle = 10 * time.Second
)

// tried is the last attempt to make room for a Workload, and from which pool.
type tried struct {
	capacity.Attempt
	pool string
	// generation is the Workload's at that time.
	generation int64
	// since is when room was first made, zero if none was.
	since time.Time
	// left is when it was seen to wait no more; zero while it waits.
	left time.Time
}

// spent tells that what was freed has not helped, and that no more is.
func (t tried) spent(now time.Time) bool {
	return !t.since.IsZero() && now.Sub(t.since) >= holdAtMost
}

// due tells whether room is to be made for a Workload that waits.
func (t tried) due(load Load, now time.Time) bool {
	if t.generation != load.Generation {
		return true
	}
	if t.spent(now) {
		return now.Sub(t.since) >= anew
	}
	return t.Due(now)
}

// holds tells whether what was freed is still kept for whom it was freed.
func (t tried) holds(now time.Time) bool {
	if t.since.IsZero() {
		return false
	}
	if t.left.IsZero() {
		return !t.spent(now)
	}
	return now.Sub(t.left) < settle
}

// Due tells whether some Workload is due to be looked at.
func (w *Watcher) Due(now time.Time) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(now)
	for uid, load := range w.loads {
		if w.due(uid, load, now) {
			return true
		}
	}
	return false
}

// forget drops what was tried for Workloads that have stopped to wait for some time.
func (w *Watcher) forget(now time.Time) {
	for uid, t := range w.tried {
		_, waits := w.loads[uid]
		switch {
		case waits:
			t.left = time.Time{}
		case t.left.IsZero():
			t.left = now
		case now.Sub(t.left) >= settle:
			delete(w.tried, uid)
			continue
		}
		w.tried[uid] = t
	}
}

func (w *Watcher) due(uid types.UID, load Load, now time.Time) bool {
	t, was := w.tried[uid]
	return !was || t.due(load, now)
}

// InTurn are the Workloads to make room for now, a few at a time: first those least lately tried, then as Waiting
// orders them. Those for which no pool acts are left out, and noted as tried. of is the pool whose
// demand a pod would be part of; nil for none.
func (w *Watcher) InTurn(of func(*corev1.Pod) *v1alpha1.WarmPool, now time.Time) (turn []Load) {
	if !w.Due(now) {
		return nil
	}
	last := map[types.UID]time.Time{}
	for _, load := range w.Waiting() {
		w.mu.Lock()
		due := w.due(load.UID, load, now)
		last[load.UID] = w.tried[load.UID].At
		w.mu.Unlock()
		if !due {
			continue
		}
		if pool, _ := poolOf(load, of); pool == nil {
			w.note(load, nil, false, now)
			continue
		}
		turn = append(turn, load)
	}
	slices.SortStableFunc(turn, func(a, b Load) int { return last[a.UID].Compare(last[b.UID]) })
	return turn[:min(len(turn), atOnce)]
}

// holders are the Workloads that wait, and for which freed room is kept, in order.
func (w *Watcher) holders(now time.Time) []Load {
	loads := w.Waiting()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(loads, func(load Load) bool { return !w.tried[load.UID].holds(now) })
}

// note keeps that room was looked for, from which pool, and whether placeholders gave way.
func (w *Watcher) note(load Load, pool *v1alpha1.WarmPool, gave bool, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.tried[load.UID]
	if before.spent(now) {
		before = tried{}
	}
	if before.generation != load.Generation {
		before.Attempt = capacity.Attempt{} // what is held stays so
	}
	t := tried{Attempt: before.Next(now), generation: load.Generation, since: before.since}
	t.Gave = gave
	if gave && t.since.IsZero() {
		t.since = now
	}
	if pool != nil {
		t.pool = pool.Name
	}
	w.tried[load.UID] = t
}

// Holds tells whether a pool is to ungate nothing, since what it freed lately is not for its own.
func (w *Watcher) Holds(pool string, now time.Time) bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tried {
		if t.pool == pool && t.holds(now) {
			return true
		}
	}
	return false
}

package reserver

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/room"
	"forewarm.dev/internal/quantity"
)

// powerless tells that a pod which finds no room cannot preempt a placeholder: by its policy, or by
// a priority that is not above ours.
func powerless(pod *corev1.Pod, ours int32) bool {
	if pod.Spec.PreemptionPolicy != nil && *pod.Spec.PreemptionPolicy == corev1.PreemptNever {
		return true
	}
	return priorityOf(pod) <= ours
}

func priorityOf(pod *corev1.Pod) int32 {
	if pod.Spec.Priority == nil {
		return 0
	}
	return *pod.Spec.Priority
}

// stuck are the powerless pods that the scheduler has found no room for, and that have not been tried
// lately.
func (r *Reserver) stuck(now time.Time) []types.UID {
	uids := r.tracker.stuckPods()
	before := r.attempts
	r.attempts = map[types.UID]capacity.Attempt{}
	for _, uid := range uids {
		if a, ok := before[uid]; ok {
			r.attempts[uid] = a
		}
	}
	return slices.DeleteFunc(uids, func(uid types.UID) bool {
		a, ok := r.attempts[uid]
		return ok && !a.Due(now)
	})
}

// takeOver frees room for the pods that cannot preempt. Pods of a pool that only observes wait for
// the autoscaler, as they would without us.
func (r *Reserver) takeOver(ctx context.Context, now time.Time) {
	uids, loads := r.stuck(now), r.options.Loads.Due(now)
	if len(uids) == 0 && !loads {
		return
	}
	pools, err := r.listPools(ctx)
	if err != nil {
		r.failed("TakeOver", err)
		return
	}
	stuck := r.attempt(uids, pools, now)
	turn := r.options.Loads.InTurn(poolsNow{r, world{pools: pools}}.Of, now)
	if len(stuck) == 0 && len(turn) == 0 {
		return
	}
	w, err := r.observe(ctx, pools)
	if err != nil {
		r.failed("TakeOver", err)
		return
	}
	if len(turn) > 0 {
		if err := r.options.Loads.MakeRoom(ctx, w.Snapshot, poolsNow{r, w}, turn, now); err != nil {
			r.failed("TakeOver", err)
		}
	}
	r.takeOverPods(ctx, w, stuck)
}

// takeOverPods frees room for pods, those of each pool.
func (r *Reserver) takeOverPods(ctx context.Context, w world, stuck map[types.UID]*v1alpha1.WarmPool) {
	nodes := map[string][]capacity.HeldNode{}
	for _, pod := range w.Pods {
		pool := stuck[pod.UID]
		if pool == nil || !unschedulable(pod) {
			continue
		}
		if nodes[pool.Name] == nil {
			nodes[pool.Name] = slices.DeleteFunc(w.heldNodes(pool), func(n capacity.HeldNode) bool { return len(n.Held) == 0 })
		}
		if r.freeFor(ctx, w, pool, pod, nodes[pool.Name]) {
			a := r.attempts[pod.UID]
			a.Gave = true
			r.attempts[pod.UID] = a
		}
	}
}

// attempt notes that room is being made for pods, and tells in which pools, of those that act.
func (r *Reserver) attempt(uids []types.UID, pools []*v1alpha1.WarmPool, now time.Time) map[types.UID]*v1alpha1.WarmPool {
	stuck := map[types.UID]*v1alpha1.WarmPool{}
	for _, uid := range uids {
		r.attempts[uid] = r.attempts[uid].Next(now)
		name := r.tracker.poolOf(uid)
		at := slices.IndexFunc(pools, func(p *v1alpha1.WarmPool) bool { return p.Name == name && p.Spec.Mode.Acts() })
		if at >= 0 {
			stuck[uid] = pools[at]
		}
	}
	return stuck
}

// freeFor deletes the cheapest placeholders of one node that the pod may run on, and takes the room
// off the node, so that the next pod does not count on it. It tells whether any gave way.
func (r *Reserver) freeFor(ctx context.Context, w world, pool *v1alpha1.WarmPool, pod *corev1.Pod, nodes []capacity.HeldNode) bool {
	mayRun := w.MayRun(pod)
	fitting := slices.DeleteFunc(slices.Clone(nodes), func(n capacity.HeldNode) bool { return !mayRun(n.Name) })
	requests := quantity.OfPod(pod)
	name, victims := capacity.TakeOver(requests, priorityOf(pod), fitting)
	if len(victims) == 0 {
		return false
	}
	if gave, err := r.giveWay(ctx, w, pool, pod, victims); err != nil {
		return gave
	}
	at := slices.IndexFunc(nodes, func(n capacity.HeldNode) bool { return n.Name == name })
	n := &nodes[at]
	for _, chunk := range n.Held {
		if slices.Contains(victims, chunk.Pod) {
			n.Room = n.Room.Plus(chunk.Requests)
		}
	}
	n.Room = n.Room.Minus(requests)
	n.Held = slices.DeleteFunc(slices.Clone(n.Held), func(c capacity.HeldChunk) bool { return slices.Contains(victims, c.Pod) })
	return true
}

// giveWay deletes placeholders for somebody who cannot preempt them, and tells whether any are gone.
func (r *Reserver) giveWay(ctx context.Context, w world, pool *v1alpha1.WarmPool, to client.Object, victims []string) (gave bool, err error) {
	run := run{reserver: r, pool: pool}
	var steps []capacity.Step
	for _, victim := range victims {
		steps = append(steps, capacity.Step{Action: capacity.Delete, Pod: victim, Reason: capacity.ReasonTakenOver})
	}
	run.all(ctx, capacity.Delete, steps)
	if err := run.outcome.err; err != nil {
		r.log.Error(err, "Takeover not whole", "pool", pool.Name, "for", klog.KObj(to))
		return run.outcome.deleted > 0, err
	}
	for _, victim := range victims {
		r.metrics.takeovers.WithLabelValues(pool.Name, chunkOf(w, pool, victim)).Inc()
	}
	r.log.Info("Placeholders gave way", "pool", pool.Name, "for", klog.KObj(to), "placeholders", victims)
	r.options.Events.Eventf(to, pool, corev1.EventTypeNormal, v1alpha1.ReasonTakenOver, "TakeOver",
		"WarmPool %s gave up %d placeholders for this, which cannot preempt them", pool.Name, len(victims))
	return true, nil
}

// poolsNow are the pools of one cycle, for Workloads that wait for room.
type poolsNow struct {
	*Reserver
	world
}

func (p poolsNow) Of(pod *corev1.Pod) *v1alpha1.WarmPool {
	k, _, ok := p.tracker.wouldBe(pod)
	at := slices.IndexFunc(p.pools, func(pool *v1alpha1.WarmPool) bool { return pool.Name == k.pool })
	if !ok || at < 0 {
		return nil
	}
	return p.pools[at]
}

func (p poolsNow) Held(pool *v1alpha1.WarmPool) []capacity.HeldNode { return p.heldNodes(pool) }

func (p poolsNow) GiveWay(ctx context.Context, pool *v1alpha1.WarmPool, to *metav1.PartialObjectMetadata, victims []string) bool {
	gave, _ := p.giveWay(ctx, p.world, pool, to, victims)
	return gave
}

// heldNodes are the usable nodes, by name, and the placeholders of a pool that stand on them.
func (w world) heldNodes(pool *v1alpha1.WarmPool) []capacity.HeldNode {
	costs := map[string]float64{}
	for i := range pool.Spec.Chunks {
		chunk := &pool.Spec.Chunks[i]
		costs[chunk.Name] = price.OfChunk(pool, chunk)
	}
	held := map[string][]capacity.HeldChunk{}
	for _, pod := range w.placeholders[pool.Name] {
		if pod.Spec.NodeName != "" && !placeholder.Terminal(pod) {
			held[pod.Spec.NodeName] = append(held[pod.Spec.NodeName], capacity.HeldChunk{
				Pod: pod.Name, Requests: quantity.OfPod(pod),
				Priority: placeholder.Priority(pod), Cost: costs[pod.Labels[v1alpha1.LabelChunk]],
			})
		}
	}
	var nodes []capacity.HeldNode
	for _, node := range w.Nodes {
		if !room.Usable(node) {
			continue
		}
		free := quantity.Of(node.Status.Allocatable).MinusPods(w.PodsOn(node.Name))
		nodes = append(nodes, capacity.HeldNode{Name: node.Name, Room: free, Held: held[node.Name]})
	}
	return nodes
}

func chunkOf(w world, pool *v1alpha1.WarmPool, placeholder string) string {
	for _, pod := range w.placeholders[pool.Name] {
		if pod.Name == placeholder {
			return pod.Labels[v1alpha1.LabelChunk]
		}
	}
	return ""
}

// gaveWay says why a pool ungates nothing for the moment: what it freed lately is not for its own.
func (r *Reserver) gaveWay(pool *v1alpha1.WarmPool, now time.Time) capacity.Reason {
	for uid, a := range r.attempts {
		if a.Holds(now) && r.tracker.poolOf(uid) == pool.Name {
			return capacity.ReasonTakenOver
		}
	}
	if r.options.Loads.Holds(pool.Name, now) {
		return capacity.ReasonTakenOver
	}
	return ""
}

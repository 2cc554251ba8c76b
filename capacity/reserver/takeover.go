package reserver

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/price"
	"forewarm.dev/internal/quantity"
)

// takeoverPatience is how long a pod may take to bind to what has been freed for it: the scheduler's
// longest backoff. Then it is tried again, and meanwhile its pool ungates nothing that could be
// placed there instead. A pod that does not bind even so has a reason that we do not see, and must
// not cost placeholders for ever: each time that they gave way in vain the wait doubles, up to
// longestPatience.
const (
	takeoverPatience = 10 * time.Second
	longestPatience  = 10 * time.Minute
)

// attempt is one to make room for a pod.
type attempt struct {
	at time.Time
	// wait is how long until the next one.
	wait time.Duration
	// gave says that placeholders gave way.
	gave bool
}

// next is the attempt after this one, which was in vain.
func (a attempt) next(now time.Time) attempt {
	wait := max(a.wait, takeoverPatience)
	if a.gave {
		wait = min(2*wait, longestPatience)
	}
	return attempt{at: now, wait: wait}
}

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
	r.attempts = map[types.UID]attempt{}
	for _, uid := range uids {
		if a, ok := before[uid]; ok {
			r.attempts[uid] = a
		}
	}
	return slices.DeleteFunc(uids, func(uid types.UID) bool {
		a, ok := r.attempts[uid]
		return ok && now.Sub(a.at) < a.wait
	})
}

// takeOver frees room for the pods that cannot preempt. Pods of a pool that only observes wait for
// the autoscaler, as they would without us.
func (r *Reserver) takeOver(ctx context.Context, now time.Time) {
	uids := r.stuck(now)
	if len(uids) == 0 {
		return
	}
	pools, err := r.listPools(ctx)
	if err != nil {
		r.failed("TakeOver", err)
		return
	}
	stuck := r.attempt(uids, pools, now)
	if len(stuck) == 0 {
		return
	}
	w, err := r.observe(ctx, pools)
	if err != nil {
		r.failed("TakeOver", err)
		return
	}
	nodes := map[string][]capacity.HeldNode{}
	for _, pod := range w.Pods {
		pool := stuck[pod.UID]
		if pool == nil || !unschedulable(pod) {
			continue
		}
		if nodes[pool.Name] == nil {
			nodes[pool.Name] = w.heldNodes(pool)
		}
		if r.freeFor(ctx, w, pool, pod, nodes[pool.Name]) {
			a := r.attempts[pod.UID]
			a.gave = true
			r.attempts[pod.UID] = a
		}
	}
}

// attempt notes that room is being made for pods, and tells in which pools, of those that act.
func (r *Reserver) attempt(uids []types.UID, pools []*v1alpha1.WarmPool, now time.Time) map[types.UID]*v1alpha1.WarmPool {
	stuck := map[types.UID]*v1alpha1.WarmPool{}
	for _, uid := range uids {
		r.attempts[uid] = r.attempts[uid].next(now)
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
	mayRun := w.mayRun(pod)
	fitting := slices.DeleteFunc(slices.Clone(nodes), func(n capacity.HeldNode) bool { return !mayRun(n.Name) })
	requests := quantity.OfPod(pod)
	name, victims := capacity.TakeOver(requests, priorityOf(pod), fitting)
	if len(victims) == 0 {
		return false
	}
	run := run{reserver: r, pool: pool}
	for _, victim := range victims {
		run.one(ctx, capacity.Step{Action: capacity.Delete, Pod: victim, Reason: capacity.ReasonTakenOver})
	}
	if run.outcome.err != nil {
		r.log.Error(run.outcome.err, "Takeover not whole", "pool", pool.Name, "pod", klog.KObj(pod), "node", name)
		return run.outcome.deleted > 0
	}
	at := slices.IndexFunc(nodes, func(n capacity.HeldNode) bool { return n.Name == name })
	n := &nodes[at]
	for _, chunk := range n.Held {
		if slices.Contains(victims, chunk.Pod) {
			n.Room = n.Room.Plus(chunk.Requests)
			r.metrics.takeovers.WithLabelValues(pool.Name, chunkOf(w, pool, chunk.Pod)).Inc()
		}
	}
	n.Room = n.Room.Minus(requests)
	n.Held = slices.DeleteFunc(slices.Clone(n.Held), func(c capacity.HeldChunk) bool { return slices.Contains(victims, c.Pod) })
	r.log.Info("Placeholders gave way", "pool", pool.Name, "pod", klog.KObj(pod), "node", name, "placeholders", victims)
	r.options.Events.Eventf(pod, pool, corev1.EventTypeNormal, v1alpha1.ReasonTakenOver, "TakeOver",
		"WarmPool %s gave up %d placeholders on node %s for this pod, which cannot preempt them", pool.Name, len(victims), name)
	return true
}

// heldNodes are the usable nodes on which placeholders of a pool stand, by name.
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
		if len(held[node.Name]) == 0 || !usable(node) {
			continue
		}
		room := quantity.Of(node.Status.Allocatable).MinusPods(w.PodsOn(node.Name))
		nodes = append(nodes, capacity.HeldNode{Name: node.Name, Room: room, Held: held[node.Name]})
	}
	return nodes
}

// mayRun tells whether labels and taints of the node with a name allow a pod.
func (w world) mayRun(pod *corev1.Pod) func(name string) bool {
	affinity := nodeaffinity.GetRequiredNodeAffinity(pod)
	return func(name string) bool {
		at, _ := slices.BinarySearchFunc(w.Nodes, name, func(n *corev1.Node, name string) int { return cmp.Compare(n.Name, name) })
		node := w.Nodes[at]
		if matches, err := affinity.Match(node); err != nil || !matches {
			return false
		}
		_, untolerated := corev1helpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, pod.Spec.Tolerations,
			func(taint *corev1.Taint) bool { return taint.Effect != corev1.TaintEffectPreferNoSchedule }, false)
		return !untolerated
	}
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
		if a.gave && now.Sub(a.at) < takeoverPatience && r.tracker.poolOf(uid) == pool.Name {
			return capacity.ReasonTakenOver
		}
	}
	return ""
}

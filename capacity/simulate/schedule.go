package simulate

import (
	"slices"
	"time"
)

// schedule places what waits: real pods first, in order, then placeholders, and tells the
// autoscaler of those that remain.
func (w *world) schedule() {
	w.dirty = false
	smallest := w.Pool.NodeGPUs + 1 // what has no room any more
	for _, p := range w.turn() {
		if p.gone || p.gpus >= smallest {
			continue
		}
		n, delay := w.rooms.fit(p.gpus, w.Pool.Spread), w.Pool.Start
		if n == nil {
			n, delay = w.preempt(p.gpus), delay+w.Pool.Takeover
		}
		if n == nil {
			smallest = p.gpus
			continue
		}
		w.start(p, n, delay)
	}
	w.pending = slices.DeleteFunc(w.pending, func(p *pod) bool { return p.gone || p.node != nil })
	w.keep()
	for _, p := range w.warm {
		if p.gated || p.node != nil {
			continue
		}
		if n := w.rooms.fit(p.gpus, w.Pool.Spread); n != nil {
			p.node, p.since = n, w.now
			n.pods = append(n.pods, p)
			w.resize(n, 0, p.gpus)
		}
	}
	w.lookAfter()
}

// turn is the order in which pods are tried: from any of them on where a node has just come and Pool.AnyFirst is set.
func (w *world) turn() []*pod {
	came := w.came
	w.came = false
	if !came || !w.Pool.AnyFirst || len(w.pending) == 0 {
		return w.pending
	}
	first := w.random.IntN(len(w.pending))
	return slices.Concat(w.pending[first:], w.pending[:first])
}

// preempt makes room where placeholders are: on the node on which the fewest of them give way; then where the most is
// free, or, as the default scheduler has it, where those began last.
func (w *world) preempt(gpus int) *node {
	var best *node
	var least []*pod
	for _, n := range w.nodes {
		if !n.ready || n.held == 0 || w.free(n)+n.held < gpus {
			continue
		}
		if victims := w.victims(n, gpus); best == nil || w.rather(n, victims, best, least) {
			best, least = n, victims
		}
	}
	for _, p := range least {
		if w.scored(w.now) {
			w.outcome.Takeovers++
		}
		w.remove(p)
	}
	return best
}

// rather tells whether the victims on a node are chosen before others.
func (w *world) rather(n *node, victims []*pod, other *node, others []*pod) bool {
	switch {
	case len(victims) != len(others):
		return len(victims) < len(others)
	case w.Pool.Spread:
		return victims[0].since > others[0].since // the first is the oldest
	default:
		return w.free(n) > w.free(other)
	}
}

// victims are the placeholders that give way on a node: small ones first, or, as the default scheduler has it, those
// that began last.
func (w *world) victims(n *node, gpus int) []*pod {
	held := slices.DeleteFunc(slices.Clone(n.pods), func(p *pod) bool { return p.job != nil }) // as they began
	if !w.Pool.Spread {
		slices.SortStableFunc(held, func(a, b *pod) int { return a.gpus - b.gpus })
		room, last := w.free(n), 0
		for ; room < gpus; last++ {
			room += held[last].gpus
		}
		return held[:last]
	}
	room := w.free(n) + n.held
	return slices.DeleteFunc(held, func(p *pod) bool {
		stays := room-p.gpus >= gpus
		if stays {
			room -= p.gpus
		}
		return stays
	})
}

// free is how many GPUs of a node neither pods nor placeholders have.
func (w *world) free(n *node) int { return w.Pool.NodeGPUs - n.used - n.held }

// remove deletes a placeholder.
func (w *world) remove(p *pod) {
	p.gone = true
	if p.node != nil {
		w.leave(p)
	}
	w.warm = slices.DeleteFunc(w.warm, func(other *pod) bool { return other == p })
}

// lookAfter makes the autoscaler look when the pods that wait are old enough for it; again where
// nothing is coming that they might wait for.
func (w *world) lookAfter() {
	tell := func(p *pod) {
		if at, ever := w.oldEnough(p); ever && (!p.looked || w.coming == 0) {
			p.looked = true
			w.lookAt(max(w.now+w.Pool.Autoscaler.Batch, at))
		}
	}
	for _, p := range w.pending {
		tell(p)
	}
	for _, p := range w.warm {
		if !p.gated && p.node == nil {
			tell(p)
		}
	}
	if w.bufferLacks() > 0 {
		w.lookAt(w.now + w.Pool.Autoscaler.Batch)
	}
}

// oldEnough is from when on the autoscaler buys a node for a pod; never for one below its cutoff.
func (w *world) oldEnough(p *pod) (at time.Duration, ever bool) {
	timers := w.Pool.Autoscaler
	switch {
	case p.job == nil:
		return p.created + max(timers.PodAge, timers.PlaceholderAge), w.Pool.Priority >= timers.Cutoff
	case p.job.Atomic:
		return p.created, true
	default:
		return p.created + timers.PodAge, true
	}
}

// lookAt makes the autoscaler look at a time, or at the next of its grid.
func (w *world) lookAt(at time.Duration) {
	at = w.Pool.Autoscaler.loop(at)
	if at != w.scanAt {
		w.scanAt = at
		w.push(event{at: at, kind: scan})
	}
}

// scale buys nodes for the pods that wait and are old enough, beyond those that are coming.
func (w *world) scale() {
	need := w.needed() - w.coming
	if need <= 0 || w.now < w.backoff {
		return
	}
	for _, out := range w.Pool.StockOuts {
		if w.now >= out.From && w.now < out.Until {
			w.lookAt(w.refuse(out.Until))
			return
		}
	}
	for range need {
		if w.Pool.MaxNodes > 0 && len(w.nodes) >= w.Pool.MaxNodes {
			return
		}
		w.buy()
	}
}

// refuse is when the autoscaler asks again that gets no node until a time.
func (w *world) refuse(until time.Duration) time.Duration {
	timers := w.Pool.Autoscaler
	if timers.Backoff <= 0 {
		return until
	}
	w.backoff = w.now + min(timers.Backoff<<min(w.refused, 10), max(timers.MostBackoff, timers.Backoff))
	w.refused++
	return w.backoff
}

// need is what pods take: whole nodes, and GPUs of those that share one.
type need struct{ whole, parts int }

// add counts a pod: a node of its own, or a part of one.
func (n *need) add(gpus, ofNode int) {
	if 2*gpus > ofNode {
		n.whole++
	} else {
		n.parts += gpus
	}
}

// needed is how many nodes the pods that wait take.
func (w *world) needed() int {
	var sum need
	add := func(p *pod) {
		if at, ever := w.oldEnough(p); ever && at <= w.now {
			sum.add(p.gpus, w.Pool.NodeGPUs)
		}
	}
	var atomic []*pod
	for _, p := range w.pending {
		switch {
		case p.gone:
		case p.job.Atomic:
			atomic = append(atomic, p)
		default:
			add(p)
		}
	}
	for _, p := range w.warm {
		if !p.gated && p.node == nil {
			add(p)
		}
	}
	for range w.bufferLacks() {
		sum.add(w.Pool.Buffer.GPUs, w.Pool.NodeGPUs)
	}
	return w.withAtomic(sum.whole+(sum.parts+w.Pool.NodeGPUs-1)/w.Pool.NodeGPUs, atomic)
}

// withAtomic adds a node for each pod of the jobs that get all of theirs.
func (w *world) withAtomic(nodes int, pods []*pod) int {
	for len(pods) > 0 {
		others := slices.IndexFunc(pods, func(p *pod) bool { return p.job != pods[0].job })
		if others < 0 {
			others = len(pods)
		}
		if ready := len(w.nodes) - w.coming; w.Pool.MaxNodes == 0 || ready+nodes+others <= w.Pool.MaxNodes {
			nodes += others
		}
		pods = pods[others:]
	}
	return nodes
}

func (w *world) buy() {
	n := &node{name: w.nodeName(), emptySince: never}
	w.nodes = append(w.nodes, n)
	w.coming++
	w.bought, w.refused = w.now, 0
	w.outcome.Bought++
	w.outcome.MostNodes = max(w.outcome.MostNodes, len(w.nodes))
	w.push(event{at: w.now + w.Pool.Lead.draw(w.random), kind: nodeReady, node: n})
}

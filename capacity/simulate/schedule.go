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
	w.pending = slices.DeleteFunc(w.pending, func(p *pod) bool {
		if p.gone {
			return true
		}
		if p.gpus >= smallest {
			return false
		}
		n := w.rooms.fit(p.gpus, w.Pool.Spread)
		if n == nil {
			n = w.preempt(p.gpus)
		}
		if n == nil {
			smallest = p.gpus
			return false
		}
		w.start(p, n)
		return true
	})
	for _, p := range w.warm {
		if p.gated || p.node != nil {
			continue
		}
		if n := w.rooms.fit(p.gpus, w.Pool.Spread); n != nil {
			p.node = n
			n.pods = append(n.pods, p)
			w.resize(n, 0, p.gpus)
		}
	}
	w.lookAfter()
}

// preempt makes room where placeholders are: on the node on which the fewest GPUs of them give
// way. Small placeholders go first.
func (w *world) preempt(gpus int) *node {
	var best *node
	for _, n := range w.nodes {
		if n.ready && n.held > 0 && w.free(n)+n.held >= gpus && (best == nil || w.free(n) > w.free(best)) {
			best = n
		}
	}
	if best == nil {
		return nil
	}
	victims := slices.DeleteFunc(slices.Clone(best.pods), func(p *pod) bool { return p.job != nil })
	slices.SortStableFunc(victims, func(a, b *pod) int { return a.gpus - b.gpus })
	for _, p := range victims {
		if w.free(best) >= gpus {
			break
		}
		w.outcome.Takeovers++
		w.remove(p)
	}
	return best
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
		if !p.looked || w.coming == 0 {
			p.looked = true
			w.lookAt(max(w.now+w.Pool.Autoscaler.Batch, p.created+w.Pool.Autoscaler.PodAge))
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
}

// lookAt makes the autoscaler look at a time, or at the next of its grid.
func (w *world) lookAt(at time.Duration) {
	if every := w.Pool.Autoscaler.Every; every > 0 {
		at = (at + every - 1) / every * every
	}
	if at != w.scanAt {
		w.scanAt = at
		w.push(event{at: at, kind: scan})
	}
}

// scale buys nodes for the pods that wait and are old enough, beyond those that are coming.
func (w *world) scale() {
	need := w.needed() - w.coming
	if need <= 0 {
		return
	}
	for _, out := range w.Pool.StockOuts {
		if w.now >= out.From && w.now < out.Until {
			w.lookAt(out.Until)
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

// needed is how many nodes the pods that wait take.
func (w *world) needed() int {
	whole, parts := 0, 0
	for _, p := range w.pending {
		w.add(p, &whole, &parts)
	}
	for _, p := range w.warm {
		if !p.gated && p.node == nil {
			w.add(p, &whole, &parts)
		}
	}
	return whole + (parts+w.Pool.NodeGPUs-1)/w.Pool.NodeGPUs
}

// add counts what a pod needs: a node of its own, or a part of one.
func (w *world) add(p *pod, whole, parts *int) {
	switch {
	case p.gone || w.now < p.created+w.Pool.Autoscaler.PodAge:
	case 2*p.gpus > w.Pool.NodeGPUs:
		*whole++
	default:
		*parts += p.gpus
	}
}

func (w *world) buy() {
	n := &node{name: w.nodeName(), emptySince: never}
	w.nodes = append(w.nodes, n)
	w.coming++
	w.bought = w.now
	w.outcome.Bought++
	w.outcome.MostNodes = max(w.outcome.MostNodes, len(w.nodes))
	w.push(event{at: w.now + w.Pool.Lead.draw(w.random), kind: nodeReady, node: n})
}

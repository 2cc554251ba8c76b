package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// never is before all times.
const never = math.MinInt64

// node is one node of the pool.
type node struct {
	name       string
	ready      bool
	gone       bool
	readyAt    time.Duration
	used, held int           // GPUs of real pods and of placeholders
	pods       []*pod        // real ones first come, placeholders among them
	emptySince time.Duration // never while something is on it, or it is not there yet
	place      int           // in its row of rooms
}

// rooms finds nodes by what is free on them, and by what would be without placeholders.
type rooms struct {
	gpus   int
	free   [][]*node // ready nodes by free GPUs
	random *rand.Rand
}

func newRooms(gpus int, random *rand.Rand) rooms {
	return rooms{gpus: gpus, free: make([][]*node, gpus+1), random: random}
}

func (r *rooms) row(n *node) *[]*node { return &r.free[r.gpus-n.used-n.held] }

func (r *rooms) insert(n *node) {
	row := r.row(n)
	n.place = len(*row)
	*row = append(*row, n)
}

func (r *rooms) remove(n *node) {
	row := r.row(n)
	last := (*row)[len(*row)-1]
	(*row)[n.place] = last
	last.place = n.place
	*row = (*row)[:len(*row)-1]
}

// fit is a node with room: the fullest, or any of the emptiest, as the default scheduler draws among equals.
func (r *rooms) fit(gpus int, spread bool) *node {
	if gpus > r.gpus {
		return nil
	}
	if spread {
		for free := r.gpus; free >= gpus; free-- {
			if row := r.free[free]; len(row) > 0 {
				return row[r.random.IntN(len(row))]
			}
		}
		return nil
	}
	for free := gpus; free <= r.gpus; free++ {
		if len(r.free[free]) > 0 {
			return r.free[free][0]
		}
	}
	return nil
}

// resize changes what is used and held on a node.
func (w *world) resize(n *node, used, held int) {
	w.rooms.remove(n)
	n.used += used
	n.held += held
	w.rooms.insert(n)
	w.noteEmpty(n)
}

// noteEmpty looks again at a node that has just become empty, when it may be given back.
func (w *world) noteEmpty(n *node) {
	if n.used > 0 || n.held > 0 {
		n.emptySince = never
		return
	}
	n.emptySince = w.now
	timers := w.Pool.Autoscaler
	w.push(event{at: timers.loop(timers.loop(w.now) + timers.EmptyFor), kind: nodeIdle, node: n})
}

// addNode is a node that is there at once.
func (w *world) addNode(at time.Duration) *node {
	n := &node{name: w.nodeName(), readyAt: at, emptySince: never}
	w.nodes = append(w.nodes, n)
	w.coming++
	w.arrive(n)
	return n
}

// nodeName is a name that no node had before.
func (w *world) nodeName() string {
	w.namedNodes++
	return fmt.Sprintf("node-%06d", w.namedNodes)
}

// arrive makes a node ready.
func (w *world) arrive(n *node) {
	n.ready, n.readyAt = true, w.now
	w.coming--
	w.offered += w.Pool.NodeGPUs
	w.rooms.insert(n)
	w.noteEmpty(n)
	w.outcome.MostNodes = max(w.outcome.MostNodes, len(w.nodes))
	if rate := w.Pool.InterruptionsPerHour; rate > 0 {
		life := time.Duration(w.random.ExpFloat64() / rate * float64(time.Hour))
		w.push(event{at: w.now + max(life, time.Second), kind: nodeLost, node: n})
	}
	w.dirty, w.came = true, true
}

// leave takes a pod off its node.
func (w *world) leave(p *pod) {
	n := p.node
	p.node = nil
	n.pods = slices.DeleteFunc(n.pods, func(other *pod) bool { return other == p })
	if p.job != nil {
		w.resize(n, -p.gpus, 0)
	} else {
		w.resize(n, 0, -p.gpus)
	}
	w.dirty = true
}

// lose takes a node away; its pods wait again, with all of their run before them.
func (w *world) lose(n *node) {
	if n.gone {
		return
	}
	w.outcome.Interrupted++
	for _, p := range slices.Clone(n.pods) {
		w.leave(p)
		if p.job == nil {
			p.gone = true
			continue
		}
		w.used -= p.gpus
		w.wanting += p.gpus
		p.created, p.looked = w.now, false
		w.pending = append(w.pending, p)
	}
	w.warm = slices.DeleteFunc(w.warm, func(p *pod) bool { return p.gone })
	w.drop(n)
	w.dirty = true
}

// giveBack removes a node that has been empty for long enough.
func (w *world) giveBack(n *node) {
	timers := w.Pool.Autoscaler
	if n.gone || n.emptySince == never || w.now-n.emptySince < timers.EmptyFor || len(w.nodes) <= w.Pool.MinNodes {
		return
	}
	wait := w.bought + timers.AfterAdd - w.now
	if w.buffers() {
		wait = max(wait, timers.EmptyFor, time.Second)
	}
	if wait > 0 {
		w.push(event{at: timers.loop(w.now + wait), kind: nodeIdle, node: n})
		return
	}
	w.drop(n)
}

func (w *world) drop(n *node) {
	n.gone = true
	w.rooms.remove(n)
	w.offered -= w.Pool.NodeGPUs
	w.bill(n)
	w.nodes = slices.DeleteFunc(w.nodes, func(other *node) bool { return other == n })
	w.dirty = true // a pool at its most nodes may buy again
}

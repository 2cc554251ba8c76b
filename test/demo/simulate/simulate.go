// Package simulate plays arrivals on a simple model of nodes, an autoscaler and constant
// placeholders. The demo takes two things from it: how many constant placeholders idle as
// much as Forewarm did, and what an oracle would have reached. What it measures otherwise
// comes from the real control plane.
package simulate

import (
	"slices"
	"time"

	"forewarm.dev/test/demo/arrivals"
)

// Options describe the run. Times are uncompressed.
type Options struct {
	// Workload is what arrives; its window is scored.
	Workload arrivals.Workload
	// PreRoll is how long before the window the run starts.
	PreRoll time.Duration
	// Boot is the time from needing a node to having it; zero is an oracle that has asked for
	// each node exactly so much earlier.
	Boot time.Duration
	// ConsolidateAfter is how long an empty node is kept.
	ConsolidateAfter time.Duration
	// Constant is the number of single-GPU placeholders that are always kept.
	Constant int
}

// Outcome is what was reached in the window.
type Outcome struct {
	// Waits are the jobs' times from submission to running, sorted; a job that has not
	// started by the end counts its wait until then.
	Waits []time.Duration
	// GPUHours is what nodes offered, IdleGPUHours that less what jobs used.
	GPUHours, IdleGPUHours float64
}

// Tick is the step of the simulation.
const Tick = time.Second

type node struct {
	ready   time.Duration // when it boots
	used    int           // GPUs of jobs
	held    int           // GPUs of placeholders
	emptyAt time.Duration // since when it is empty; negative while it is not
}

func (n *node) free() int { return arrivals.NodeGPUs - n.used - n.held }

type pod struct {
	job  *job
	gpus int
	node *node
	ends time.Duration
}

type job struct {
	arrivals.Job
	waiting int // pods that do not run yet
}

type world struct {
	Options
	now     time.Duration
	nodes   []*node
	running []pod
	pending []pod
	missing int // placeholders without a node
	outcome Outcome
}

// Run plays the workload.
func Run(o Options) Outcome {
	w := &world{Options: o, now: -o.PreRoll, missing: o.Constant}
	w.prime()
	waiting := o.Workload.Between(-o.PreRoll, o.Workload.Window)
	for ; w.now < o.Workload.Window; w.now += Tick {
		w.finish()
		for len(waiting) > 0 && waiting[0].At <= w.now {
			w.submit(waiting[0])
			waiting = waiting[1:]
		}
		w.schedule()
		w.hold()
		w.scale()
		w.measure()
	}
	for _, p := range w.pending {
		if p.job.waiting > 0 {
			w.started(p.job, o.Workload.Window)
			p.job.waiting = 0
		}
	}
	slices.Sort(w.outcome.Waits)
	return w.outcome
}

// prime places the jobs that run at the start, packed, on nodes that are there.
func (w *world) prime() {
	for _, j := range w.Workload.RunningAt(-w.PreRoll) {
		pods, gpus := j.Pods()
		for range pods {
			i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.free() >= gpus })
			if i < 0 {
				w.nodes = append(w.nodes, &node{ready: w.now, emptyAt: -1})
				i = len(w.nodes) - 1
			}
			w.nodes[i].used += gpus
			w.running = append(w.running, pod{gpus: gpus, node: w.nodes[i], ends: w.now + j.Run})
		}
	}
}

func (w *world) finish() {
	w.running = slices.DeleteFunc(w.running, func(p pod) bool {
		if p.ends <= w.now {
			p.node.used -= p.gpus
			return true
		}
		return false
	})
}

func (w *world) submit(j arrivals.Job) {
	pods, gpus := j.Pods()
	one := &job{Job: j, waiting: pods}
	for range pods {
		w.pending = append(w.pending, pod{job: one, gpus: gpus})
	}
}

// schedule places pending pods as the default scheduler does: on the emptiest node with
// room, else where the fewest placeholders make room.
func (w *world) schedule() {
	w.pending = slices.DeleteFunc(w.pending, func(p pod) bool {
		n := w.emptiest(p.gpus)
		if n == nil {
			n = w.preempt(p.gpus)
		}
		if n == nil {
			return false
		}
		n.used += p.gpus
		p.node, p.ends = n, w.now+p.job.Run
		w.running = append(w.running, p)
		if p.job.waiting--; p.job.waiting == 0 {
			w.started(p.job, w.now)
		}
		return true
	})
}

func (w *world) started(j *job, at time.Duration) {
	if j.At >= 0 {
		w.outcome.Waits = append(w.outcome.Waits, max(at-j.At, 0))
	}
}

func (w *world) emptiest(gpus int) *node {
	var best *node
	for _, n := range w.nodes {
		if n.ready <= w.now && n.free() >= gpus && (best == nil || n.free() > best.free()) {
			best = n
		}
	}
	return best
}

func (w *world) preempt(gpus int) *node {
	var best *node
	for _, n := range w.nodes {
		if n.ready <= w.now && n.free()+n.held >= gpus && (best == nil || n.free() > best.free()) {
			best = n
		}
	}
	if best != nil {
		evicted := gpus - best.free()
		best.held -= evicted
		w.missing += evicted
	}
	return best
}

// hold places placeholders on free room.
func (w *world) hold() {
	for _, n := range w.nodes {
		if n.ready <= w.now && w.missing > 0 {
			taken := min(w.missing, n.free())
			n.held += taken
			w.missing -= taken
		}
	}
}

// scale buys nodes for what is pending and gives empty ones back.
func (w *world) scale() {
	need, coming := w.missing, 0
	for _, p := range w.pending {
		need += p.gpus
	}
	for _, n := range w.nodes {
		if n.ready > w.now {
			coming += arrivals.NodeGPUs
		}
	}
	for ; coming < need; coming += arrivals.NodeGPUs {
		w.nodes = append(w.nodes, &node{ready: w.now + w.Boot, emptyAt: -1})
	}
	w.nodes = slices.DeleteFunc(w.nodes, func(n *node) bool {
		switch {
		case n.ready > w.now || n.used > 0 || n.held > 0:
			n.emptyAt = -1
			return false
		case n.emptyAt == -1:
			n.emptyAt = w.now + w.PreRoll
		}
		return w.now+w.PreRoll-n.emptyAt >= w.ConsolidateAfter
	})
}

// measure adds one tick of the window. A node counts from when it is there.
func (w *world) measure() {
	if w.now < 0 {
		return
	}
	for _, n := range w.nodes {
		if n.ready <= w.now {
			w.outcome.GPUHours += arrivals.NodeGPUs * Tick.Hours()
			w.outcome.IdleGPUHours += float64(arrivals.NodeGPUs-n.used) * Tick.Hours()
		}
	}
}

// Oracle is what would have been reached by asking for each node exactly its boot time
// before it is needed.
func Oracle(o Options) Outcome {
	o.Boot, o.Constant = 0, 0
	return Run(o)
}

// MatchIdle is the number of constant placeholders whose idle GPU-hours come closest to a
// target.
func MatchIdle(o Options, target float64) int {
	const most = 400
	best, bestApart := 0, -1.0
	for n := range most {
		o.Constant = n
		idle := Run(o).IdleGPUHours
		apart := max(idle-target, target-idle)
		if bestApart < 0 || apart < bestApart {
			best, bestApart = n, apart
		}
		if idle > target*1.5+10 {
			break
		}
	}
	return best
}

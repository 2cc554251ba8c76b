package simulate

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"time"

	"forewarm.dev/capacity"
)

// Options describe one run. Times count from the start of the trace.
type Options struct {
	Trace Trace
	Pool  Pool
	// From is when the run starts, with the jobs that run by then on nodes that are there; what
	// is submitted from Score until before Until is scored.
	From, Score, Until time.Duration
	// Begins is how long after From the first plan is made; the next are on the grid of the interval.
	Begins time.Duration
	// Expect foresees; nil is the autoscaler alone.
	Expect Expect
	// Limits are those of the plan: its interval, lead time, hold, chunks and their costs.
	Limits capacity.Limits
	// Seed draws lead times, interruptions, and nodes among equals.
	Seed uint64
	// Record fills the timeline.
	Record bool
}

// Expect tells what is expected at a time, given the demand of now per chunk.
type Expect func(at time.Duration, now []float64) (capacity.Demand, error)

type kind int

const (
	ended kind = iota
	nodeReady
	nodeLost
	nodeIdle
	rescale
	scan
	plan
)

type event struct {
	at   time.Duration
	seq  int
	kind kind
	pod  *pod
	node *node
	life int
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop implements heap.Interface.
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

type job struct {
	Job
	missing int           // pods that do not run yet
	runs    time.Duration // when the last of its pods does
	place   int           // among those that are scored
}

// pod is one pod of a job, or a placeholder if it has none.
type pod struct {
	job     *job
	chunk   int
	gpus    int
	created time.Duration
	node    *node
	life    int  // how often it was started
	gone    bool // ended or deleted
	name    string
	gated   bool
	looked  bool          // the autoscaler was told to look
	since   time.Duration // when a placeholder got its node
}

type world struct {
	Options
	random  *rand.Rand
	now     time.Duration
	queue   events
	seq     int
	arrives []Job // those that are still to come

	nodes      []*node
	rooms      rooms
	namedNodes int
	coming     int
	bought     time.Duration // when a node was bought last
	pending    []*pod        // real pods that wait, in order
	warm       []*pod        // placeholders, in order of creation
	named      int           // placeholders so far
	wishes     []wish        // what was wanted in the hold time
	demand     []float64
	scanAt     time.Duration
	refused    int           // how often nodes were since the last that was bought
	backoff    time.Duration // until when the autoscaler asks for none
	dirty      bool
	came       bool  // a node, since pods were last placed
	failed     error // of the plan

	offered, used, wanting int // GPUs of ready nodes, of running pods, of pods that wait
	outcome                Outcome
}

// Run replays the trace.
func Run(o Options) (Outcome, error) {
	if err := o.check(); err != nil {
		return Outcome{}, err
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x666f7265))
	w := &world{
		Options: o, now: o.From, scanAt: never, backoff: never, bought: o.From - o.Pool.Autoscaler.AfterAdd,
		random: random, demand: make([]float64, len(o.Pool.Chunks)), rooms: newRooms(o.Pool.NodeGPUs, random),
	}
	w.prime()
	for _, steps := range [][]Scale{o.Pool.Deployment.Steps, o.Pool.Buffer.Steps} {
		for _, step := range steps {
			w.push(event{at: max(step.At, o.From), kind: rescale})
		}
	}
	if o.Expect != nil || o.Record {
		w.push(event{at: o.From + o.Begins, kind: plan})
	}
	for {
		at, ok := w.next()
		if !ok || at >= o.Until {
			return w.finish(), nil
		}
		w.advance(at)
		w.happen()
		if w.failed != nil {
			return Outcome{}, w.failed
		}
		if w.dirty {
			w.schedule()
		}
	}
}

func (o Options) check() error {
	switch {
	case o.Pool.NodeGPUs < 1:
		return errors.New("simulate: nodes have no GPUs: give at least one")
	case o.Score < o.From || o.Until <= o.Score:
		return errors.New("simulate: the scored time is empty or begins before the run: give From ≤ Score < Until")
	case (o.Expect != nil || o.Record) && o.Limits.Interval <= 0:
		return errors.New("simulate: the interval of plans is not above zero: give at least a second")
	}
	return o.checkPlaceholders()
}

func (o Options) checkPlaceholders() error {
	switch {
	case o.Expect != nil && len(o.Limits.Chunks) != len(o.Pool.Chunks):
		return errors.New("simulate: limits and pool have different numbers of chunks: give each the same")
	case o.Expect != nil && len(o.Pool.Deployment.Steps) > 0:
		return errors.New("simulate: both a plan and a Deployment keep placeholders: give one of them")
	case o.Pool.Deployment.empty(), o.Pool.Buffer.empty():
		return errors.New("simulate: pods of a Deployment or a CapacityBuffer have no GPUs: give at least one")
	}
	return nil
}

// prime places the jobs that run at the start, packed, on nodes that are there.
func (w *world) prime() {
	for _, j := range w.Trace.Jobs {
		switch {
		case j.At >= w.From:
			w.arrives = append(w.arrives, j)
		case j.At+j.Run > w.From:
			j.Run, j.At = j.At+j.Run-w.From, w.From
			w.submit(j, true)
		}
	}
	for len(w.nodes) < w.Pool.MinNodes {
		w.addNode(w.now)
	}
}

// next is the time of the next event.
func (w *world) next() (time.Duration, bool) {
	switch {
	case len(w.arrives) > 0 && (len(w.queue) == 0 || w.arrives[0].At < w.queue[0].at):
		return w.arrives[0].At, true
	case len(w.queue) > 0:
		return w.queue[0].at, true
	default:
		return 0, false
	}
}

func (w *world) push(e event) {
	w.seq++
	e.seq = w.seq
	heap.Push(&w.queue, e)
}

// happen handles all events of now: what the queue holds first, then what is submitted.
func (w *world) happen() {
	for len(w.queue) > 0 && w.queue[0].at == w.now {
		w.handle(heap.Pop(&w.queue).(event))
	}
	for len(w.arrives) > 0 && w.arrives[0].At == w.now {
		w.submit(w.arrives[0], false)
		w.arrives = w.arrives[1:]
	}
}

func (w *world) handle(e event) {
	switch e.kind {
	case ended:
		w.end(e.pod, e.life)
	case nodeReady:
		w.arrive(e.node)
	case nodeLost:
		w.lose(e.node)
	case nodeIdle:
		w.giveBack(e.node)
	case rescale:
		w.dirty = true
	case scan:
		w.scale()
	case plan:
		w.schedule() // so that the plan sees what has just changed
		w.plan()
	}
}

// submit makes the pods of a job. Those that run at the start are given a node.
func (w *world) submit(j Job, runs bool) {
	pods, gpus := w.Pool.podsOf(j)
	one := &job{Job: j, missing: pods, runs: never}
	chunk, _ := w.Pool.chunkOf(gpus)
	if w.scored(j.At) && !runs {
		one.place = len(w.outcome.ByJob)
		w.outcome.ByJob = append(w.outcome.ByJob, 0)
	}
	for range pods {
		p := &pod{job: one, gpus: gpus, chunk: chunk, created: w.now}
		w.count(p, 1)
		w.wanting += gpus
		if w.scored(j.At) && !runs {
			w.outcome.ArrivedGPUs += gpus
		}
		if j.Fixed {
			w.push(event{at: w.now + j.Run, kind: ended, pod: p, life: -1})
		}
		if !runs {
			w.pending = append(w.pending, p)
			w.dirty = true
			continue
		}
		n := w.rooms.fit(gpus, false)
		if n == nil {
			n = w.addNode(w.now)
		}
		one.At = w.From - 1 // not scored
		w.start(p, n, 0)
	}
}

// count adds a real pod to, or takes it off, the demand.
func (w *world) count(p *pod, sign float64) {
	if p.chunk >= 0 {
		w.demand[p.chunk] += sign * float64(p.gpus) / float64(w.Pool.Chunks[p.chunk].GPUs)
	}
}

// start gives a real pod its place on a node, where it runs so much later.
func (w *world) start(p *pod, n *node, delay time.Duration) {
	p.node = n
	p.life++
	n.pods = append(n.pods, p)
	w.resize(n, p.gpus, 0)
	w.used += p.gpus
	w.wanting -= p.gpus
	if !p.job.Fixed {
		w.push(event{at: w.now + delay + p.job.Run, kind: ended, pod: p, life: p.life})
	}
	if p.life > 1 {
		return // it was interrupted before; its first start has been counted
	}
	if w.scored(p.job.At) && p.job.At == w.now {
		w.outcome.ReadyGPUs += p.gpus
	}
	p.job.runs = max(p.job.runs, w.now+delay)
	if p.job.missing--; p.job.missing == 0 && w.scored(p.job.At) {
		w.outcome.Started++
		w.waited(p.job, p.job.runs)
	}
}

// end ends a real pod; life −1 ends it whether it runs or not.
func (w *world) end(p *pod, life int) {
	if p.gone || life >= 0 && p.life != life {
		return
	}
	p.gone = true
	w.count(p, -1)
	if p.node != nil {
		w.used -= p.gpus
		w.leave(p)
		return
	}
	w.wanting -= p.gpus
	if p.life == 0 && p.job.missing > 0 {
		p.job.missing = 0
		if w.scored(p.job.At) {
			w.outcome.Never++
			w.waited(p.job, w.now)
		}
	}
	w.dirty = true
}

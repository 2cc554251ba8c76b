// Package simulate replays a trace on a model of a node pool, an autoscaler and the scheduler,
// event by event, through the same capacity.Plan that the reserver uses. It is pure and, for a
// seed, repeatable.
//
// What it models: nodes that take a lead time to come and are billed for at least a while, the
// timers of Karpenter, a stand-in for Cluster Autoscaler, preemption of placeholders, jobs of
// several GPUs and of several pods, stock-outs, and interruptions. What it leaves out: other
// resources than one, DaemonSets, zones, consolidation that moves running pods.
//
// The stand-in has Cluster Autoscaler's loop, its wait for GPUs, its cutoff of priorities, its
// timers and its backoff, and what a Deployment of placeholders, a CapacityBuffer, a CapacityQuota
// (MaxNodes) and a ProvisioningRequest (Job.Atomic) mean to it. A test holds it to what the real
// one did in a laboratory.
package simulate

import (
	"math"
	"math/rand/v2"
	"time"
)

// Pool is a node pool and its autoscaler.
type Pool struct {
	// NodeGPUs is how many units of the resource a node has.
	NodeGPUs int
	// Chunks are the shapes of placeholders, in the order of the WarmPool.
	Chunks []ChunkSize
	// Lead is from asking for a node until a pod runs on it.
	Lead Lead
	// Autoscaler buys nodes and gives empty ones back.
	Autoscaler Autoscaler
	// Start is from when a pod has a place until it runs, and Takeover how much longer that takes where
	// placeholders give way: what scheduler and kubelet need.
	Start, Takeover time.Duration
	// MinBilling is the least time for which a node is paid.
	MinBilling time.Duration
	// MinNodes are always kept: a constant pool.
	MinNodes int
	// MaxNodes bounds the nodes, those that are coming included; zero is no bound.
	MaxNodes int
	// StockOuts are when no node can be had.
	StockOuts []Span
	// InterruptionsPerHour is how often a node is lost, per hour that it exists.
	InterruptionsPerHour float64
	// Spread places pods on the emptiest node, and has those placeholders give way that began last, as the
	// default scheduler does; else they go to the fullest, and small placeholders give way first.
	Spread bool
	// AnyFirst has pods tried from any of them on when a node comes, not from the oldest on: the scheduler hears of
	// a node before it may use it, and is somewhere among the pods that wait when it may. So large pods that
	// wait for a whole node are overtaken.
	AnyFirst bool
	// Priority is that of the placeholders; zero is above every cutoff.
	Priority int32
	// Deployment keeps placeholders without us: they have no gate, and one that goes is replaced at
	// once.
	Deployment Replicas
	// Buffer is a CapacityBuffer: the autoscaler keeps room for such pods, which any other may take.
	Buffer Replicas
}

// Replicas are pods of one size, whose number changes over time.
type Replicas struct {
	GPUs  int
	Steps []Scale // in order of time
}

// Scale is a number of pods from a time on.
type Scale struct {
	At    time.Duration
	Count int
}

// empty says whether there are pods that ask for nothing.
func (r Replicas) empty() bool { return len(r.Steps) > 0 && r.GPUs < 1 }

// at is how many there are to be at a time.
func (r Replicas) at(now time.Duration) int {
	count := 0
	for _, step := range r.Steps {
		if step.At <= now {
			count = step.Count
		}
	}
	return count
}

// ChunkSize is the shape of a placeholder.
type ChunkSize struct {
	Name string
	GPUs int
}

// Lead is a distribution of lead times: log-normal, or one value where P95 is not above P50.
type Lead struct{ P50, P95 time.Duration }

// draw is one lead time.
func (l Lead) draw(random *rand.Rand) time.Duration {
	if l.P95 <= l.P50 || l.P50 <= 0 {
		return l.P50
	}
	const z95 = 1.6449 // the 95 % quantile of the normal distribution
	sigma := math.Log(float64(l.P95)/float64(l.P50)) / z95
	return time.Duration(float64(l.P50) * math.Exp(sigma*random.NormFloat64()))
}

// Span is a time from, and until before, another.
type Span struct{ From, Until time.Duration }

// Autoscaler is the timing of a node autoscaler.
type Autoscaler struct {
	// Every is the grid of its loop; zero looks whenever a pod has waited for Batch.
	Every time.Duration
	// Batch is how long it waits for more pods before it buys.
	Batch time.Duration
	// PodAge is how old a pod must be: counted from its creation, not from the end of its gate.
	PodAge time.Duration
	// PlaceholderAge is how old a placeholder must be, where that is longer: Cluster Autoscaler's
	// annotation pod-scale-up-delay.
	PlaceholderAge time.Duration
	// Cutoff is the lowest priority that it buys nodes for.
	Cutoff int32
	// Backoff is how long after nodes were refused it asks again, twice as long after each further
	// time, MostBackoff at most. Zero asks as soon as nodes are to be had.
	Backoff, MostBackoff time.Duration
	// EmptyFor is how long an empty node is kept.
	EmptyFor time.Duration
	// AfterAdd is how long after buying none is given back.
	AfterAdd time.Duration
}

// Karpenter has the timing of Karpenter's defaults: a batch ends when no pod has come for a
// second. An empty node is kept as long as the NodePool's consolidateAfter says.
func Karpenter(consolidateAfter time.Duration) Autoscaler {
	return Autoscaler{Batch: time.Second, Cutoff: math.MinInt32, EmptyFor: consolidateAfter}
}

// ClusterAutoscaler is the stand-in, with the defaults of the real one: a loop of 10 s, 30 s of age
// for pods that ask for GPUs, none for priorities below -10, 10 minutes unneeded, 10 minutes after
// buying, and 5 to 30 minutes of backoff.
func ClusterAutoscaler() Autoscaler {
	return Autoscaler{
		Every: 10 * time.Second, PodAge: 30 * time.Second, Cutoff: -10,
		Backoff: 5 * time.Minute, MostBackoff: 30 * time.Minute,
		EmptyFor: 10 * time.Minute, AfterAdd: 10 * time.Minute,
	}
}

// loop is the first time at or after another at which it looks.
func (a Autoscaler) loop(at time.Duration) time.Duration {
	if a.Every <= 0 {
		return at
	}
	return (at + a.Every - 1) / a.Every * a.Every
}

// podsOf splits a job into pods.
func (p Pool) podsOf(job Job) (pods, gpusEach int) {
	if job.GPUs <= p.NodeGPUs {
		return 1, job.GPUs
	}
	return (job.GPUs + p.NodeGPUs - 1) / p.NodeGPUs, p.NodeGPUs
}

// chunkOf is the chunk that a pod's demand counts for, and how many it is, as capacity.Shape
// says; −1 where there are no chunks.
func (p Pool) chunkOf(gpus int) (chunk int, amount float64) {
	best, smallest := -1, -1
	for i, c := range p.Chunks {
		if smallest < 0 || c.GPUs < p.Chunks[smallest].GPUs {
			smallest = i
		}
		if c.GPUs <= gpus && (best < 0 || c.GPUs > p.Chunks[best].GPUs) {
			best = i
		}
	}
	if best < 0 {
		best = smallest
	}
	if best < 0 {
		return -1, 0
	}
	return best, float64(gpus) / float64(p.Chunks[best].GPUs)
}

// demandOf is the demand of all pods of a job.
func (p Pool) demandOf(job Job) (chunk int, amount float64) {
	pods, gpus := p.podsOf(job)
	chunk, amount = p.chunkOf(gpus)
	return chunk, amount * float64(pods)
}

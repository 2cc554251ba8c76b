// Package packing replays GPU jobs onto equal nodes and measures how policies pack them:
// Forewarm's extender, and the scheduler's own LeastAllocated and MostAllocated with GPUs as
// their resource. It knows GPUs only, and starts a job at once or never.
package packing

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/extender"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/test/demo/arrivals"
)

const gpu corev1.ResourceName = "nvidia.com/gpu"

// perNode is what each node has.
const perNode = arrivals.NodeGPUs

// Policy rates nodes that have room for a pod that asks for so many GPUs; the highest is taken,
// by lot among equals, as the scheduler does.
type Policy struct {
	Name string
	rate func(nodes []*extender.Node, gpus int64) []int64
}

// Policies are what is compared.
func Policies() []Policy {
	return []Policy{
		{"LeastAllocated", func(nodes []*extender.Node, gpus int64) []int64 { return allocated(nodes, -gpus) }},
		{"MostAllocated", allocated},
		{"forewarm", func(nodes []*extender.Node, gpus int64) []int64 {
			return extender.Score(&extender.Pod{Requests: quantity.Vector{gpu: gpus}}, nodes, nil)
		}},
	}
}

// allocated rates by the share that is taken with the pod there, as NodeResourcesFit does; a
// negative amount rates by what is left.
func allocated(nodes []*extender.Node, gpus int64) []int64 {
	rates := make([]int64, len(nodes))
	for i, n := range nodes {
		if gpus < 0 {
			rates[i] = (perNode - n.Real[gpu] + gpus) * 100 / perNode
		} else {
			rates[i] = (n.Real[gpu] + gpus) * 100 / perNode
		}
	}
	return rates
}

// Result is how a policy packs.
type Result struct {
	// Fragmentation is the mean over time of the share of free GPUs that are on nodes which cannot
	// take a job of a whole node.
	Fragmentation float64 `json:"fragmentation"`
	// Refused are jobs that found no room, of all.
	Refused int `json:"refused"`
	Jobs    int `json:"jobs"`
	// BeforeMisfit is how many jobs are placed on an empty cluster before the first that does not
	// fit: the mean over starts.
	BeforeMisfit float64 `json:"before_misfit"`
}

// Nodes is how many nodes jobs fill that run whenever they are submitted, but for 5 % of their
// starts.
func Nodes(jobs []arrivals.Job) int {
	var loads []int
	running, load := endings{}, 0
	for _, job := range jobs {
		for len(running) > 0 && running[0].at <= job.At {
			load -= heap.Pop(&running).(ending).gpus
		}
		load += job.GPUs
		heap.Push(&running, ending{at: job.At + job.Run, gpus: job.GPUs})
		loads = append(loads, load)
	}
	slices.Sort(loads)
	if len(loads) == 0 {
		return 1
	}
	return max(1, (loads[len(loads)*95/100]+perNode-1)/perNode)
}

// Measure replays jobs on nodes, and again from evenly spread starts until the first misfit.
func Measure(jobs []arrivals.Job, nodes, starts int, policy Policy) Result {
	whole := replay(jobs, nodes, policy, false)
	r := Result{Fragmentation: whole.fragmentation(), Refused: whole.refused, Jobs: len(jobs)}
	for i := range starts {
		r.BeforeMisfit += float64(replay(jobs[i*len(jobs)/starts:], nodes, policy, true).placed) / float64(starts)
	}
	return r
}

// ending is when a pod gives its GPUs back.
type ending struct {
	at   time.Duration
	node *extender.Node
	gpus int
}

type endings []ending

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at < e[j].at }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// run is a replay.
type run struct {
	nodes           []*extender.Node
	running         endings
	dice            *rand.Rand
	policy          Policy
	placed, refused int
	now             time.Duration
	// scattered and time are the integrals of the share and of the time in which GPUs were free.
	scattered, time float64
}

func replay(jobs []arrivals.Job, nodes int, policy Policy, untilMisfit bool) *run {
	r := &run{policy: policy, dice: rand.New(rand.NewPCG(11, 12))}
	for i := range nodes {
		r.nodes = append(r.nodes, &extender.Node{Name: fmt.Sprintf("node-%04d", i), Allocatable: quantity.Vector{gpu: perNode}, Real: quantity.Vector{}})
	}
	for i, job := range jobs {
		if i == 0 {
			r.now = job.At
		}
		for len(r.running) > 0 && r.running[0].at <= job.At {
			e := heap.Pop(&r.running).(ending)
			r.pass(e.at)
			e.node.Real[gpu] -= int64(e.gpus)
		}
		r.pass(job.At)
		if r.place(job) {
			r.placed++
			continue
		}
		r.refused++
		if untilMisfit {
			break
		}
	}
	return r
}

// pass lets time go by.
func (r *run) pass(to time.Duration) {
	free, scattered := int64(0), int64(0)
	for _, n := range r.nodes {
		left := perNode - n.Real[gpu]
		free += left
		if left < perNode {
			scattered += left
		}
	}
	if seconds := (to - r.now).Seconds(); free > 0 {
		r.time += seconds
		r.scattered += seconds * float64(scattered) / float64(free)
	}
	r.now = to
}

func (r *run) fragmentation() float64 {
	if r.time == 0 {
		return 0
	}
	return r.scattered / r.time
}

// place starts all pods of a job, or none.
func (r *run) place(job arrivals.Job) bool {
	pods, each := job.Pods()
	var taken []*extender.Node
	for range pods {
		node := r.choose(int64(each))
		if node == nil {
			for _, n := range taken {
				n.Real[gpu] -= int64(each)
			}
			return false
		}
		node.Real[gpu] += int64(each)
		taken = append(taken, node)
	}
	for _, n := range taken {
		heap.Push(&r.running, ending{job.At + job.Run, n, each})
	}
	return true
}

func (r *run) choose(gpus int64) *extender.Node {
	var roomy []*extender.Node
	for _, n := range r.nodes {
		if n.Real[gpu]+gpus <= perNode {
			roomy = append(roomy, n)
		}
	}
	if len(roomy) == 0 {
		return nil
	}
	rates := r.policy.rate(roomy, gpus)
	best := slices.Max(rates)
	var equals []*extender.Node
	for i, n := range roomy {
		if rates[i] == best {
			equals = append(equals, n)
		}
	}
	return equals[r.dice.IntN(len(equals))]
}

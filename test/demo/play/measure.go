package play

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"forewarm.dev/api/v1alpha1"
)

// Measured is what one arm reached, in uncompressed time.
type Measured struct {
	// Jobs is the number of jobs submitted in the window, NotStarted those of them that did
	// not run by its end; their wait counts until then.
	Jobs, NotStarted int
	// Waits are the times from a job's creation until all its pods ran, sorted.
	Waits []time.Duration
	// WaitedShare is the share of jobs bound to a node that was created after the job.
	WaitedShare float64
	// GPUHours is node lifetime × GPUs; IdleGPUHours that less the GPUs of running jobs.
	GPUHours, IdleGPUHours float64
	// Takeovers are placeholders preempted by jobs, or deleted by the extender for jobs of a burst.
	Takeovers int
	// Overhead is what does not compress, batching, API and scheduling: over the nodes that
	// were asked for in the window, the median of the time from the job that made Karpenter
	// ask until a pod ran there, less the boot time. OverheadNodes is how many nodes those were: of one on
	// which none of the jobs ran that may have made Karpenter ask, since they had found room elsewhere
	// by then, it is not known. Where it is zero, so is Overhead, and means nothing.
	Overhead      time.Duration
	OverheadNodes int
	// ByJob are the jobs by name, which is the order of their submission, and Nodes all that there were.
	ByJob []Met
	Nodes []Node
	// Plans are what the WarmPool's status said of its chunks, each time that it changed.
	Plans []Planned
	// CeilingMessage is the refusal of a replica count above its ceiling.
	CeilingMessage string
}

// Room is how a job came by its place.
type Room string

// The ways: there was room, or there were placeholders that gave way, or the job had to wait for room.
const (
	Free    Room = "free"
	Taken   Room = "taken"
	Awaited Room = "awaited"
)

// Met is what one job met: when it was created, since the window opened, how long it waited, and where its pods ran.
type Met struct {
	At, Wait time.Duration
	Room     Room
	Nodes    []string
}

// Node is when a node was asked for, when it came, when the first pod ran there that had waited for it, and when it
// went, since the window opened; nil for what is not known.
type Node struct {
	Name                   string
	Asked, Came, Ran, Gone *time.Duration
}

// Planned is what the reserver said of its chunks from a time on, since the window opened: what it saw and foresaw,
// how it estimates the need, and what it wanted.
type Planned struct {
	At     time.Duration
	Chunks []v1alpha1.ChunkStatus
}

// submitted is a job of the window.
type submitted struct {
	created time.Time
	pods    int
}

// measure works out what happened between two times.
func (r *recorder) measure(jobs map[string]submitted, from, to time.Time, factor float64, boot time.Duration) Measured {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := Measured{Jobs: len(jobs)}
	since := func(at time.Time) *time.Duration {
		if at.IsZero() {
			return nil
		}
		return new(stretch(at.Sub(from), factor))
	}
	r.measureJobs(&m, jobs, from, to, factor)
	for _, job := range m.ByJob {
		m.Waits = append(m.Waits, job.Wait)
	}
	slices.Sort(m.Waits)
	for _, name := range slices.Sorted(maps.Keys(r.nodes)) {
		node := r.nodes[name]
		m.GPUHours += node.gpus * node.within(from, to).Hours() * factor
		m.Nodes = append(m.Nodes, Node{Name: name, Asked: since(r.asked[name]), Came: since(node.from), Ran: since(node.ran), Gone: since(node.to)})
	}
	slices.SortStableFunc(m.Nodes, func(a, b Node) int { return cmp.Compare(*a.Came, *b.Came) })
	m.Await()
	m.IdleGPUHours = m.GPUHours
	for _, pod := range r.pods {
		if !pod.from.IsZero() {
			m.IdleGPUHours -= pod.gpus * pod.within(from, to).Hours() * factor
		}
	}
	for _, plan := range r.plans {
		m.Plans = append(m.Plans, Planned{At: *since(plan.at), Chunks: plan.chunks})
	}
	for _, at := range r.taken {
		if at.After(from) && at.Before(to) {
			m.Takeovers++
		}
	}
	m.Overhead, m.OverheadNodes = r.overhead(jobs, time.Duration(float64(boot)/factor))
	m.Overhead = stretch(m.Overhead, factor)
	return m
}

// measureJobs adds what the jobs met.
func (r *recorder) measureJobs(m *Measured, jobs map[string]submitted, from, to time.Time, factor float64) {
	byJob := map[string][]*podSeen{}
	for _, pod := range r.pods {
		byJob[pod.job] = append(byJob[pod.job], pod)
	}
	waited := 0
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		running, wait, later := r.outcome(byJob[name], jobs[name], to)
		met := Met{At: stretch(jobs[name].created.Sub(from), factor), Wait: stretch(wait, factor), Room: r.roomOf(byJob[name], jobs[name].created, running)}
		for _, pod := range byJob[name] {
			if pod.node != "" {
				met.Nodes = append(met.Nodes, pod.node)
			}
		}
		slices.Sort(met.Nodes)
		m.ByJob = append(m.ByJob, met)
		if !running {
			m.NotStarted++
		}
		if later {
			waited++
		}
	}
	if len(jobs) > 0 {
		m.WaitedShare = float64(waited) / float64(len(jobs))
	}
}

// roomOf is how the pods of a job came by their places; what had to wait counts before what took some.
func (r *recorder) roomOf(pods []*podSeen, created time.Time, running bool) Room {
	room := Free
	for _, pod := range pods {
		switch {
		case r.gaveWay(pod, created):
			if room == Free {
				room = Taken
			}
		case pod.refused:
			room = Awaited
		}
	}
	if !running {
		return Awaited
	}
	return room
}

// gaveWay tells whether a placeholder went from a pod's node before the pod ran, which had run there when the pod was
// created.
func (r *recorder) gaveWay(pod *podSeen, created time.Time) bool {
	for _, held := range r.held {
		if held.node == pod.node && held.from.Before(created) && held.to.After(created) && held.to.Before(pod.from) {
			return true
		}
	}
	return false
}

// Await says of jobs that ran on a node which came after they were created that they waited for it. Where the machine
// has more to do than it can, the scheduler may try a pod for the first time when the node is there, and so never say
// that there was no room.
func (m *Measured) Await() {
	came := map[string]time.Duration{}
	for _, node := range m.Nodes {
		if node.Came != nil {
			came[node.Name] = *node.Came
		}
	}
	for i, job := range m.ByJob {
		if job.Room == Free && slices.ContainsFunc(job.Nodes, func(name string) bool { at, known := came[name]; return known && at > job.At }) {
			m.ByJob[i].Room = Awaited
		}
	}
}

// outcome tells whether all pods of a job ran by the end, how long that took, and whether
// one is on a node that came after the job.
func (r *recorder) outcome(pods []*podSeen, job submitted, to time.Time) (running bool, wait time.Duration, later bool) {
	last, started := job.created, 0
	for _, pod := range pods {
		later = later || r.laterThan(pod.node, job.created)
		if !pod.from.IsZero() && !pod.from.After(to) {
			started++
			if pod.from.After(last) {
				last = pod.from
			}
		}
	}
	if started < job.pods {
		return false, to.Sub(job.created), later
	}
	return true, last.Sub(job.created), later
}

// laterThan tells whether a node came after a time.
func (r *recorder) laterThan(name string, at time.Time) bool {
	node := r.nodes[name]
	return node != nil && node.from.After(at)
}

// overhead is the median, over nodes asked for because of jobs, of what their way to a
// running pod takes beyond the boot time, and how many those are.
func (r *recorder) overhead(jobs map[string]submitted, boot time.Duration) (median time.Duration, nodes int) {
	firstRun, cause := map[string]time.Time{}, map[string]time.Time{}
	for _, pod := range r.pods {
		job, scored := jobs[pod.job]
		if !scored || pod.from.IsZero() {
			continue
		}
		earliest(firstRun, pod.node, pod.from)
		if r.mayHaveAsked(pod.node, job) {
			earliest(cause, pod.node, job.created)
		}
	}
	var beyond []time.Duration
	for name, created := range cause {
		beyond = append(beyond, firstRun[name].Sub(created)-boot)
	}
	if len(beyond) == 0 {
		return 0, 0
	}
	slices.Sort(beyond)
	return beyond[len(beyond)/2], len(beyond)
}

// mayHaveAsked tells whether a job was created within Karpenter's longest batch, and a
// second of grace, before it asked for the node. The earliest of those that came to run
// there is taken for the one that made it ask; a node without one was asked for by others.
func (r *recorder) mayHaveAsked(name string, job submitted) bool {
	asked, seen := r.asked[name]
	before := asked.Sub(job.created)
	return seen && before >= 0 && before <= BatchMax+time.Second
}

func earliest(times map[string]time.Time, name string, at time.Time) {
	if known, ok := times[name]; !ok || at.Before(known) {
		times[name] = at
	}
}

// stretch undoes the compression of time.
func stretch(d time.Duration, factor float64) time.Duration {
	return time.Duration(float64(d) * factor)
}

// OverheadIs says what a node takes beyond its boot time.
func (m Measured) OverheadIs(boot time.Duration) string {
	if m.OverheadNodes == 0 {
		return "not known: no job ran on a node that Karpenter had asked for because of it"
	}
	return fmt.Sprintf("%.1f s per node, %.1f %% of the boot time (median of %d)", m.Overhead.Seconds(), 100*m.Overhead.Seconds()/boot.Seconds(), m.OverheadNodes)
}

// MeanWait is the mean of the waits.
func (m Measured) MeanWait() time.Duration {
	var sum time.Duration
	for _, wait := range m.Waits {
		sum += wait
	}
	return sum / time.Duration(max(len(m.Waits), 1))
}

// Quantile is the smallest wait that at least a share of the jobs did not exceed.
func Quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	index := int(share*float64(len(sorted))+0.9999999) - 1
	return sorted[min(max(index, 0), len(sorted)-1)]
}

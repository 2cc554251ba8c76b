package play

import (
	"fmt"
	"slices"
	"time"
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
	// Start is the median wait of jobs for which there was room, Takeover that of jobs to which
	// placeholders gave way: what the control loops alone take.
	Start, Takeover time.Duration
	// CeilingMessage is the refusal of a replica count above its ceiling.
	CeilingMessage string
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
	r.measureJobs(&m, jobs, to)
	for i, wait := range m.Waits {
		m.Waits[i] = stretch(wait, factor)
	}
	slices.Sort(m.Waits)
	for _, node := range r.nodes {
		m.GPUHours += node.gpus * node.within(from, to).Hours() * factor
	}
	m.IdleGPUHours = m.GPUHours
	for _, pod := range r.pods {
		if !pod.from.IsZero() {
			m.IdleGPUHours -= pod.gpus * pod.within(from, to).Hours() * factor
		}
	}
	for _, at := range r.taken {
		if at.After(from) && at.Before(to) {
			m.Takeovers++
		}
	}
	m.Start, m.Takeover = stretch(m.Start, factor), stretch(m.Takeover, factor)
	m.Overhead, m.OverheadNodes = r.overhead(jobs, time.Duration(float64(boot)/factor))
	m.Overhead = stretch(m.Overhead, factor)
	return m
}

// measureJobs adds what the jobs met, in wall time.
func (r *recorder) measureJobs(m *Measured, jobs map[string]submitted, to time.Time) {
	byJob := map[string][]*podSeen{}
	for _, pod := range r.pods {
		byJob[pod.job] = append(byJob[pod.job], pod)
	}
	waited := 0
	var found, taken []time.Duration
	for name, job := range jobs {
		running, wait, later := r.outcome(byJob[name], job, to)
		m.Waits = append(m.Waits, wait)
		if !running {
			m.NotStarted++
		}
		switch {
		case later:
			waited++
		case running && slices.ContainsFunc(byJob[name], func(p *podSeen) bool { return p.nominated }):
			taken = append(taken, wait)
		case running:
			found = append(found, wait)
		}
	}
	slices.Sort(found)
	slices.Sort(taken)
	m.Start, m.Takeover = Quantile(found, 0.5), Quantile(taken, 0.5)
	if len(jobs) > 0 {
		m.WaitedShare = float64(waited) / float64(len(jobs))
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

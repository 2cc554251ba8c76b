package play

import (
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
	// Takeovers are placeholders preempted by jobs.
	Takeovers int
	// Overhead is what does not compress, batching, API and scheduling: over the nodes bought
	// in the window, the median of what the last job before one was asked for waited beyond the
	// boot time.
	Overhead time.Duration
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
	least := r.measureJobs(&m, jobs, to, time.Duration(float64(boot)/factor))
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
	m.Overhead = overhead(least, factor, boot)
	return m
}

// measureJobs adds what the jobs met, in wall time, and returns for each node the least wait
// of at least the boot time: that of the last job that came before the node was asked for.
func (r *recorder) measureJobs(m *Measured, jobs map[string]submitted, to time.Time, boot time.Duration) (least map[string]time.Duration) {
	byJob := map[string][]*podSeen{}
	for _, pod := range r.pods {
		byJob[pod.job] = append(byJob[pod.job], pod)
	}
	least = map[string]time.Duration{}
	waited := 0
	for name, job := range jobs {
		running, wait, later := r.outcome(byJob[name], job, to)
		m.Waits = append(m.Waits, wait)
		if !running {
			m.NotStarted++
		}
		if later {
			waited++
		}
		if running && wait >= boot {
			r.lower(least, byJob[name], job, wait)
		}
	}
	if len(jobs) > 0 {
		m.WaitedShare = float64(waited) / float64(len(jobs))
	}
	return least
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

// lower notes the wait for each node that came after the job, if it is the least so far.
func (r *recorder) lower(least map[string]time.Duration, pods []*podSeen, job submitted, wait time.Duration) {
	for _, pod := range pods {
		if known, ok := least[pod.node]; r.laterThan(pod.node, job.created) && (!ok || wait < known) {
			least[pod.node] = wait
		}
	}
}

// laterThan tells whether a node came after a time.
func (r *recorder) laterThan(name string, at time.Time) bool {
	node := r.nodes[name]
	return node != nil && node.from.After(at)
}

func overhead(least map[string]time.Duration, factor float64, boot time.Duration) time.Duration {
	var beyond []time.Duration
	for _, wait := range least {
		if extra := stretch(wait, factor) - boot; extra > 0 {
			beyond = append(beyond, extra)
		}
	}
	if len(beyond) == 0 {
		return 0
	}
	slices.Sort(beyond)
	return beyond[len(beyond)/2]
}

// stretch undoes the compression of time.
func stretch(d time.Duration, factor float64) time.Duration {
	return time.Duration(float64(d) * factor)
}

// Quantile is the smallest wait that at least a share of the jobs did not exceed.
func Quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	index := int(share*float64(len(sorted))+0.9999999) - 1
	return sorted[min(max(index, 0), len(sorted)-1)]
}

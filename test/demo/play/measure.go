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
	// Overhead is, over the nodes bought in the window, the median of what the job that
	// waited longest for one waited beyond the boot time: what does not compress.
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
	longest := r.measureJobs(&m, jobs, to)
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
	m.Overhead = overhead(longest, factor, boot)
	return m
}

// measureJobs adds what the jobs met, in wall time, and returns the longest wait of a job
// for each node that it waited for.
func (r *recorder) measureJobs(m *Measured, jobs map[string]submitted, to time.Time) (longest map[string]time.Duration) {
	byJob := map[string][]*podSeen{}
	for _, pod := range r.pods {
		byJob[pod.job] = append(byJob[pod.job], pod)
	}
	longest = map[string]time.Duration{}
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
		for _, pod := range byJob[name] {
			if node := r.nodes[pod.node]; running && node != nil && node.from.After(job.created) {
				longest[pod.node] = max(longest[pod.node], wait)
			}
		}
	}
	if len(jobs) > 0 {
		m.WaitedShare = float64(waited) / float64(len(jobs))
	}
	return longest
}

// outcome tells whether all pods of a job ran by the end, how long that took, and whether
// one is on a node that came after the job.
func (r *recorder) outcome(pods []*podSeen, job submitted, to time.Time) (running bool, wait time.Duration, later bool) {
	last, started := job.created, 0
	for _, pod := range pods {
		if node := r.nodes[pod.node]; node != nil && node.from.After(job.created) {
			later = true
		}
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

func overhead(longest map[string]time.Duration, factor float64, boot time.Duration) time.Duration {
	var beyond []time.Duration
	for _, wait := range longest {
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

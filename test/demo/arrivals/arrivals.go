// Package arrivals makes the GPU jobs that the demo plays: from a documented, seeded
// generator, or from a trace.
package arrivals

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// NodeGPUs is the number of GPUs of a node, and the most that one pod asks for.
const NodeGPUs = 8

// Job is one GPU job.
type Job struct {
	// At is when it is submitted, relative to the start of the window; negative is before.
	At time.Duration
	// Run is how long it runs.
	Run time.Duration
	// GPUs is how many it asks for.
	GPUs int
}

// Pods is how many pods a job has, and how many GPUs each asks for.
func (j Job) Pods() (pods, gpusEach int) {
	if j.GPUs <= NodeGPUs {
		return 1, j.GPUs
	}
	return (j.GPUs + NodeGPUs - 1) / NodeGPUs, NodeGPUs
}

// Workload is what the demo plays.
type Workload struct {
	// Input is "generated" or the name of the trace's file.
	Input string
	// Cluster is the virtual cluster of the trace; empty for the generator.
	Cluster string
	// Start is when the window starts, in the time of the input.
	Start time.Time
	// Window is the scored time.
	Window time.Duration
	// Jobs are all jobs before the end of the window, in order of submission.
	Jobs []Job
}

// Between are the jobs submitted from one time until before another.
func (w Workload) Between(from, until time.Duration) []Job {
	var jobs []Job
	for _, job := range w.Jobs {
		if job.At >= from && job.At < until {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// RunningAt are the jobs submitted before a time that would still run then, if each had
// started at once, with the run time that remains.
func (w Workload) RunningAt(at time.Duration) []Job {
	var jobs []Job
	for _, job := range w.Jobs {
		if job.At < at && job.At+job.Run > at {
			jobs = append(jobs, Job{At: at, Run: job.At + job.Run - at, GPUs: job.GPUs})
		}
	}
	return jobs
}

// Whole and single are the two shapes of pods: whole nodes, and everything smaller in GPUs.
func shape(job Job) (whole, single int) {
	if job.GPUs >= NodeGPUs {
		pods, _ := job.Pods()
		return pods, 0
	}
	return 0, job.GPUs
}

// Known is how much time before another the workload tells about: from its first job on.
// What was before that is unknown, which is not the same as no demand.
func (w Workload) Known(until time.Duration) time.Duration {
	if len(w.Jobs) == 0 {
		return 0
	}
	return max(until-w.Jobs[0].At, 0)
}

// Demand is the stock of demand before a time, one value per step, the highest within it:
// in whole nodes, and in single GPUs of smaller jobs. The last value ends at the time.
func (w Workload) Demand(until, length, step time.Duration) (whole, single []float64) {
	n := int(length / step)
	whole, single = make([]float64, n), make([]float64, n)
	from := until - time.Duration(n)*step
	type change struct {
		at            time.Duration
		whole, single int
	}
	var changes []change
	for _, job := range w.Jobs {
		if job.At < until && job.At+job.Run > from {
			a, b := shape(job)
			changes = append(changes, change{job.At, a, b}, change{job.At + job.Run, -a, -b})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	nowWhole, nowSingle, next := 0, 0, 0
	for i := range n {
		whole[i], single[i] = float64(nowWhole), float64(nowSingle)
		end := from + time.Duration(i+1)*step
		for next < len(changes) && changes[next].at < end {
			nowWhole += changes[next].whole
			nowSingle += changes[next].single
			if changes[next].at < from {
				whole[i], single[i] = float64(nowWhole), float64(nowSingle)
			}
			whole[i], single[i] = math.Max(whole[i], float64(nowWhole)), math.Max(single[i], float64(nowSingle))
			next++
		}
	}
	return whole, single
}

// steepest is the start of the window, on a grid of quarter hours from a time on, in which
// the GPUs asked for rise most, if each job starts at once.
func steepest(jobs []Job, from, until, window time.Duration) time.Duration {
	const grid = 15 * time.Minute
	w := Workload{Jobs: jobs}
	n := int((until - from) / grid)
	if n < 1 {
		return from
	}
	whole, single := w.Demand(from+time.Duration(n)*grid, time.Duration(n)*grid, grid)
	span := max(int(window/grid), 1)
	best, bestRise := 0, math.Inf(-1)
	for i := 0; i+span < n; i++ {
		rise := NodeGPUs*(whole[i+span]-whole[i]) + single[i+span] - single[i]
		if rise > bestRise {
			best, bestRise = i, rise
		}
	}
	// The value of a step is its highest, so a rise from step i on starts at its end.
	return from + time.Duration(best+1)*grid
}

// shift moves the origin of time to the start of the window, and drops what comes after it.
func shift(jobs []Job, start, window time.Duration) []Job {
	var moved []Job
	for _, job := range jobs {
		if job.At < start+window {
			job.At -= start
			moved = append(moved, job)
		}
	}
	return moved
}

func sortJobs(jobs []Job) {
	slices.SortStableFunc(jobs, func(a, b Job) int { return cmp.Compare(a.At, b.At) })
}

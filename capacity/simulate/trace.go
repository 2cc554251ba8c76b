package simulate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast"
)

// Job asks for capacity. Times count from the start of its trace.
type Job struct {
	// At is when it is submitted.
	At time.Duration
	// Run is how long each of its pods runs.
	Run time.Duration
	// GPUs is how many units of the resource it asks for: more than a node has is several pods.
	GPUs int
	// Fixed says that it ends at At + Run whether it has run or not: a part of a demand series,
	// of which nobody knows what it was made of.
	Fixed bool
	// Atomic says that it asks for its nodes by a ProvisioningRequest: all of them or none, and at once.
	Atomic bool
}

// Trace is what arrives.
type Trace struct {
	// Start is the time that times count from.
	Start time.Time
	// Length is how long the trace is.
	Length time.Duration
	// Jobs are in order of submission.
	Jobs []Job
}

// NewTrace orders the jobs.
func NewTrace(start time.Time, length time.Duration, jobs []Job) Trace {
	slices.SortStableFunc(jobs, func(a, b Job) int { return cmp.Compare(a.At, b.At) })
	return Trace{Start: start, Length: length, Jobs: jobs}
}

// FromSeries makes a trace of a demand series: each unit of it is a job of one GPU, which ends
// when the series falls again, the oldest first. A change between two values is spread evenly
// over the time between them. Missing values repeat the one before.
func FromSeries(s forecast.Series, unit float64) Trace {
	var jobs []Job
	open, first := []int{}, 0
	held := 0.0
	for i, value := range s.Values {
		if !math.IsNaN(value) {
			held = value
		}
		units := int(math.Ceil(math.Max(held, 0)/unit - 1e-9))
		change := units - (len(open) - first)
		at := func(k, of int) time.Duration {
			return max(time.Duration(i-1)*s.Step+time.Duration(k)*s.Step/time.Duration(of), 0)
		}
		for k := range change {
			open = append(open, len(jobs))
			jobs = append(jobs, Job{At: at(k+1, change), Run: math.MaxInt64 / 4, GPUs: 1, Fixed: true})
		}
		for k := range -change {
			job := &jobs[open[first]]
			job.Run = at(k+1, -change) - job.At
			first++
		}
	}
	return NewTrace(s.Start, time.Duration(max(len(s.Values)-1, 0))*s.Step, jobs)
}

// Stock is the demand of a chunk, in chunks.
type Stock struct {
	// Highest is the highest within each step: value i is that of the step that ends at i steps.
	Highest forecast.Series
	// Now is the demand at the end of each step.
	Now []float64
}

// Demand is the stock of demand of the trace, per chunk, if every job started at once.
func (t Trace) Demand(p Pool, step time.Duration) []Stock {
	n := int(t.Length/step) + 1
	stocks := make([]Stock, len(p.Chunks))
	for c := range stocks {
		highest, now := p.stock(t.Jobs, c, n, step)
		stocks[c] = Stock{Highest: forecast.Series{Start: t.Start, Step: step, Values: highest}, Now: now}
	}
	return stocks
}

func (p Pool) stock(jobs []Job, chunk, n int, step time.Duration) (highest, now []float64) {
	type change struct {
		at     time.Duration
		amount float64
	}
	var changes []change
	for _, job := range jobs {
		if c, amount := p.demandOf(job); c == chunk {
			changes = append(changes, change{job.At, amount}, change{job.At + job.Run, -amount})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.amount, b.amount)) // ends before starts
	})
	highest, now = make([]float64, n), make([]float64, n)
	current, next := 0.0, 0
	for i := range n {
		highest[i] = current
		for ; next < len(changes) && changes[next].at <= time.Duration(i)*step; next++ {
			current = math.Round((current+changes[next].amount)*1e6) / 1e6
			highest[i] = max(highest[i], current)
		}
		now[i] = current
	}
	return highest, now
}

// FromRows makes a trace of jobs, which starts on the midnight before the first of them.
func FromRows(rows []Row) Trace {
	if len(rows) == 0 {
		return Trace{}
	}
	first, last := rows[0].At, rows[0].At
	for _, row := range rows {
		if row.At.Before(first) {
			first = row.At
		}
		if row.At.After(last) {
			last = row.At
		}
	}
	start := first.UTC().Truncate(24 * time.Hour)
	jobs := make([]Job, 0, len(rows))
	for _, row := range rows {
		jobs = append(jobs, Job{At: row.At.Sub(start), Run: row.Run, GPUs: row.GPUs})
	}
	return NewTrace(start, last.Sub(start), jobs)
}

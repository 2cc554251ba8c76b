package simulate

import (
	"math"
	"slices"
	"time"
)

// Outcome is what was reached in the scored time.
type Outcome struct {
	// Waits are the times from submission until all pods of a job ran, sorted; of a job that
	// never ran, until it ended or the scored time did.
	Waits []time.Duration
	// ByJob are the same in order of submission.
	ByJob []time.Duration
	// Started, Never and Waiting count the jobs submitted in the scored time that ran, that ended
	// before they could, and that still wait at the end.
	Started, Never, Waiting int
	// ArrivedGPUs is the demand that arrived, ReadyGPUs the part that found ready capacity.
	ArrivedGPUs, ReadyGPUs int
	// GPUHours is what nodes offered, UsedGPUHours what jobs took of it, and DemandGPUHours what
	// jobs asked for, running or waiting.
	GPUHours, UsedGPUHours, DemandGPUHours float64
	// BilledNodeHours is what nodes that were there in the scored time cost, minimum billing
	// included.
	BilledNodeHours float64
	// Bought, Interrupted and MostNodes count nodes over the whole run.
	Bought, Interrupted, MostNodes int
	// Takeovers is how many placeholders gave way.
	Takeovers int
	// Timeline has a row per interval of the plan if Options.Record is set.
	Timeline []Moment
}

// Moment is one row of the timeline, in GPUs.
type Moment struct {
	At                       time.Duration
	Demand, Waiting          int
	Capacity, Coming, Warmed int
}

// IdleGPUHours is what nodes offered and no job used.
func (o Outcome) IdleGPUHours() float64 { return o.GPUHours - o.UsedGPUHours }

// IdleShare is mean idle over mean demand.
func (o Outcome) IdleShare() float64 {
	if o.DemandGPUHours <= 0 {
		return 0
	}
	return o.IdleGPUHours() / o.DemandGPUHours
}

// HitRate is the share of demand arriving that found ready capacity; one if none arrived.
func (o Outcome) HitRate() float64 {
	if o.ArrivedGPUs == 0 {
		return 1
	}
	return float64(o.ReadyGPUs) / float64(o.ArrivedGPUs)
}

// Wait is the smallest wait that at least a share of the jobs did not exceed.
func (o Outcome) Wait(share float64) time.Duration {
	if len(o.Waits) == 0 {
		return 0
	}
	index := int(math.Ceil(share*float64(len(o.Waits))-1e-9)) - 1
	return o.Waits[min(max(index, 0), len(o.Waits)-1)]
}

// MeanWait is the mean of the waits.
func (o Outcome) MeanWait() time.Duration {
	if len(o.Waits) == 0 {
		return 0
	}
	var sum time.Duration
	for _, wait := range o.Waits {
		sum += wait / time.Duration(len(o.Waits))
	}
	return sum
}

// finish closes the outcome at the end of the run.
func (w *world) finish() Outcome {
	w.advance(w.Until)
	for _, p := range w.pending {
		if p.job != nil && !p.gone && p.job.missing > 0 {
			if w.scored(p.job.At) {
				w.outcome.Waiting++
				w.waited(p.job, w.Until)
			}
			p.job.missing = 0
		}
	}
	for _, n := range w.nodes {
		if n.ready {
			w.bill(n)
		}
	}
	w.outcome.Waits = slices.Sorted(slices.Values(w.outcome.ByJob))
	return w.outcome
}

// waited notes until when a job did.
func (w *world) waited(j *job, until time.Duration) { w.outcome.ByJob[j.place] = until - j.At }

// advance adds up what has been there since the last change.
func (w *world) advance(to time.Duration) {
	from, until := max(w.now, w.Score), min(to, w.Until)
	if until > from {
		hours := (until - from).Hours()
		w.outcome.GPUHours += float64(w.offered) * hours
		w.outcome.UsedGPUHours += float64(w.used) * hours
		w.outcome.DemandGPUHours += float64(w.used+w.wanting) * hours
	}
	w.now = to
}

// scored says that a time counts.
func (w *world) scored(at time.Duration) bool { return at >= w.Score && at < w.Until }

// bill adds what a node cost in the scored time.
func (w *world) bill(n *node) {
	end := max(w.now, n.readyAt+w.Pool.MinBilling)
	if w.now <= w.Score {
		return
	}
	w.outcome.BilledNodeHours += max(end-max(n.readyAt, w.Score), 0).Hours()
}

// Oracle is the run of one who asks for each node exactly its lead time before it is needed; nobody is overtaken.
func Oracle(o Options) Options {
	o.Pool.AnyFirst = false
	o.Pool.Lead, o.Expect = Lead{}, nil
	o.Pool.Autoscaler.Every, o.Pool.Autoscaler.Batch, o.Pool.Autoscaler.PodAge = 0, 0, 0
	return o
}

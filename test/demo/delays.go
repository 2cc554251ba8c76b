package main

import (
	"slices"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/test/demo/play"
)

// delays are what the control loops took, uncompressed.
type delays struct {
	// start is until a job ran for which there was room, and takeover where placeholders gave way: means of the arm.
	start, takeover time.Duration
	// ask is from a job for which there was no room until Karpenter asked for a node, and settle what it takes
	// beyond the boot time until a pod runs there that had waited for it: medians of the arm; of all, where it had none.
	ask, settle time.Duration
}

// delaysOf are those that were measured in an arm.
func delaysOf(arm play.Arm, arms map[play.Arm]play.Measured, factor float64) delays {
	d := delays{start: meanOf(arms[arm], play.Free), takeover: meanOf(arms[arm], play.Taken)}
	asked, settled := delaysOfNodes(arms[arm], factor)
	var allAsked, allSettled []time.Duration
	for _, m := range arms {
		a, s := delaysOfNodes(m, factor)
		allAsked, allSettled = append(allAsked, a...), append(allSettled, s...)
	}
	if len(asked) == 0 {
		asked = allAsked
	}
	if len(settled) == 0 {
		settled = allSettled
	}
	slices.Sort(asked)
	slices.Sort(settled)
	d.ask, d.settle = play.Quantile(asked, 0.5), play.Quantile(settled, 0.5)
	if len(asked) == 0 {
		d.ask = d.start + time.Duration(factor*float64(play.BatchIdle))
	}
	return d
}

// delaysOfNodes are those of the nodes of an arm that were asked for in the window.
func delaysOfNodes(m play.Measured, factor float64) (asked, settled []time.Duration) {
	for _, n := range m.Nodes {
		if n.Asked == nil || *n.Asked < 0 {
			continue
		}
		if cause, known := causeOf(m.ByJob, *n.Asked, factor); known {
			asked = append(asked, *n.Asked-cause)
		}
		if n.Ran != nil {
			settled = append(settled, *n.Ran-*n.Asked-times().Boot)
		}
	}
	return asked, settled
}

// causeOf is when the first job was created that may have made Karpenter ask for a node at a time: one for which there
// was no room, within the longest batch, and a second of grace, before.
func causeOf(jobs []play.Met, asked time.Duration, factor float64) (at time.Duration, known bool) {
	longest := time.Duration(factor * float64(play.BatchMax+time.Second))
	for _, job := range jobs {
		if job.Room == play.Awaited && job.At <= asked && asked-job.At <= longest {
			return job.At, true
		}
	}
	return 0, false
}

// chosenAfter is how long the reserver took to choose the policy of each chunk; nil where it is not known.
func chosenAfter(plans []play.Planned, chunks []capacity.Chunk) []time.Duration {
	var after []time.Duration
	for _, chunk := range chunks {
		made := slices.IndexFunc(plans, func(p play.Planned) bool {
			return slices.ContainsFunc(p.Chunks, func(row v1alpha1.ChunkStatus) bool {
				return row.Name == chunk.Name && row.Policy != nil && row.Policy.Reason != ""
			})
		})
		if made < 0 {
			return nil
		}
		after = append(after, plans[made].At-plans[0].At)
	}
	return after
}

// meanOf is the mean wait of the jobs that came by their places in one way.
func meanOf(m play.Measured, room play.Room) time.Duration {
	var sum time.Duration
	n := time.Duration(0)
	for _, job := range m.ByJob {
		if job.Room == room {
			sum += job.Wait
			n++
		}
	}
	return sum / max(n, 1)
}

// delayed gives a simulated arm these delays.
func delayed(o simulate.Options, d delays) simulate.Options {
	o.Pool.Start, o.Pool.Takeover = d.start, max(d.takeover-d.start, 0)
	o.Pool.Autoscaler.Batch = d.ask
	o.Pool.Lead.P50 += max(d.settle-d.start, 0) // the first pod there takes its time to start besides
	return o
}

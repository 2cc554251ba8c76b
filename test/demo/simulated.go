package main

import (
	"time"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/test/demo/arrivals"
)

// simulation is the demo's hour on Karpenter, without placeholders. It gives the demo two things:
// how many constant placeholders idle as much as Forewarm did, and what an oracle would have
// reached. What is reported otherwise comes from the real control plane.
func simulation(w arrivals.Workload) simulate.Options {
	var jobs []simulate.Job
	for _, job := range w.Jobs {
		jobs = append(jobs, simulate.Job{At: job.At, Run: job.Run, GPUs: job.GPUs})
	}
	t := times()
	return simulate.Options{
		Trace: simulate.NewTrace(w.Start, w.Window, jobs),
		Pool: simulate.Pool{
			NodeGPUs: arrivals.NodeGPUs, Chunks: []simulate.ChunkSize{{Name: "single", GPUs: 1}},
			Lead: simulate.Lead{P50: t.Boot}, Autoscaler: simulate.Autoscaler{EmptyFor: t.ConsolidateAfter}, Spread: true,
		},
		From: -t.PreRoll, Score: 0, Until: w.Window,
	}
}

// constant keeps so many placeholders of one GPU, and replaces what was taken within seconds.
func constant(o simulate.Options, placeholders int) simulate.Options {
	o.Limits = capacity.Limits{
		Chunks:   []capacity.Chunk{{Name: "single", Requests: quantity.Vector{"nvidia.com/gpu": 1}, Min: int64(placeholders), Max: int64(placeholders) + 1}},
		Interval: 5 * time.Second, MaxChanges: placeholders + 1,
	}
	o.Expect = func(_ time.Duration, now []float64) capacity.Demand {
		return capacity.Demand{Chunks: []capacity.ChunkDemand{{Now: now[0]}}}
	}
	return o
}

// matchIdle is the number of constant placeholders whose idle GPU-hours come closest to a target.
func matchIdle(o simulate.Options, target float64) (int, error) {
	const most = 400
	best, bestApart := 0, -1.0
	for n := range most {
		got, err := simulate.Run(constant(o, n))
		if err != nil {
			return 0, err
		}
		idle := got.IdleGPUHours()
		if apart := max(idle-target, target-idle); bestApart < 0 || apart < bestApart {
			best, bestApart = n, apart
		}
		if idle > target*1.5+10 {
			break
		}
	}
	return best, nil
}

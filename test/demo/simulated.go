package main

import (
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/test/demo/arrivals"
)

// simulation is the demo's hour on Karpenter, without placeholders. It gives the demo two things:
// how many constant placeholders idle as much as Forewarm did, and what an oracle would have
// reached; with --simulate also what the simulator says of each arm. What is reported otherwise
// comes from the real control plane.
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
			Lead: simulate.Lead{P50: t.Boot}, Autoscaler: simulate.Autoscaler{EmptyFor: t.ConsolidateAfter},
			Spread: true, AnyFirst: true,
		},
		From: -t.PreRoll, Score: 0, Until: w.Window,
	}
}

// constant keeps so many placeholders of one GPU, as a Deployment does.
func constant(o simulate.Options, placeholders int) simulate.Options {
	o.Pool.Deployment = simulate.Replicas{GPUs: 1, Steps: []simulate.Scale{{At: o.From, Count: placeholders}}}
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

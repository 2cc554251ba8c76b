package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"forewarm.dev/test/demo/play"
)

// result is the last line of the output. Times are uncompressed seconds.
type result struct {
	Input          string                 `json:"input"`
	Seed           uint64                 `json:"seed"`
	Factor         float64                `json:"factor"`
	Arms           map[play.Arm]armResult `json:"arms"`
	CeilingRefused bool                   `json:"ceiling_refused"`
	// Pooled is how far the simulator agrees, over all seeds so far.
	Pooled map[play.Arm]agreement `json:"pooled,omitempty"`
}

// armResult is one arm.
type armResult struct {
	Jobs         int     `json:"jobs"`
	NotStarted   int     `json:"not_started"`
	WaitP50      float64 `json:"wait_p50_s"`
	WaitP95      float64 `json:"wait_p95_s"`
	WaitP99      float64 `json:"wait_p99_s"`
	WaitMax      float64 `json:"wait_max_s"`
	WaitedShare  float64 `json:"waited_share"`
	GPUHours     float64 `json:"gpu_hours"`
	IdleGPUHours float64 `json:"idle_gpu_hours"`
	Takeovers    *int    `json:"takeovers,omitempty"`
}

func convert(m play.Measured) armResult {
	at := func(share float64) float64 { return round(play.Quantile(m.Waits, share).Seconds()) }
	return armResult{
		Jobs: m.Jobs, NotStarted: m.NotStarted,
		WaitP50: at(0.5), WaitP95: at(0.95), WaitP99: at(0.99), WaitMax: at(1),
		WaitedShare: math.Round(m.WaitedShare*1e4) / 1e4,
		GPUHours:    round(m.GPUHours), IdleGPUHours: round(m.IdleGPUHours),
	}
}

func round(value float64) float64 { return math.Round(value*10) / 10 }

// report prints the table of the last seed, the refused ceiling and the RESULT line.
func report(out io.Writer, seeds []outcome) error {
	o := seeds[len(seeds)-1]
	r := result{Input: o.workload.Input, Seed: o.settings.seed, Factor: o.settings.factor, Arms: map[play.Arm]armResult{}}
	for arm, m := range o.arms {
		row := convert(m)
		if arm == play.Forewarm {
			row.Takeovers = &m.Takeovers
		}
		r.Arms[arm] = row
	}
	message := o.arms[play.Forewarm].CeilingMessage
	r.CeilingRefused = message != ""
	if err := table(out, o, r); err != nil {
		return err
	}
	if o.simulated != nil {
		r.Pooled = agreements(seeds)
		if err := comparison(out, seeds); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "\nA Deployment with forewarm.dev/max-replicas: \"3\" was scaled to 5:\n  %s\n\n", message)
	if err != nil {
		return err
	}
	return resultLine(out, r)
}

func resultLine(out io.Writer, r any) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", line)
	return err
}

// table prints a row per arm, and the oracle as a yardstick.
func table(out io.Writer, o outcome, r result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	write := func(format string, a ...any) { _, _ = fmt.Fprintf(w, format, a...) }
	write("arm\tjobs\tnot started\twait p50\tp95\tp99\tmax\twaited for a node\tGPU-hours\tidle\ttakeovers\t\n")
	for _, arm := range []play.Arm{play.Autoscaler, play.Constant, play.Forewarm} {
		a := r.Arms[arm]
		takeovers := o.arms[arm].Takeovers
		write("%s\t%d\t%d\t%.1f s\t%.1f s\t%.1f s\t%.1f s\t%.1f %%\t%.1f\t%.1f\t%d\t\n",
			arm, a.Jobs, a.NotStarted, a.WaitP50, a.WaitP95, a.WaitP99, a.WaitMax, 100*a.WaitedShare, a.GPUHours, a.IdleGPUHours, takeovers)
	}
	oracle := func(share float64) float64 { return play.Quantile(o.oracle.Waits, share).Seconds() }
	write("oracle (simulated)\t%d\t0\t%.1f s\t%.1f s\t%.1f s\t%.1f s\t\t%.1f\t%.1f\t\t\n",
		len(o.oracle.Waits), oracle(0.5), oracle(0.95), oracle(0.99), oracle(1), o.oracle.GPUHours, o.oracle.IdleGPUHours())
	if err := w.Flush(); err != nil {
		return err
	}
	return notes(out, o, r)
}

// notes say what to compare, and how far compression distorts.
func notes(out io.Writer, o outcome, r result) error {
	alone, ours, constant := r.Arms[play.Autoscaler], r.Arms[play.Forewarm], r.Arms[play.Constant]
	_, err := fmt.Fprintf(out, `
Times are uncompressed. wait: from creating a job until all its pods run. GPU-hours count
from the Node object on; idle is what running jobs do not use of them. The constant arm kept
%d single-GPU placeholders.
p95 wait of forewarm: %s of autoscaler, %s of constant; idle %s of constant.
What does not compress (batching, API, scheduling) is %s.
The oracle asks for each node exactly its boot time before it is needed: a yardstick for
waits. The demo took %.1f minutes.
`,
		o.placeholders, ratio(ours.WaitP95, alone.WaitP95), ratio(ours.WaitP95, constant.WaitP95), ratio(ours.IdleGPUHours, constant.IdleGPUHours),
		o.arms[play.Autoscaler].OverheadIs(times().Boot), o.took.Minutes())
	return err
}

// ratio is a ÷ b as text, where that means something.
func ratio(a, b float64) string {
	if b <= 0 {
		return "?"
	}
	return fmt.Sprintf("%.2f", a/b)
}

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"forewarm.dev/capacity/simulate"
	"forewarm.dev/capacity/spec"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
)

// compared is how long jobs waited in all, as measured and as simulated, over all seeds so far.
type compared struct {
	Measured  float64 `json:"measured_mean_wait_s"`
	Simulated float64 `json:"simulated_mean_wait_s"`
	Ratio     float64 `json:"ratio"`
	Jobs      int     `json:"jobs"`
}

func (c *compared) add(m play.Measured, s simulate.Outcome) {
	mean := func(before float64, waits []time.Duration) float64 {
		sum := before * float64(c.Jobs)
		for _, wait := range waits {
			sum += wait.Seconds()
		}
		return sum / float64(c.Jobs+len(m.Waits))
	}
	c.Measured, c.Simulated = mean(c.Measured, m.Waits), mean(c.Simulated, s.Waits)
	c.Jobs += len(m.Waits)
	if c.Measured > 0 {
		c.Ratio = c.Simulated / c.Measured
	}
}

// delays are what the control loops took: until a job ran where there was room, and where placeholders
// gave way, and what a node took beyond its boot time.
type delays struct{ start, takeover, overhead time.Duration }

// delaysOf are those that were measured. The machine is the same for all arms: where jobs wait longer
// than in another arm it is for room, which the simulator has to find by itself.
func delaysOf(arms map[play.Arm]play.Measured) delays {
	d := delays{overhead: arms[play.Autoscaler].Overhead}
	for _, m := range arms {
		d.start, d.takeover = least(d.start, m.Start), least(d.takeover, m.Takeover)
	}
	return d
}

// least is the shorter of two durations that were measured.
func least(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// delayed gives a simulated arm these delays, and Karpenter's wait for more pods.
func delayed(o simulate.Options, d delays, factor float64) simulate.Options {
	o.Pool.Start, o.Pool.Takeover = d.start, max(d.takeover-d.start, 0)
	o.Pool.Autoscaler.Batch = time.Duration(factor * float64(play.BatchIdle))
	o.Pool.Lead.P50 += max(d.overhead-o.Pool.Autoscaler.Batch-d.start, 0)
	return o
}

// forewarmed is the arm with Forewarm: the same pool, on the same history, through the same plan.
func forewarmed(w arrivals.Workload) (simulate.Case, error) {
	const backtest = 14 * 24 * time.Hour
	t := times()
	pool := play.WarmPool(t, 1)
	limits, err := spec.Simulated(pool, t.Lead)
	if err != nil {
		return simulate.Case{}, err
	}
	o := simulation(w)
	o.Pool.Chunks = nil
	for i, chunk := range limits.Chunks {
		size := int(chunk.Requests[pool.Spec.Demand.Resource])
		o.Pool.Chunks = append(o.Pool.Chunks, simulate.ChunkSize{Name: chunk.Name, GPUs: size})
		limits.Chunks[i].PerNode = int64(arrivals.NodeGPUs / size)
	}
	// The trace begins with the history, which is as long as in the demo.
	known := min(t.History, w.Known(-t.PreRoll)).Truncate(t.Interval) + t.PreRoll
	for i := range o.Trace.Jobs {
		o.Trace.Jobs[i].At += known
	}
	o.Trace = simulate.NewTrace(w.Start.Add(-known), known+w.Window, o.Trace.Jobs)
	o.Limits, o.From, o.Score, o.Until = limits, known-t.PreRoll, known, known+w.Window
	c := simulate.Case{Options: o, Backtest: backtest}
	for _, stock := range o.Trace.Demand(o.Pool, t.Interval) {
		f, err := simulate.Foresee(stock, simulate.ForesightOptions{
			Refit: time.Hour, Seasons: []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}, History: t.History,
			First: int((o.From - backtest) / t.Interval), Until: int(o.Until/t.Interval) + 1, Windows: []time.Duration{limits.Window()},
		})
		if err != nil {
			return c, err
		}
		c.Foresights = append(c.Foresights, f)
	}
	return c, nil
}

// compare simulates each arm, and adds it to what was pooled before.
func compare(o *outcome, pooled map[play.Arm]*compared) error {
	o.delays = delaysOf(o.arms)
	o.simulated, o.pooled = map[play.Arm]simulate.Outcome{}, pooled
	ours, err := forewarmed(o.workload)
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	for arm, m := range o.arms {
		options := simulation(o.workload)
		switch arm {
		case play.Constant:
			options = constant(options, o.placeholders)
		case play.Forewarm:
			options, _ = ours.Forewarmed()
		}
		if o.simulated[arm], err = simulate.Run(delayed(options, o.delays, o.settings.factor)); err != nil {
			return fmt.Errorf("simulate %s: %w", arm, err)
		}
		if pooled[arm] == nil {
			pooled[arm] = &compared{}
		}
		pooled[arm].add(m, o.simulated[arm])
	}
	return nil
}

// comparison prints what was measured beside what the simulator says.
func comparison(out io.Writer, o outcome) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	write := func(format string, a ...any) { _, _ = fmt.Fprintf(w, format, a...) }
	write("\nmeasured | simulated\tmean wait\tp95\tidle\ttakeovers\tpooled over seeds so far: mean wait\tsimulated ÷ measured\t\n")
	for _, arm := range []play.Arm{play.Autoscaler, play.Constant, play.Forewarm} {
		m, s, p := o.arms[arm], o.simulated[arm], o.pooled[arm]
		write("%s\t%.1f | %.1f s\t%.1f | %.1f s\t%.1f | %.1f\t%d | %d\t%.1f | %.1f s\t%.2f\t\n", arm,
			m.MeanWait().Seconds(), s.MeanWait().Seconds(), play.Quantile(m.Waits, 0.95).Seconds(), s.Wait(0.95).Seconds(),
			m.IdleGPUHours, s.IdleGPUHours(), m.Takeovers, s.Takeovers, p.Measured, p.Simulated, p.Ratio)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, `The simulator has the delays of the control loops that were measured: the median wait of jobs that
found room, that of jobs to which placeholders gave way, each of the arm where it was the shortest,
and what a node takes beyond its boot time, 0 where none could be measured: %.1f, %.1f and %.1f s.
`, o.delays.start.Seconds(), o.delays.takeover.Seconds(), o.delays.overhead.Seconds())
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
)

// times are the durations that the demo plays with, uncompressed. Seven minutes from asking
// for a GPU node until a pod runs on it is what clouds need with drivers and images; the
// 40 s of lead time beyond the boot are what Karpenter, scheduler and API add when time is
// compressed twenty times.
func times() play.Times {
	return play.Times{
		Boot:             7 * time.Minute,
		Lead:             7*time.Minute + 40*time.Second,
		ConsolidateAfter: 10 * time.Minute,
		Interval:         time.Minute,
		History:          4 * 7 * 24 * time.Hour,
		PreRoll:          8 * time.Minute,
	}
}

// outcome is everything that the demo found.
type outcome struct {
	settings     settings
	workload     arrivals.Workload
	arms         map[play.Arm]play.Measured
	placeholders int
	oracle       simulate.Outcome
	took         time.Duration
	// simulated are the arms in the simulator, a number of times, with the delays that it was given; nil where it was
	// not asked for.
	simulated map[play.Arm][]simulate.Outcome
	delays    map[play.Arm]delays
	// policies are what the reserver chose and what the simulator did, per chunk.
	policies map[string][2]v1alpha1.PolicyStatus
}

// run plays the three arms, for each seed, and prints what was measured; or compares what was measured before.
func run(ctx context.Context, s settings, out, progress io.Writer) error {
	if s.again != "" {
		return compareAgain(s.again, out)
	}
	var seeds []outcome
	for range max(s.seeds, 1) {
		o, err := arms(ctx, s, out, progress)
		if err == nil && s.seeds > 0 {
			err = simulated(&o)
		}
		if err != nil {
			return err
		}
		seeds = append(seeds, o)
		if err := errors.Join(keep(s.keep, seeds), report(out, seeds)); err != nil {
			return err
		}
		s.seed++
	}
	return nil
}

// arms plays the three arms.
func arms(ctx context.Context, s settings, out, progress io.Writer) (o outcome, err error) {
	begin := time.Now()
	w, err := s.workload()
	if err != nil {
		return o, err
	}
	store, err := assets.Open()
	if err != nil {
		return o, err
	}
	binaries, err := os.MkdirTemp("", "forewarm-demo-bin-")
	if err != nil {
		return o, err
	}
	defer func() { _ = os.RemoveAll(binaries) }()
	tell := func(line string) {
		_, _ = fmt.Fprintf(progress, "[%4.0f s] %s\n", time.Since(begin).Seconds(), line)
	}
	tell("building webhook, extender and reserver, and beside it")
	build, building := errgroup.WithContext(ctx) // a build that fails ends the first arm, which does without
	build.Go(func() error { return cluster.BuildBinaries(ctx, binaries) })
	introduce(out, s, w)

	o = outcome{settings: s, workload: w, arms: map[play.Arm]play.Measured{}}
	if o.oracle, err = simulate.Run(simulate.Oracle(simulation(w))); err != nil {
		return o, err
	}
	for _, arm := range []play.Arm{play.Autoscaler, play.Forewarm, play.Constant} {
		if arm == play.Constant {
			if o.placeholders, err = matchIdle(simulation(w), o.arms[play.Forewarm].IdleGPUHours); err != nil {
				return o, err
			}
			tell(fmt.Sprintf("constant: %d placeholders idle as much as forewarm did, by simulation", o.placeholders))
		}
		within := ctx
		if arm == play.Autoscaler {
			within = building
		} else if err := build.Wait(); err != nil {
			return o, err
		}
		o.arms[arm], err = play.Play(within, play.Options{
			Arm: arm, Workload: w, Factor: s.factor, Times: times(), Placeholders: o.placeholders,
			Root: store.Root, Binaries: binaries, Progress: tell,
		})
		if err != nil {
			return o, fmt.Errorf("%s: %w", arm, err)
		}
		tell(summary(arm, o.arms[arm]))
	}
	o.took = time.Since(begin)
	return o, nil
}

// summary is one arm in one line.
func summary(arm play.Arm, m play.Measured) string {
	return fmt.Sprintf("%s: done: %d jobs, p95 wait %.1f s, %.1f idle GPU-hours, %d takeovers; beyond the boot time: %s",
		arm, m.Jobs, play.Quantile(m.Waits, 0.95).Seconds(), m.IdleGPUHours, m.Takeovers, m.OverheadIs(times().Boot))
}

func introduce(out io.Writer, s settings, w arrivals.Workload) {
	name := w.Input
	if w.Cluster != "" {
		name += ", cluster " + filepath.Base(w.Cluster)
	}
	t := times()
	_, _ = fmt.Fprintf(out, `Input: %s, window of %v from %s; %d jobs arrive, %d run already.
Time is compressed %g times: a node boots in %v (%.1f s here), an empty one is kept %v,
history has a step of %v. Karpenter batches for %v to %v of wall time.

`,
		name, w.Window, w.Start.Format("Mon "+time.DateTime), len(w.Between(0, w.Window)), len(w.RunningAt(0)),
		s.factor, t.Boot, t.Boot.Seconds()/s.factor, t.ConsolidateAfter, t.Interval, play.BatchIdle, play.BatchMax)
}

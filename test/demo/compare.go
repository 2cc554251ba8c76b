package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/capacity/spec"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
)

// forewarmed is the arm with Forewarm: the same pool, on the same history, through the same plan.
func forewarmed(w arrivals.Workload) (simulate.Case, error) {
	t := times()
	pool := play.WarmPool(t, 1)
	limits, err := spec.Simulated(pool, t.Lead)
	if err != nil {
		return simulate.Case{}, err
	}
	o := simulation(w)
	o.Pool.Spread = false // the extender prefers the fullest node
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
	c := simulate.Case{Options: o, Chooses: simulate.Chooses{Kept: t.History, Asks: true}}
	for _, chunk := range limits.Chunks {
		c.Chooses.History = append(c.Chooses.History, play.History(w, t)[chunk.Name])
	}
	for _, season := range pool.Spec.Forecast.Seasons {
		c.Chooses.Seasons = append(c.Chooses.Seasons, season.Duration)
	}
	for _, stock := range o.Trace.Demand(o.Pool, t.Interval) {
		f, err := simulate.Foresee(stock, simulate.ForesightOptions{
			Refit: time.Hour, Seasons: c.Chooses.Seasons, History: t.History,
			First: int(o.From / t.Interval), Until: int(o.Until/t.Interval) + 1, Plans: []capacity.Limits{limits},
		})
		if err != nil {
			return c, err
		}
		c.Foresights = append(c.Foresights, f)
	}
	return c, nil
}

// draws is how often each arm is simulated: the scheduler draws among nodes alike, and so does what follows.
const draws = 100

// simulated simulates each arm of a seed.
func simulated(o *outcome) error {
	o.simulated, o.delays = map[play.Arm][]simulate.Outcome{}, map[play.Arm]delays{}
	ours, err := forewarmed(o.workload)
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	if plans := o.arms[play.Forewarm].Plans; len(plans) > 0 {
		ours.Begins = max(plans[0].At+times().PreRoll, 0)
		ours.Chooses.Takes = chosenAfter(plans, ours.Limits.Chunks)
	}
	if o.policies, err = policies(o.arms[play.Forewarm].Plans, ours); err != nil {
		return err
	}
	for arm := range o.arms {
		options := simulation(o.workload)
		switch arm {
		case play.Constant:
			options = constant(options, o.placeholders)
		case play.Forewarm:
			options, _ = ours.Forewarmed()
		}
		o.delays[arm] = delaysOf(arm, o.arms, o.settings.factor)
		options = delayed(options, o.delays[arm])
		for options.Seed = range draws {
			got, err := simulate.Run(options)
			if err != nil {
				return fmt.Errorf("simulate %s: %w", arm, err)
			}
			o.simulated[arm] = append(o.simulated[arm], got)
		}
	}
	return nil
}

// policies are what the reserver chose first for each chunk, and what the simulator does.
func policies(plans []play.Planned, ours simulate.Case) (map[string][2]v1alpha1.PolicyStatus, error) {
	found := map[string][2]v1alpha1.PolicyStatus{}
	for i, chunk := range ours.Limits.Chunks {
		measured := firstPolicy(plans, chunk.Name)
		if measured == nil {
			continue
		}
		first, err := ours.First(i)
		if err != nil {
			return nil, err
		}
		found[chunk.Name] = [2]v1alpha1.PolicyStatus{*measured, *chooser.Status(chooser.Answer{Choice: first})}
	}
	return found, nil
}

// firstPolicy is the first that was chosen for a chunk with a reason; nil for none.
func firstPolicy(plans []play.Planned, chunk string) *v1alpha1.PolicyStatus {
	for _, plan := range plans {
		for _, row := range plan.Chunks {
			if row.Name == chunk && row.Policy != nil && row.Policy.Reason != "" {
				return row.Policy
			}
		}
	}
	return nil
}

// told is a policy in one line.
func told(p v1alpha1.PolicyStatus) string {
	words := []string{p.Kind}
	for _, number := range []struct{ name, value string }{{"headroom", p.Headroom}, {"share", p.Share}, {"margin", p.Margin}, {"most", p.Most}} {
		if number.value != "" {
			words = append(words, number.name, number.value)
		}
	}
	text := []string{strings.Join(words, " ")}
	for _, tried := range p.Tried {
		text = append(text, fmt.Sprintf("%s %s/h", tried.Kind, tried.CostPerHour))
	}
	return strings.Join(text, ", ")
}

// agreement is how far the simulator agrees: mean waits, their ratio, and the range of 90 % of the draws.
type agreement struct {
	Jobs      int     `json:"jobs"`
	Measured  float64 `json:"measured_mean_wait_s"`
	Simulated float64 `json:"simulated_mean_wait_s"`
	Ratio     float64 `json:"ratio"`
	Low       float64 `json:"ratio_low"`
	High      float64 `json:"ratio_high"`
}

// agree compares the jobs of some arms that came by their places in one of some ways, over all seeds.
func agree(seeds []outcome, rooms []play.Room, arms ...play.Arm) (a agreement) {
	sums := make([]float64, draws)
	for _, o := range seeds {
		for _, arm := range arms {
			for i, job := range o.arms[arm].ByJob {
				if !slices.Contains(rooms, job.Room) {
					continue
				}
				a.Jobs++
				a.Measured += job.Wait.Seconds()
				for draw, got := range o.simulated[arm] {
					sums[draw] += got.ByJob[i].Seconds()
				}
			}
		}
	}
	if a.Jobs == 0 || a.Measured == 0 {
		return a
	}
	for _, sum := range sums {
		a.Simulated += sum / draws
	}
	slices.Sort(sums)
	a.Ratio, a.Low, a.High = a.Simulated/a.Measured, sums[draws/20]/a.Measured, sums[draws-1-draws/20]/a.Measured
	a.Measured, a.Simulated = a.Measured/float64(a.Jobs), a.Simulated/float64(a.Jobs)
	return a
}

// order is that in which arms are shown, and rooms that of the ways to a place.
var (
	order = []play.Arm{play.Autoscaler, play.Constant, play.Forewarm}
	rooms = []play.Room{play.Free, play.Taken, play.Awaited}
)

// agreements are those of each arm, and of all together.
func agreements(seeds []outcome) map[play.Arm]agreement {
	all := map[play.Arm]agreement{"all": agree(seeds, rooms, order...)}
	for _, arm := range order {
		all[arm] = agree(seeds, rooms, arm)
	}
	return all
}

// comparison prints what was measured beside what the simulator says, pooled over all seeds.
func comparison(out io.Writer, seeds []outcome) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	write := func(format string, a ...any) { _, _ = fmt.Fprintf(w, format, a...) }
	write("\nmeasured | simulated, seeds: %d\tjobs\tmean wait\tof those that found room\ttook placeholders\twaited\tidle\ttakeovers\tmean wait simulated ÷ measured\t90 %% of draws\t\n", len(seeds))
	found := agreements(seeds)
	for _, arm := range order {
		a := found[arm]
		write("%s\t%d\t%.1f | %.1f s\t", arm, a.Jobs, a.Measured, a.Simulated)
		for _, room := range rooms {
			of := agree(seeds, []play.Room{room}, arm)
			write("%d: %.1f | %.1f s\t", of.Jobs, of.Measured, of.Simulated)
		}
		var idle [2]float64
		var takeovers [2]int
		for _, o := range seeds {
			idle[0], takeovers[0] = idle[0]+o.arms[arm].IdleGPUHours, takeovers[0]+o.arms[arm].Takeovers
			for _, got := range o.simulated[arm] {
				idle[1], takeovers[1] = idle[1]+got.IdleGPUHours()/draws, takeovers[1]+got.Takeovers
			}
		}
		write("%.1f | %.1f\t%d | %d\t%.2f\t%.2f..%.2f\t\n", idle[0], idle[1], takeovers[0], takeovers[1]/draws, a.Ratio, a.Low, a.High)
	}
	a := found["all"]
	write("all\t%d\t%.1f | %.1f s\t\t\t\t\t\t%.2f\t%.2f..%.2f\t\n", a.Jobs, a.Measured, a.Simulated, a.Ratio, a.Low, a.High)
	write("\ndelays given\tstart\ttakeover\task\tsettle\t\n")
	for _, o := range seeds {
		for _, arm := range order {
			d := o.delays[arm]
			write("seed %d, %s\t%.1f s\t%.1f s\t%.1f s\t%.1f s\t\n", o.settings.seed, arm, d.start.Seconds(), d.takeover.Seconds(), d.ask.Seconds(), d.settle.Seconds())
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, o := range seeds {
		for _, chunk := range slices.Sorted(maps.Keys(o.policies)) {
			both := o.policies[chunk]
			if _, err := fmt.Fprintf(out, "seed %d, policy of %s\n  reserver:  %s\n  simulator: %s\n", o.settings.seed, chunk, told(both[0]), told(both[1])); err != nil {
				return err
			}
		}
	}
	return nil
}

package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/policy"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/capacity/spec"
	"forewarm.dev/forecast"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
)

// TestForewarmIsSimulatedOnTheSameHour: history and pool are before it, the hour is the same.
func TestForewarmIsSimulatedOnTheSameHour(t *testing.T) {
	w := arrivals.Workload{Start: time.Date(2026, 11, 4, 6, 30, 0, 0, time.UTC), Window: time.Hour}
	for at := -6 * time.Hour; at < time.Hour; at += time.Minute {
		w.Jobs = append(w.Jobs, arrivals.Job{At: at, Run: 40 * time.Minute, GPUs: 1 + int(at/time.Minute+1000)%2*7})
	}
	c, err := forewarmed(w)
	if err != nil {
		t.Fatal(err)
	}
	if c.Trace.Start.Add(c.Score) != w.Start || c.Until-c.Score != w.Window || c.Limits.Chunks[1].PerNode != arrivals.NodeGPUs {
		t.Errorf("scored from %v for %v with %d single chunks per node", c.Trace.Start.Add(c.Score), c.Until-c.Score, c.Limits.Chunks[1].PerNode)
	}
	alone, err := simulate.Run(simulation(w))
	if err != nil {
		t.Fatal(err)
	}
	moved, err := simulate.Run(c.Options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alone, moved); diff != "" {
		t.Errorf("Karpenter alone, and on the hour that Forewarm gets:\n%s", diff)
	}
	ours, chosen := c.Forewarmed()
	got, err := simulate.Run(ours)
	if err != nil || len(got.Waits) != len(alone.Waits) || chosen.Total() == 0 || chosen[capacity.Forecast] == 0 && chosen[capacity.Static] == 0 && chosen[capacity.Reactive] == 0 {
		t.Errorf("%d waits with policies %v, %v; want %d", len(got.Waits), chosen, err, len(alone.Waits))
	}
}

// TestTheReserverOfTheDemoAndTheSimulatorChooseAlike: the pool of compressed time, on the history that is recorded for it
// and the first demand that it sees, and the simulator, for which no time is compressed. It takes six days of history:
// with four the first fit of the past knows less than two days, and Auto then tries a day by the clock, which compressed
// time has not got.
func TestTheReserverOfTheDemoAndTheSimulatorChooseAlike(t *testing.T) {
	const factor, days = 20, 6
	w := arrivals.Generate(1, 15*time.Minute)
	w.Jobs = slices.DeleteFunc(w.Jobs, func(job arrivals.Job) bool { return job.At < -days*24*time.Hour })
	pool := play.WarmPool(times(), factor)
	lead, _ := pool.Spec.Sizing.LeadTime.Fixed()
	chunks, err := spec.Chunks(pool)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := forewarmed(w)
	if err != nil {
		t.Fatal(err)
	}
	limits := spec.Limits(pool, chunks, lead, 100)
	for i, chunk := range chunks {
		values := play.History(w, times())[chunk.Name]
		values = append(values, ours.Foresights[i].Now[int(ours.From/times().Interval)])
		step := pool.Spec.Forecast.Interval.Duration
		reserver, err := chooser.New(true).Ask(chooser.Question{
			Key: chooser.Key{Pool: "uid", Chunk: chunk.Name},
			By: policy.Question{
				Chunk: limits.Chunks[i], Limits: limits, Kept: pool.Spec.Forecast.History.Duration,
				Seasons: []time.Duration{pool.Spec.Forecast.Seasons[0].Duration, pool.Spec.Forecast.Seasons[1].Duration},
			},
			History: func() forecast.Series { return forecast.Series{Start: w.Start, Step: step, Values: values} },
		}, w.Start)
		if err != nil || len(reserver.Tried) != 3 {
			t.Fatalf("chunk %s: %+v, %v", chunk.Name, reserver, err)
		}
		simulated, err := ours.First(i)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(reserver.Choice, simulated, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("chunk %s (-reserver +simulator):\n%s", chunk.Name, diff)
		}
	}
}

func TestHowLongAChoiceTookIsMeasured(t *testing.T) {
	row := func(chunk, reason string) v1alpha1.ChunkStatus {
		return v1alpha1.ChunkStatus{Name: chunk, Policy: &v1alpha1.PolicyStatus{Kind: "Forecast", Reason: reason}}
	}
	plans := []play.Planned{
		{At: -400 * time.Second, Chunks: []v1alpha1.ChunkStatus{row("node", ""), row("single", "")}},
		{At: -300 * time.Second, Chunks: []v1alpha1.ChunkStatus{row("node", "CheapestOnHistory"), row("single", "")}},
		{At: -240 * time.Second, Chunks: []v1alpha1.ChunkStatus{row("node", "CheapestOnHistory"), row("single", "NotEnoughCheaper")}},
	}
	chunks := []capacity.Chunk{{Name: "node"}, {Name: "single"}}
	if diff := cmp.Diff([]time.Duration{100 * time.Second, 160 * time.Second}, chosenAfter(plans, chunks)); diff != "" {
		t.Errorf("chosen after (-want +got):\n%s", diff)
	}
	if got := chosenAfter(plans[:2], chunks); got != nil {
		t.Errorf("one was never chosen, got %v", got)
	}
}

func TestDelaysAreThoseThatWereMeasured(t *testing.T) {
	after := func(d time.Duration) *time.Duration { return &d }
	arms := map[play.Arm]play.Measured{
		play.Autoscaler: {
			ByJob: []play.Met{
				{At: time.Minute, Wait: 2 * time.Second, Room: play.Free},
				{At: time.Minute, Wait: 4 * time.Second, Room: play.Free},
				{At: 110 * time.Second, Wait: 7 * time.Minute, Room: play.Awaited},
			},
			Nodes: []play.Node{
				{Came: after(-time.Hour)}, // of the jobs that ran already
				{Asked: after(2 * time.Minute), Came: after(9 * time.Minute), Ran: after(2*time.Minute + times().Boot + 12*time.Second)},
			},
		},
		play.Forewarm: {ByJob: []play.Met{{Wait: time.Second, Room: play.Free}, {Wait: 5 * time.Second, Room: play.Taken}, {Wait: 9 * time.Minute, Room: play.Awaited}}},
	}
	d := delaysOf(play.Forewarm, arms, 20)
	if want := (delays{start: time.Second, takeover: 5 * time.Second, ask: 10 * time.Second, settle: 12 * time.Second}); d != want {
		t.Errorf("delays %v, want %v", d, want)
	}
	got := delayed(simulation(arrivals.Workload{}), d).Pool
	if got.Start != time.Second || got.Takeover != 4*time.Second || got.Autoscaler.Batch != 10*time.Second || got.Lead.P50 != times().Boot+11*time.Second {
		t.Errorf("start %v, takeover %v, batch %v, lead %v", got.Start, got.Takeover, got.Autoscaler.Batch, got.Lead.P50)
	}
	arms[play.Autoscaler].Nodes[1].Asked = after(time.Hour) // for no job that is known
	if d := delaysOf(play.Autoscaler, arms, 20); d.start != 3*time.Second || d.ask != 7*time.Second {
		t.Errorf("start %v, asked after %v; want Karpenter's shortest batch and the start", d.start, d.ask)
	}
}

// met are jobs of a minute each that waited.
func met(seconds ...int) (jobs []play.Met) {
	for i, wait := range waits(seconds...) {
		jobs = append(jobs, play.Met{At: time.Duration(i) * time.Minute, Wait: wait, Room: play.Free})
	}
	return jobs
}

func TestSeedsArePooledByTheirJobs(t *testing.T) {
	var seeds []outcome
	for _, one := range []struct{ measured, simulated []int }{{[]int{30, 20, 10}, []int{24, 20, 10}}, {[]int{40}, []int{26}}} {
		o := outcome{arms: map[play.Arm]play.Measured{}, simulated: map[play.Arm][]simulate.Outcome{}}
		for _, arm := range order {
			o.arms[arm] = play.Measured{ByJob: met(one.measured...), Waits: waits(one.measured...)}
			for range draws {
				o.simulated[arm] = append(o.simulated[arm], simulate.Outcome{ByJob: waits(one.simulated...)})
			}
			o.simulated[arm][0] = simulate.Outcome{ByJob: make([]time.Duration, len(one.simulated))} // outside of 90 %
		}
		seeds = append(seeds, o)
	}
	want := agreement{Jobs: 4, Measured: 25, Simulated: 19.8, Ratio: 0.792, Low: 0.8, High: 0.8}
	if diff := cmp.Diff(want, agreements(seeds)[play.Forewarm], cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("pooled (-want +got):\n%s", diff)
	}
	var out bytes.Buffer
	if err := comparison(&out, seeds); err != nil || strings.Count(out.String(), "25.0 | 19.8 s ") != 7 || strings.Count(out.String(), " 0.79 ") != 4 {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

func TestWhatWasKeptIsReadAgain(t *testing.T) {
	s := settings{hours: 0.25, seed: 3, factor: 20}
	w, err := s.workload()
	if err != nil {
		t.Fatal(err)
	}
	o := outcome{settings: s, workload: w, placeholders: 9, arms: map[play.Arm]play.Measured{}}
	for _, arm := range order {
		o.arms[arm] = play.Measured{ByJob: met(make([]int, len(w.Between(0, w.Window)))...)}
	}
	path := filepath.Join(t.TempDir(), "measured.json")
	if err := keep(path, []outcome{o}); err != nil {
		t.Fatal(err)
	}
	back, err := again(path)
	if err != nil || len(back) != 1 || back[0].placeholders != 9 || back[0].settings != s {
		t.Fatalf("read %+v, %v", back, err)
	}
	if diff := cmp.Diff(w, back[0].workload); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(o.arms, back[0].arms); diff != "" {
		t.Error(diff)
	}
}

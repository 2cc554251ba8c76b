package simulate

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/policy"
	"forewarm.dev/forecast"
)

// rampedDays is a pool whose demand rises each morning, a little otherwise from day to day, on the last of some days.
func rampedDays(t *testing.T, days int) Case {
	t.Helper()
	const interval = 20 * time.Minute
	var jobs []Job
	for d := range days {
		for k := range 20 + 3*(d%4) {
			jobs = append(jobs, Job{At: time.Duration(d)*24*time.Hour + 6*time.Hour + time.Duration(k)*7*time.Minute, Run: 5 * time.Hour, GPUs: 1})
		}
	}
	length := time.Duration(days) * 24 * time.Hour
	limits := capacity.Limits{
		LeadTime: 35 * time.Minute, Hold: time.Hour, Interval: interval, MaxChanges: 1000,
		Chunks: []capacity.Chunk{{Name: "single", WaitCostPerHour: 60, IdleCostPerHour: 3, Max: 100}},
	}
	c := Case{
		Options: Options{
			Trace:  NewTrace(start, length, jobs),
			Pool:   Pool{NodeGPUs: 1, Chunks: []ChunkSize{{"single", 1}}, Autoscaler: Autoscaler{EmptyFor: 30 * time.Minute}},
			Limits: limits, From: length - 17*time.Hour - interval, Score: length - 17*time.Hour, Until: length - 12*time.Hour,
		},
		Chooses: Chooses{Kept: length - 24*time.Hour, Asks: true, Seasons: []time.Duration{24 * time.Hour}},
	}
	f, err := Foresee(c.Trace.Demand(c.Pool, interval)[0], ForesightOptions{
		Refit: time.Hour, Seasons: c.Chooses.Seasons, History: c.Chooses.Kept,
		First: c.index(c.From), Until: c.index(c.Until), Plans: []capacity.Limits{limits},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Foresights = []Foresight{f}
	return c
}

// TestTheReserverAndTheSimulatorChooseAlike: the same history through both leads to the same policy, for the same
// reasons, and to the same plan. How long the autoscaler keeps an empty node is known to neither.
func TestTheReserverAndTheSimulatorChooseAlike(t *testing.T) {
	c := rampedDays(t, 12)
	i := c.index(c.From)
	from := i - int(c.Chooses.Kept/c.Limits.Interval)
	whole := c.Foresights[0].Series
	known := forecast.Series{Start: whole.Start.Add(time.Duration(from) * whole.Step), Step: whole.Step, Values: whole.Values[from : i+1]}
	reserver, err := chooser.New(true).Ask(chooser.Question{
		Key:     chooser.Key{Pool: "uid", Chunk: "single"},
		By:      policy.Question{Chunk: c.Limits.Chunks[0], Limits: c.Limits, Kept: c.Chooses.Kept, Seasons: c.Chooses.Seasons},
		History: func() forecast.Series { return known },
	}, known.End())
	if err != nil || len(reserver.Tried) != 3 {
		t.Fatalf("the reserver: %+v, %v", reserver, err)
	}
	simulated, err := c.choose(0, i, capacity.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(reserver.Choice, simulated); diff != "" {
		t.Errorf("chosen (-reserver +simulator):\n%s", diff)
	}

	answer, err := forecast.Auto{}.Forecast(known, c.Chooses.Seasons, c.Limits.Horizon(), known.End())
	if err != nil {
		t.Fatal(err)
	}
	now, state := c.Foresights[0].Now[i], capacity.State{Chunks: make([]capacity.ChunkState, 1)}
	demand := capacity.Demand{Chunks: []capacity.ChunkDemand{{Now: now, Horizon: answer.Horizon, Paths: answer.Paths, Policy: reserver.Policy}}}
	ours, _ := c.Forewarmed()
	want := capacity.Plan(demand, state, c.Limits, known.End())
	if want.Chunks[0].Wanted == 0 {
		t.Error("nothing is wanted, which tells nothing")
	}
	expected, err := ours.Expect(c.From, []float64{now})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, capacity.Plan(expected, state, c.Limits, known.End())); diff != "" {
		t.Errorf("planned (-reserver +simulator):\n%s", diff)
	}
}

// TestTheForecastCanBeChosenFirst: where what was foreseen is taken from the Foresights, the first choice of a run has
// enough of it to compare the forecast with the others over all that is judged.
func TestTheForecastCanBeChosenFirst(t *testing.T) {
	c := rampedDays(t, 32)
	c.Chooses.Asks, c.Chooses.Kept, c.Backtest = false, 28*24*time.Hour, 14*24*time.Hour
	c.Score = c.From + 2*time.Hour
	f, err := Foresee(c.Trace.Demand(c.Pool, c.Limits.Interval)[0], ForesightOptions{
		Model: forecast.Combined{}, Refit: 24 * time.Hour, Seasons: c.Chooses.Seasons, History: c.Chooses.Kept,
		First: c.FirstForeseen(), Until: c.index(c.Until), Plans: []capacity.Limits{c.Limits},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Foresights = []Foresight{f}
	first, err := c.First(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []capacity.PolicyKind{capacity.Reactive, capacity.Static, capacity.Forecast} {
		if _, tried := first.Tried[kind]; !tried {
			t.Errorf("%s was not tried", kind)
		}
	}
}

// TestEachRunBeginsAnew: what was chosen and dropped in one run is not known to the next.
func TestEachRunBeginsAnew(t *testing.T) {
	c := rampedDays(t, 12)
	c.Chooses.Takes = []time.Duration{40 * time.Minute}
	for k := range c.Foresights[0].next { // bands that nothing is inside of
		c.Foresights[0].next[k] = [2]float64{-2, -1}
	}
	l := leader{Case: c, made: map[asked]policy.Choice{}}
	for range 2 {
		var kinds []capacity.PolicyKind
		for at := c.From; at < c.From+2*time.Hour; at += c.Limits.Interval {
			policies, err := l.policies(at)
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, policies[0].Kind)
		}
		want := []capacity.PolicyKind{"", "", capacity.Forecast, capacity.Static, capacity.Static, capacity.Static}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("policies (-want +got):\n%s", diff)
		}
	}
	if len(l.made) != 1 {
		t.Errorf("%d choices made, want the one of both runs", len(l.made))
	}
}

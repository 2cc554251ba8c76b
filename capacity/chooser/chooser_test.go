package chooser

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/policy"
	"forewarm.dev/forecast"
)

const (
	interval = 30 * time.Minute
	perDay   = 48
)

var monday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// question is about a chunk with a history of so many days, by a value per interval.
func question(days int, value func(i int) float64) Question {
	series := forecast.Series{Start: monday.AddDate(0, 0, -days), Step: interval}
	for i := range days * perDay {
		series.Values = append(series.Values, value(i))
	}
	chunk := capacity.Chunk{Name: "single", WaitCostPerHour: 600, IdleCostPerHour: 3, Max: 100}
	return Question{
		Key: Key{"uid", "single"},
		By: policy.Question{
			Chunk: chunk, Limits: capacity.Limits{Chunks: []capacity.Chunk{chunk}, LeadTime: interval, Hold: interval, Interval: interval},
			Kept: 28 * 24 * time.Hour, Seasons: []time.Duration{24 * time.Hour},
		},
		History: func() forecast.Series { return series },
	}
}

func ramp(i int) float64 {
	if i%perDay >= 16 && i%perDay < 32 {
		return 40
	}
	return 10
}

// foreseen is a forecast whose next demand is between 0 and 40.
func foreseen() forecast.Forecast {
	f := forecast.Forecast{}
	for i := range 41 {
		f.Paths = append(f.Paths, []float64{float64(i)})
	}
	return f
}

func TestThePolicyIsChosenOnceADay(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	level := 100.0
	walk := func(int) float64 { level = max(level+math.Round(5*random.NormFloat64()), 0); return level }
	for name, c := range map[string]struct {
		question Question
		want     capacity.PolicyKind
		reason   policy.Reason
	}{
		"a daily ramp":     {question(10, ramp), capacity.Forecast, policy.ReasonCheapest},
		"a walk":           {question(10, walk), capacity.Static, policy.ReasonCheapest},
		"nothing happens":  {question(10, func(int) float64 { return 7 }), capacity.Forecast, policy.ReasonKept},
		"three days known": {question(3, ramp), capacity.Forecast, policy.ReasonShort},
	} {
		asked := 0
		q, known := c.question, c.question.History
		q.History = func() forecast.Series { asked++; return known() }
		chooser := New(true)
		for at := monday; at.Before(monday.Add(25 * time.Hour)); at = at.Add(interval) {
			got, err := chooser.Ask(q, at)
			if err != nil || got.Policy.Kind != c.want || got.Reason != c.reason {
				t.Fatalf("%s: %+v, %v; want %s, %s", name, got, err, c.want, c.reason)
			}
		}
		if asked != 2 {
			t.Errorf("%s: chosen %d times in 25 hours, want 2", name, asked)
		}
	}
}

// TestMissesDropToStatic: three demands in a row outside of the band; the next day is free again.
func TestMissesDropToStatic(t *testing.T) {
	q := question(10, ramp)
	q.Forecast = foreseen()
	chooser := New(true)
	for i, demand := range []float64{0, 50, 50, 50} {
		q.Demand = demand
		got, err := chooser.Ask(q, monday.Add(time.Duration(i)*interval))
		want := capacity.Forecast
		if i == 3 {
			want = capacity.Static
		}
		if err != nil || got.Policy.Kind != want {
			t.Fatalf("after %d misses: %+v, %v; want %s", i, got, err, want)
		}
		if i == 3 && (got.Reason != policy.ReasonMissed || got.Policy.Headroom+got.Policy.Share == 0) {
			t.Errorf("dropped to %+v, want headroom because of the misses", got.Choice)
		}
	}
	q.Demand = 10
	if got, err := chooser.Ask(q, monday.Add(24*time.Hour)); err != nil || got.Policy.Kind != capacity.Forecast {
		t.Errorf("a day later: %+v, %v; want a new choice", got.Choice, err)
	}
}

// TestMissesDropYoungPools: with too little history to compare policies by, headroom is what demand rose by; at the
// next choice the forecast is tried again. A pool that has seen no window yet stays with it.
func TestMissesDropYoungPools(t *testing.T) {
	for name, c := range map[string]struct {
		days     int
		chosen   bool
		kind     capacity.PolicyKind
		reason   policy.Reason
		headroom float64
	}{
		"a day":                    {1, true, capacity.Static, policy.ReasonMissed, 30},
		"a day, nothing is chosen": {1, false, capacity.Static, policy.ReasonMissed, 30},
		"nothing":                  {0, true, capacity.Forecast, policy.ReasonShort, 0},
	} {
		q := question(c.days, ramp)
		q.Forecast = foreseen()
		chooser := New(c.chosen)
		if !c.chosen {
			chooser.turn <- struct{}{} // one of another pool is being made
		}
		var got Answer
		for i, demand := range []float64{0, 50, 50, 50} {
			var err error
			q.Demand = demand
			if got, err = chooser.Ask(q, monday.Add(time.Duration(i)*interval)); err != nil || i < 3 && got.Policy.Kind == capacity.Static {
				t.Fatalf("%s: after %d misses: %+v, %v", name, i, got, err)
			}
		}
		if got.Policy.Kind != c.kind || got.Reason != c.reason || got.Policy.Headroom != c.headroom {
			t.Errorf("%s: %+v, want %s, %s, headroom %v", name, got.Choice, c.kind, c.reason, c.headroom)
		}
		if !c.chosen {
			continue
		}
		q.Demand = 10
		if got, err := chooser.Ask(q, monday.Add(24*time.Hour)); err != nil || got.Policy.Kind != capacity.Forecast || got.Reason != policy.ReasonShort {
			t.Errorf("%s: a day later: %+v, %v; want the forecast again", name, got.Choice, err)
		}
	}
}

// TestANewLeaderGoesOn: what status remembers is in use, and is not chosen anew on the same day.
func TestANewLeaderGoesOn(t *testing.T) {
	q := question(10, ramp)
	static := capacity.Policy{Kind: capacity.Static, Headroom: 3}
	q.Known = Answer{Choice: policy.Choice{Policy: static, Reason: policy.ReasonMissed}, At: monday.Add(time.Hour)}
	q.History = func() forecast.Series { t.Error("chosen anew"); return forecast.Series{} }
	chooser := New(true)
	if got, err := chooser.Ask(q, monday.Add(2*time.Hour)); err != nil || got.Policy != static || got.Reason != policy.ReasonMissed {
		t.Errorf("%+v, %v; want what was known", got, err)
	}
	chooser.Keep([]types.UID{"another"})
	if len(chooser.chunks) != 0 {
		t.Error("a pool that is gone is remembered")
	}
}

// TestALoopIsNotHeldUp: what is in use stays until the choice has been made beside the caller.
func TestALoopIsNotHeldUp(t *testing.T) {
	q := question(10, ramp)
	chooser := New(false)
	deadline := time.After(time.Minute)
	got, err := chooser.Ask(q, monday)
	if err != nil || !got.At.IsZero() && got.Policy.Kind == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	for tick := time.NewTicker(time.Millisecond); got.At.IsZero(); {
		select {
		case <-deadline:
			t.Fatal("never chosen")
		case <-tick.C:
			got, err = chooser.Ask(q, monday)
		}
	}
	if err != nil || got.Policy.Kind != capacity.Forecast {
		t.Errorf("%+v, %v; want the forecast", got.Choice, err)
	}
}

package policy

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"forewarm.dev/capacity"
)

// terms are those of the worked example: one interval of 5 minutes is the lead time.
func terms() Terms { return Terms{WaitCost: 60.0 / 12, IdleCost: 3.0 / 12, Lead: 1, Hold: 2} }

const perHour = 12

// saw rises by ten every twelfth interval and falls back three later.
func saw(n int) []float64 {
	demand := make([]float64, n)
	for i := range demand {
		demand[i] = 5
		if i%12 >= 9 {
			demand[i] = 15
		}
	}
	return demand
}

// foreseen are the outlooks of one who is right, plus an error.
func foreseen(demand []float64, lead int, wrong float64) []capacity.Outlook {
	outlooks := make([]capacity.Outlook, len(demand))
	for i := range outlooks {
		peak := 0.0
		for j := i; j < min(i+lead+2, len(demand)); j++ {
			peak = max(peak, demand[j])
		}
		outlooks[i] = capacity.Outlook{Level: peak + wrong, Spread: 1}
	}
	return outlooks
}

func TestTheCheapestIsChosen(t *testing.T) {
	rises := saw(1000)
	flat := make([]float64, 1000)
	random := rand.New(rand.NewPCG(1, 1))
	walk := make([]float64, 1000)
	for i := range walk {
		walk[i] = max(math.Round(20+3*random.NormFloat64()), 0)
		flat[i] = 7
	}
	blind := make([]capacity.Outlook, 1000) // sees zero always, with a wide spread
	for i := range blind {
		blind[i] = capacity.Outlook{Level: 40 * random.Float64(), Spread: 10}
	}
	for name, c := range map[string]struct {
		history History
		inUse   capacity.Policy
		want    capacity.PolicyKind
		reason  Reason
	}{
		"a forecast that is right":            {History{Demand: rises, Outlooks: foreseen(rises, 1, 0)}, capacity.Policy{Kind: capacity.Static}, capacity.Forecast, ReasonCheapest},
		"one that is always three too low":    {History{Demand: rises, Outlooks: foreseen(rises, 1, -3)}, capacity.Policy{Kind: capacity.Static}, capacity.Forecast, ReasonCheapest},
		"noise, a forecast that sees nothing": {History{Demand: walk, Outlooks: blind}, capacity.Policy{Kind: capacity.Forecast}, capacity.Static, ReasonCheapest},
		"no forecast":                         {History{Demand: walk}, capacity.Policy{Kind: capacity.Forecast}, capacity.Static, ReasonCheapest},
		"demand that never changes":           {History{Demand: flat, Outlooks: foreseen(flat, 1, 0)}, capacity.Policy{Kind: capacity.Reactive}, capacity.Reactive, ReasonCheapest},
		"a tie keeps what is in use":          {History{Demand: flat, Outlooks: foreseen(flat, 1, 0)}, capacity.Policy{Kind: capacity.Forecast}, capacity.Forecast, ReasonKept},
		"too short":                           {History{Demand: walk[:20]}, capacity.Policy{Kind: capacity.Static, Headroom: 3}, capacity.Static, ReasonShort},
	} {
		got := Choose(c.history, terms(), 900, c.inUse, perHour)
		if got.Policy.Kind != c.want || got.Reason != c.reason {
			t.Errorf("%s: %s, %s; want %s, %s (%v)", name, got.Policy.Kind, got.Reason, c.want, c.reason, got.Tried)
		}
	}
	got := Choose(History{Demand: rises, Outlooks: foreseen(rises, 1, -3)}, terms(), 900, capacity.Policy{}, perHour)
	if got.Policy.Margin != 3 {
		t.Errorf("margin %v, want the 3 that the forecast is too low", got.Policy.Margin)
	}
}

// TestCostOfAPolicy is the worked example of docs/calculations.md.
func TestCostOfAPolicy(t *testing.T) {
	h := History{Demand: []float64{10, 10, 10, 12, 12}}
	for name, c := range map[string]struct {
		policy capacity.Policy
		want   float64
	}{
		"nothing ahead":  {capacity.Policy{Kind: capacity.Reactive}, 2 * 5.0 / 3},        // 2 chunks wait, of 3 intervals
		"headroom of 2":  {capacity.Policy{Kind: capacity.Static, Headroom: 2}, 0.5 / 3}, // 2 idle for 1 interval; asked for again, they are on their way
		"headroom of 1":  {capacity.Policy{Kind: capacity.Static, Headroom: 1}, (5 + 0.25) / 3},
		"a tenth of now": {capacity.Policy{Kind: capacity.Static, Share: 0.1}, (5 + 0.25) / 3},
	} {
		terms := Terms{WaitCost: 5, IdleCost: 0.25, Lead: 1, Hold: 2}
		if got := h.score(candidate{Policy: c.policy}, terms, h.blocks(terms, 3)).Cost; math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: %v per interval, want %v", name, got, c.want)
		}
	}
}

func TestHysteresis(t *testing.T) {
	demand := saw(1000)
	h := History{Demand: demand, Outlooks: foreseen(demand, 1, 0)}
	free := Choose(h, terms(), 900, capacity.Policy{Kind: capacity.Static}, perHour)
	// Errors that make the forecast almost as dear as static headroom do not make it change.
	right := foreseen(demand, 1, 0)
	for wrong := 0.0; wrong < 20; wrong += 0.25 {
		for i := range h.Outlooks {
			h.Outlooks[i].Level = right[i].Level
			if i%2 == 0 {
				h.Outlooks[i].Level += wrong
			}
		}
		got := Choose(h, terms(), 900, capacity.Policy{Kind: capacity.Static}, perHour)
		cheaper := 1 - got.Tried[capacity.Forecast].Cost/got.Tried[capacity.Static].Cost
		if changed := got.Policy.Kind == capacity.Forecast; changed != (cheaper >= enoughCheaper) {
			t.Fatalf("forecast cheaper by %.3f: changed %v (%+v)", cheaper, changed, got)
		}
		if cheaper < enoughCheaper {
			return
		}
	}
	t.Fatalf("the forecast never became dear: %+v", free)
}

// TestABoundIsJudgedByWhatCameAfter: no bound where demand rises beyond every one, and one where it comes
// back to where it has been.
func TestABoundIsJudgedByWhatCameAfter(t *testing.T) {
	const days, perDay = 28, 72
	random := rand.New(rand.NewPCG(1, 2))
	var level, grows []float64
	for i := range days * perDay {
		now := 10 + 10*math.Sin(2*math.Pi*float64(i)/perDay) + 3*random.Float64()
		level = append(level, math.Round(min(now, 20)))
		grows = append(grows, math.Round(now+float64(i)/20))
	}
	for name, c := range map[string]struct {
		demand []float64
		want   float64
	}{"comes back": {level, 20}, "grows": {grows, 0}} {
		got := Choose(History{Demand: c.demand}, terms(), len(c.demand)/2, capacity.Policy{}, perHour)
		if most := got.Tried[capacity.Static].Policy.Most; most != c.want {
			t.Errorf("%s: at most %v (%+v), want %v", name, most, got, c.want)
		}
		byHand := Choose(History{Demand: c.demand, ByHand: true}, terms(), len(c.demand)/2, capacity.Policy{}, perHour)
		if byHand.Tried[capacity.Static].Policy.Most != 0 || byHand.Tried[capacity.Static].Cost < got.Tried[capacity.Static].Cost {
			t.Errorf("%s: by hand %+v, want no bound and no less cost than %+v", name, byHand, got)
		}
	}
}

// TestNumbersStay: static headroom in use keeps its numbers until others are cheaper by a twentieth.
func TestNumbersStay(t *testing.T) {
	demand := saw(1000)
	for i := range demand {
		demand[i] *= 4 // rises of 40
	}
	for name, c := range map[string]struct{ inUse, want float64 }{
		"the best": {40, 40}, "hardly dearer": {41, 41}, "dearer": {44, 40}, "too little": {30, 40}, "none in use": {0, 40},
	} {
		got := Choose(History{Demand: demand, ByHand: true}, terms(), 900, capacity.Policy{Kind: capacity.Static, Headroom: c.inUse}, perHour)
		if got.Policy.Headroom != c.want {
			t.Errorf("%s: headroom of %v, want %v (%+v)", name, got.Policy.Headroom, c.want, got)
		}
	}
}

func TestThreeMissesDropToStatic(t *testing.T) {
	low, high := []float64{1, 1, 1, 1}, []float64{5, 5, 5, 5}
	for name, c := range map[string]struct {
		demand []float64
		want   bool
	}{
		"three above":          {[]float64{3, 6, 7, 8}, true},
		"above and below":      {[]float64{3, 6, 0, 8}, true},
		"the last one is good": {[]float64{6, 6, 6, 5}, false},
		"two":                  {[]float64{6, 2, 6, 6}, false},
	} {
		if got := Missed(c.demand, low, high); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	demand := saw(1000)
	choice := Choose(History{Demand: demand, Outlooks: foreseen(demand, 1, 0)}, terms(), 900, capacity.Policy{}, perHour)
	dropped := Question{}.Drop(choice, nil)
	if choice.Policy.Kind != capacity.Forecast || dropped.Policy.Kind != capacity.Static || dropped.Reason != ReasonMissed || dropped.Policy.Headroom+dropped.Policy.Share == 0 {
		t.Errorf("%+v, dropped %+v; want static headroom in place of the forecast", choice, dropped)
	}
}

func TestTermsOf(t *testing.T) {
	chunk := capacity.Chunk{WaitCostPerHour: 60, IdleCostPerHour: 3}
	got := TermsOf(chunk, capacity.Limits{LeadTime: 15 * time.Minute, Hold: 10 * time.Minute, MinBilling: time.Hour, Interval: 5 * time.Minute})
	if want := (Terms{WaitCost: 15, IdleCost: 0.25, Lead: 3, Hold: 12}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

package main

import (
	"math"
	"time"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/simulate"
)

// armResult is one arm of one trace and lead time.
type armResult struct {
	WaitP95   float64 `json:"wait_p95_s"`
	IdleShare float64 `json:"idle_share"`
	HitRate   float64 `json:"hit_rate"`
}

// traceResult is one trace at one lead time.
type traceResult struct {
	Name    string                      `json:"name"`
	LeadMin float64                     `json:"lead_min"`
	Arms    map[simulate.Arm]armResult  `json:"arms"`
	Best    map[simulate.Arm]*armResult `json:"hindsight_best"`
	// SameIdle is constant placeholders that idle as much as Forewarm did.
	SameIdle armResult `json:"placeholders_same_idle"`
	// Forecastable says that the backtest chose the forecast for most of the scored time.
	Forecastable bool `json:"forecastable"`
	Daily        bool `json:"daily"`
	// IdleVsStatic is Forewarm's idle over static headroom's at the same hit rates, IdleVsConstant
	// that over a constant pool's at 99 %; null where the frontiers do not meet.
	IdleVsStatic   *float64 `json:"idle_vs_static"`
	IdleVsConstant *float64 `json:"idle_vs_constant"`
}

// runner runs options and remembers the first failure.
type runner struct{ err error }

func (r *runner) run(o simulate.Options) simulate.Outcome {
	if r.err != nil {
		return simulate.Outcome{}
	}
	got, err := simulate.Run(o)
	r.err = err
	return got
}

func resultOf(o simulate.Outcome) armResult {
	return armResult{WaitP95: rounded(o.Wait(0.95).Seconds(), 1), IdleShare: rounded(o.IdleShare(), 4), HitRate: rounded(o.HitRate(), 4)}
}

func rounded(value float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(value*scale) / scale
}

// measure plays all arms of a trace at a lead time, at the costs that are the same for all, and
// the frontiers.
func measure(t trace, seen []simulate.Foresight, lead time.Duration) (traceResult, error) {
	c := newCase(t, seen, lead)
	r := &runner{}
	result := traceResult{Name: t.name, LeadMin: lead.Minutes(), Arms: map[simulate.Arm]armResult{}, Best: map[simulate.Arm]*armResult{}, Daily: daily(seen)}
	var got simulate.Outcome
	for _, arm := range simulate.Arms() {
		o, chosen := c.Of(arm)
		outcome := r.run(o)
		result.Arms[arm] = resultOf(outcome)
		if arm == simulate.Forewarm {
			got, result.Forecastable = outcome, chosen.Mostly(capacity.Forecast)
		}
	}
	result.SameIdle = sameIdle(r, c, got)

	var ownFrontier, staticFrontier, constantFrontier frontier
	for _, tau := range taus() {
		at := priced(c, tau)
		swept, _ := at.Forewarmed()
		ownFrontier.add(r.run(swept))
		staticFrontier.add(r.run(at.WithPolicies(at.Frozen())))
	}
	for _, safety := range safeties() {
		at := priced(c, taus()[len(taus())-1])
		at.Safety = safety
		swept, _ := at.Forewarmed()
		ownFrontier.add(r.run(swept))
		staticFrontier.add(r.run(at.WithPolicies(at.Frozen())))
	}
	for _, share := range []float64{0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1} {
		constantFrontier.add(r.run(c.Nodes(c.NodesFor(share))))
	}
	result.Best[simulate.StaticHeadroom] = staticFrontier.cheapest(c)
	result.Best[simulate.ConstantPool] = constantFrontier.cheapest(c)
	result.IdleVsStatic = ratio(ownFrontier, staticFrontier, []float64{0.8, 0.9, 0.95, 0.98, 0.99})
	result.IdleVsConstant = ratio(ownFrontier, constantFrontier, []float64{0.99})
	return result, r.err
}

// sameIdle is what constant placeholders reach that idle as much as an outcome does, interpolated
// between two numbers of them.
func sameIdle(r *runner, c simulate.Case, target simulate.Outcome) armResult {
	last := len(c.Pool.Chunks) - 1 // of the smallest chunk
	with := func(n int) simulate.Outcome {
		policies := make([]capacity.Policy, len(c.Pool.Chunks))
		for i := range policies {
			policies[i] = capacity.Policy{Kind: capacity.Reactive}
		}
		policies[last] = capacity.Policy{Kind: capacity.Static, Headroom: float64(n)}
		return r.run(c.WithPolicies(policies))
	}
	idle := target.IdleGPUHours()
	low, high := 0, 1
	below, above := with(low), with(high)
	for above.IdleGPUHours() < idle && high < noBound/2 && r.err == nil {
		low, high, below = high, 2*high, above
		above = with(high)
	}
	for high-low > 1 && r.err == nil {
		middle := (low + high) / 2
		if got := with(middle); got.IdleGPUHours() < idle {
			low, below = middle, got
		} else {
			high, above = middle, got
		}
	}
	return between(resultOf(below), resultOf(above), target.IdleShare())
}

// between interpolates two results at an idle share.
func between(a, b armResult, idle float64) armResult {
	if b.IdleShare <= a.IdleShare {
		return a
	}
	share := min(max((idle-a.IdleShare)/(b.IdleShare-a.IdleShare), 0), 1)
	mix := func(x, y float64, digits int) float64 { return rounded(x+(y-x)*share, digits) }
	return armResult{
		WaitP95: mix(a.WaitP95, b.WaitP95, 1), IdleShare: mix(a.IdleShare, b.IdleShare, 4), HitRate: mix(a.HitRate, b.HitRate, 4),
	}
}

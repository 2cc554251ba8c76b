// Package policy chooses, per chunk of a pool, the way to size it that would have been cheapest on
// the pool's own history: nothing ahead, static headroom, or the forecast. It is pure.
package policy

import (
	"math"
	"slices"

	"forewarm.dev/capacity"
)

// Reason says in one word why a policy was chosen.
type Reason string

// Reasons of a choice.
const (
	// ReasonCheapest says that it has been the cheapest.
	ReasonCheapest Reason = "CheapestOnHistory"
	// ReasonKept says that another one has been cheaper, but not by enough to change.
	ReasonKept Reason = "NotEnoughCheaper"
	// ReasonMissed says that the forecast missed too often in a row.
	ReasonMissed Reason = "ForecastMissed"
	// ReasonShort says that the history is too short to choose by.
	ReasonShort Reason = "ShortHistory"
)

// Choice is a policy, why it was chosen, and what each would have done.
type Choice struct {
	Policy capacity.Policy
	Reason Reason
	// Tried are the cheapest policies, by kind; a kind that could not be judged is missing.
	Tried map[capacity.PolicyKind]Tried
}

// Tried is a policy, and what it would have done on the history.
type Tried struct {
	Policy capacity.Policy
	Score
}

// Score is what a policy would have done.
type Score struct {
	// Cost is the mean cost per hour of idling and waiting.
	Cost float64
	// HitRate is the share of the demand that arrived which would have found capacity ready; one if
	// none arrived.
	HitRate float64
	// Idle is the mean number of chunks that would have idled.
	Idle float64
}

const (
	// enoughCheaper is by how much another kind must be cheaper to be changed to.
	enoughCheaper = 0.05
	// missesInARow are too many.
	missesInARow = 3
)

// Choose takes the cheapest policy over the last n intervals of the history. The kind in use
// stays unless another is cheaper by a twentieth; its numbers are fitted anew. perHour is how many
// intervals an hour has. A history shorter than a fourth of n leaves what is in use.
func Choose(h History, t Terms, n int, inUse capacity.Policy, perHour float64) Choice {
	if inUse.Kind == "" {
		inUse.Kind = capacity.Forecast
	}
	choice := Choice{Policy: inUse, Reason: ReasonShort, Tried: map[capacity.PolicyKind]Tried{}}
	if len(h.Demand) < max(n/4, t.Lead+t.Hold+2) {
		return choice
	}
	choice.judge(h, t, n, perHour)
	cheapest := choice.cheapest()
	choice.Policy, choice.Reason = choice.Tried[cheapest].Policy, ReasonCheapest
	if kept, ok := choice.Tried[inUse.Kind]; ok && cheapest != inUse.Kind && choice.Tried[cheapest].Cost >= (1-enoughCheaper)*kept.Cost {
		choice.Policy, choice.Reason = kept.Policy, ReasonKept
	}
	return choice
}

// judge replays all candidates.
func (c *Choice) judge(h History, t Terms, n int, perHour float64) {
	for _, p := range h.candidates(t, n) {
		score := h.score(p, t, n)
		score.Cost *= perHour
		if known, ok := c.Tried[p.Kind]; !ok || score.Cost < known.Cost {
			c.Tried[p.Kind] = Tried{p, score}
		}
	}
}

// cheapest is the kind that costs the least; a tie goes to the simpler.
func (c *Choice) cheapest() capacity.PolicyKind {
	cheapest := capacity.Reactive
	for _, kind := range []capacity.PolicyKind{capacity.Static, capacity.Forecast} {
		if tried, ok := c.Tried[kind]; ok && tried.Cost < c.Tried[cheapest].Cost {
			cheapest = kind
		}
	}
	return cheapest
}

// Dropped is the choice with static headroom in place of a forecast that has missed too often.
func (c Choice) Dropped() Choice {
	if static, ok := c.Tried[capacity.Static]; ok && c.Policy.Kind != capacity.Reactive {
		c.Policy, c.Reason = static.Policy, ReasonMissed
	}
	return c
}

// Missed says that the last three demands, latest last, all were outside of the 95 % bands that
// had been forecast for them.
func Missed(demand, low, high []float64) bool {
	n := len(demand)
	if n < missesInARow || len(low) != n || len(high) != n {
		return false
	}
	for i := n - missesInARow; i < n; i++ {
		if demand[i] >= low[i] && demand[i] <= high[i] {
			return false
		}
	}
	return true
}

// levels are the shares of past errors that a candidate covers.
func levels() []float64 {
	return []float64{0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 1}
}

// candidates are nothing ahead, headroom as the demand has risen within a window, in chunks and in
// shares, and the forecast corrected by what it has missed (split conformal: Vovk et al. 2005).
func (h History) candidates(t Terms, n int) []capacity.Policy {
	first := max(len(h.Demand)-n, 0)
	peaks := slices.Clone(h.Demand) // the highest demand within the window after each interval
	width := t.Lead + 1
	slices.Reverse(peaks)
	peaks = highest(len(peaks), width, func(i int) float64 { return peaks[i] })
	slices.Reverse(peaks)
	var rises, shares, errors []float64
	for i := first; i < len(h.Demand)-width; i++ {
		rises = append(rises, peaks[i]-h.Demand[i])
		shares = append(shares, (peaks[i]-h.Demand[i])/max(h.Demand[i], 1))
		if len(h.Outlooks) > 0 && !math.IsNaN(h.Outlooks[i].Level) {
			errors = append(errors, (peaks[i]-h.Outlooks[i].Level)/h.Outlooks[i].Spread)
		}
	}
	all := []capacity.Policy{{Kind: capacity.Reactive}}
	for _, rise := range at(rises, levels()) {
		all = append(all, capacity.Policy{Kind: capacity.Static, Headroom: math.Ceil(rise)})
	}
	for _, share := range at(shares, levels()) {
		all = append(all, capacity.Policy{Kind: capacity.Static, Share: share})
	}
	if len(errors) == len(rises) {
		for _, margin := range append(at(errors, levels()), 0) {
			all = append(all, capacity.Policy{Kind: capacity.Forecast, Margin: margin})
		}
	}
	return all
}

// at are quantiles of values, each once.
func at(values, levels []float64) []float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	var found []float64
	for _, level := range levels {
		found = append(found, values[max(int(math.Ceil(level*float64(len(values))))-1, 0)])
	}
	return slices.Compact(found)
}

// Best is the cheapest policy of a kind; nothing ahead if none could be judged.
func (c Choice) Best(kind capacity.PolicyKind) capacity.Policy {
	if best, ok := c.Tried[kind]; ok {
		return best.Policy
	}
	return capacity.Policy{Kind: capacity.Reactive}
}

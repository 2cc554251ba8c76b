// Package policy chooses, per chunk of a pool, the way to size it that would have been cheapest on
// the pool's own history: nothing ahead, static headroom, or the forecast. It is pure.
package policy

import "forewarm.dev/capacity"

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

// Choose takes the cheapest policy over the last n intervals of the history. What is in use stays
// unless something else is cheaper by a twentieth: its kind, and of static headroom its numbers too;
// those of a forecast are fitted anew. perHour is how many intervals an hour has. A history shorter
// than a fourth of n leaves what is in use.
func Choose(h History, t Terms, n int, inUse capacity.Policy, perHour float64) Choice {
	if inUse.Kind == "" {
		inUse.Kind = capacity.Forecast
	}
	choice := Choice{Policy: inUse, Reason: ReasonShort, Tried: map[capacity.PolicyKind]Tried{}}
	if n < 1 || len(h.Demand) < max(n/4, t.Lead+t.Hold+2) {
		return choice
	}
	choice.judge(h, t, n, perHour)
	if inUse.Kind == capacity.Static && inUse.Headroom+inUse.Share > 0 {
		choice.keep(h.tried(candidate{Policy: inUse}, t, h.blocks(t, n), perHour))
	}
	cheapest := choice.cheapest()
	choice.Policy, choice.Reason = choice.Tried[cheapest].Policy, ReasonCheapest
	if kept, ok := choice.Tried[inUse.Kind]; ok && cheapest != inUse.Kind && choice.Tried[cheapest].Cost >= (1-enoughCheaper)*kept.Cost {
		choice.Policy, choice.Reason = kept.Policy, ReasonKept
	}
	return choice
}

// judge replays all candidates.
func (c *Choice) judge(h History, t Terms, n int, perHour float64) {
	b := h.blocks(t, n)
	for _, one := range h.candidates(t, n, b) {
		tried := h.tried(one, t, b, perHour)
		if known, ok := c.Tried[one.Kind]; !ok || tried.Cost < known.Cost {
			c.Tried[one.Kind] = tried
		}
	}
}

// keep leaves static headroom as it is in use where other numbers are not cheaper by enough: a level
// that stays idles less than a higher and a lower one that take turns.
func (c *Choice) keep(inUse Tried) {
	if best, ok := c.Tried[capacity.Static]; ok && best.Cost >= (1-enoughCheaper)*inUse.Cost {
		c.Tried[capacity.Static] = inUse
	}
}

// tried is what a candidate would have done, and what it is from now on.
func (h History) tried(c candidate, t Terms, b blocks, perHour float64) Tried {
	score := h.score(c, t, b)
	score.Cost *= perHour
	return Tried{c.at(len(b.starts)), score}
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

// InUse is what the next choice begins with: the forecast again, where its misses put headroom in its place
// that nothing was compared with.
func (c Choice) InUse() capacity.Policy {
	if c.Reason == ReasonMissed && len(c.Tried) == 0 {
		return capacity.Policy{}
	}
	return c.Policy
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

// Best is the cheapest policy of a kind; nothing ahead if none could be judged.
func (c Choice) Best(kind capacity.PolicyKind) capacity.Policy {
	if best, ok := c.Tried[kind]; ok {
		return best.Policy
	}
	return capacity.Policy{Kind: capacity.Reactive}
}

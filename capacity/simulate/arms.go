package simulate

import (
	"math"
	"slices"
	"time"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/policy"
)

// Arm names who looks after the pool.
type Arm string

// The arms.
const (
	// Alone is the autoscaler alone.
	Alone Arm = "reactive"
	// ConstantPool keeps a number of nodes, whatever the demand.
	ConstantPool Arm = "constant"
	// StaticHeadroom keeps headroom above the demand of now.
	StaticHeadroom Arm = "static"
	// CraneFloor keeps at least what the same time of day has needed before, after Crane's
	// estimator by the highest value of past periods; beyond that the autoscaler is alone.
	CraneFloor Arm = "crane"
	// Forewarm plans as the reserver does.
	Forewarm Arm = "forewarm"
	// Perfect asks for each node exactly its lead time before it is needed.
	Perfect Arm = "oracle"
)

// Case is a trace on a pool, with what is foreseen of each chunk.
type Case struct {
	Options
	// Foresights are per chunk, with a step of the plan's interval.
	Foresights []Foresight
	// Backtest is how far back policies are compared.
	Backtest time.Duration
	// Safety, where above one, has all policies ask for so many times what they keep ahead: what
	// lies beyond all that the history has shown.
	Safety float64
}

// index is the interval that ends at or before a time.
func (c Case) index(at time.Duration) int { return int(at / c.Limits.Interval) }

// day is how often the policy is chosen.
const day = 24 * time.Hour

// terms are those of a chunk; the autoscaler keeps what has been asked for a while longer.
func (c Case) terms(chunk int) policy.Terms {
	limits := c.Limits
	limits.Hold = limits.HoldTime() + c.Pool.Autoscaler.EmptyFor
	return policy.TermsOf(limits.Chunks[chunk], limits)
}

// choose takes the policy of a chunk by the intervals of its history before one.
func (c Case) choose(chunk, until int, foresee bool, inUse capacity.Policy) policy.Choice {
	f, terms := c.Foresights[chunk], c.terms(chunk)
	n := max(min(int(c.Backtest/c.Limits.Interval), until-f.First), 0)
	from := max(until-2*n-terms.Lead-terms.Hold-2, 0) // as long again before, to know what was high then
	h := policy.History{Demand: f.Series.Values[from:until], ByHand: !foresee}
	if foresee {
		tau := capacity.Tau(c.Limits.Chunks[chunk], c.Limits.LeadTime, c.Limits.HoldTime())
		h.Outlooks = f.Outlooks(from, until, c.Limits.Window(), tau)
	}
	return policy.Choose(h, terms, n, inUse, float64(time.Hour)/float64(c.Limits.Interval))
}

// Frozen are the policies of static headroom that were best before the scored time.
func (c Case) Frozen() []capacity.Policy {
	policies := make([]capacity.Policy, len(c.Foresights))
	for chunk := range policies {
		choice := c.choose(chunk, c.index(c.Score)+1, false, capacity.Policy{Kind: capacity.Static})
		policies[chunk] = choice.Best(capacity.Static)
	}
	return policies
}

// WithPolicies expects by policies that stay.
func (c Case) WithPolicies(policies []capacity.Policy) Options {
	o := c.Options
	o.Expect = func(at time.Duration, now []float64) capacity.Demand {
		var demand capacity.Demand
		for chunk, p := range policies {
			p = c.safe(p)
			expected := capacity.ChunkDemand{Now: now[chunk], Policy: p}
			if p.Kind == capacity.Forecast || p.Kind == "" {
				expected = c.Foresights[chunk].Demand(c.index(at), c.Limits.Window(), now[chunk])
				expected.Policy = p
			}
			demand.Chunks = append(demand.Chunks, expected)
		}
		return demand
	}
	return o
}

// safe stretches a policy. A margin grows by a spread at least.
func (c Case) safe(p capacity.Policy) capacity.Policy {
	if c.Safety > 1 {
		p.Headroom, p.Share = c.Safety*p.Headroom, c.Safety*p.Share
		p.Margin += (c.Safety - 1) * max(p.Margin, 1)
		p.Most *= (1 + c.Safety) / 2
	}
	return p
}

// Chosen counts how long each kind of policy was in use, in intervals of chunks.
type Chosen map[capacity.PolicyKind]int

// Total is all of it.
func (c Chosen) Total() int {
	all := 0
	for _, n := range c {
		all += n
	}
	return all
}

// Mostly says that a kind was in use for most of the scored time.
func (c Chosen) Mostly(kind capacity.PolicyKind) bool { return 2*c[kind] > c.Total() }

// Forewarmed plans as the reserver does: the policy of each chunk is chosen daily, on the history
// until then, and dropped to static headroom when the forecast has missed three times in a row.
// The count is of the scored time, and complete once the run is.
func (c Case) Forewarmed() (Options, Chosen) {
	chosen := Chosen{}
	choices := make([]policy.Choice, len(c.Foresights))
	chosenOn := time.Duration(-1)
	o := c.Options
	o.Expect = func(at time.Duration, now []float64) capacity.Demand {
		if today := at / day; today != chosenOn {
			chosenOn = today
			for chunk := range choices {
				choices[chunk] = c.choose(chunk, c.index(at)+1, true, choices[chunk].Policy)
			}
		}
		policies := make([]capacity.Policy, len(choices))
		for chunk := range choices {
			if choices[chunk].Policy.Kind == capacity.Forecast && c.missed(chunk, c.index(at)) {
				choices[chunk] = choices[chunk].Dropped()
			}
			policies[chunk] = choices[chunk].Policy
			if c.scored(at) {
				chosen[policies[chunk].Kind]++
			}
		}
		return c.WithPolicies(policies).Expect(at, now)
	}
	return o, chosen
}

func (o Options) scored(at time.Duration) bool { return at >= o.Score && at < o.Until }

// missed compares the last demands with the bands forecast for them an interval before.
func (c Case) missed(chunk, i int) bool {
	f := c.Foresights[chunk]
	const looked = 3
	var demand, low, high []float64
	for j := i - looked + 1; j <= i; j++ {
		if k := j - 1 - f.First; k >= 0 && k < len(f.next) {
			demand, low, high = append(demand, f.value(j)), append(low, f.next[k][0]), append(high, f.next[k][1])
		}
	}
	return policy.Missed(demand, low, high)
}

// Floor is Crane's: the highest of the window at the same time of up to seven days before.
func (c Case) Floor() Options {
	o := c.Options
	perDay := int(day / c.Limits.Interval)
	width := int(math.Ceil(float64(c.Limits.Window()) / float64(c.Limits.Interval)))
	o.Expect = func(at time.Duration, now []float64) capacity.Demand {
		var demand capacity.Demand
		i := c.index(at)
		for chunk, f := range c.Foresights {
			floor := 0.0
			for back := 1; back <= 7 && i-back*perDay >= 0; back++ {
				for k := range width + 1 {
					if j := i - back*perDay + k; j < i {
						floor = max(floor, f.value(j))
					}
				}
			}
			headroom := max(floor-now[chunk], 0)
			demand.Chunks = append(demand.Chunks, capacity.ChunkDemand{Now: now[chunk], Policy: capacity.Policy{Kind: capacity.Static, Headroom: headroom}})
		}
		return demand
	}
	return o
}

// constantGoal is the share of the time that a constant pool is made for.
const constantGoal = 0.99

// Of is the run of an arm. What it counts of Forewarm is complete once the run is.
func (c Case) Of(arm Arm) (Options, Chosen) {
	switch arm {
	case ConstantPool:
		return c.Nodes(c.NodesFor(constantGoal)), nil
	case StaticHeadroom:
		return c.WithPolicies(c.Frozen()), nil
	case CraneFloor:
		return c.Floor(), nil
	case Forewarm:
		return c.Forewarmed()
	case Perfect:
		return Oracle(c.Options), nil
	default:
		return c.Options, nil
	}
}

// Arms are all of them, in the order in which they are shown.
func Arms() []Arm {
	return []Arm{Alone, ConstantPool, StaticHeadroom, CraneFloor, Forewarm, Perfect}
}

// NodesFor is how many nodes a constant pool has that covered the demand for a share of the time
// before the scored one.
func (c Case) NodesFor(share float64) int {
	until := min(c.index(c.Score)+1, len(c.Foresights[0].Series.Values))
	total := make([]float64, until)
	for chunk, f := range c.Foresights {
		for i := range total {
			total[i] += f.Series.Values[i] * float64(c.Pool.Chunks[chunk].GPUs)
		}
	}
	total = total[max(0, until-2*c.index(c.Backtest)):]
	slices.Sort(total)
	need := total[min(max(int(math.Ceil(share*float64(len(total))))-1, 0), len(total)-1)]
	return int(math.Ceil(need / float64(c.Pool.NodeGPUs)))
}

// Nodes is the constant pool.
func (c Case) Nodes(n int) Options {
	o := c.Options
	o.Pool.MinNodes = n
	return o
}

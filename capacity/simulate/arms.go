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
	// Backtest is how far back headroom that is set by hand, and a constant pool, look.
	Backtest time.Duration
	// Chooses is how Forewarm's policies are chosen.
	Chooses Chooses
	// Safety, where above one, has all policies ask for so many times what they keep ahead: what
	// lies beyond all that the history has shown.
	Safety float64
}

// index is the interval that ends at or before a time.
func (c Case) index(at time.Duration) int { return int(at / c.Limits.Interval) }

// day is that of demand.
const day = 24 * time.Hour

// byHand is what an admin sets, who knows that the autoscaler keeps what has been asked for a while longer.
func (c Case) byHand(chunk, until int) policy.Choice {
	f, limits := c.Foresights[chunk], c.Limits
	limits.Hold = limits.HoldTime() + c.Pool.Autoscaler.EmptyFor
	terms := policy.TermsOf(limits.Chunks[chunk], limits)
	n := max(min(int(c.Backtest/limits.Interval), until-f.First), 0)
	from := max(until-2*n-terms.Lead-terms.Hold-2, 0) // as long again before, to know what was high then
	h := policy.History{Demand: f.Series.Values[from:until], ByHand: true}
	return policy.Choose(h, terms, n, capacity.Policy{Kind: capacity.Static}, float64(time.Hour)/float64(limits.Interval))
}

// Frozen are the policies of static headroom that were best before the scored time.
func (c Case) Frozen() []capacity.Policy {
	policies := make([]capacity.Policy, len(c.Foresights))
	for chunk := range policies {
		policies[chunk] = c.byHand(chunk, c.index(c.Score)+1).Best(capacity.Static)
	}
	return policies
}

// WithPolicies expects by policies that stay.
func (c Case) WithPolicies(policies []capacity.Policy) Options {
	o := c.Options
	o.Expect = func(at time.Duration, now []float64) (capacity.Demand, error) {
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
		return demand, nil
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

// Floor is Crane's: the highest of the window at the same time of up to seven days before.
func (c Case) Floor() Options {
	o := c.Options
	perDay := int(day / c.Limits.Interval)
	width := int(math.Ceil(float64(c.Limits.Window()) / float64(c.Limits.Interval)))
	o.Expect = func(at time.Duration, now []float64) (capacity.Demand, error) {
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
		return demand, nil
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

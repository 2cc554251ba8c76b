package simulate

import (
	"cmp"
	"slices"
	"time"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/policy"
	"forewarm.dev/forecast"
)

// Chooses is how Forewarm's policies are chosen.
type Chooses struct {
	// Kept is how much history there is to choose by.
	Kept time.Duration
	// History is what was recorded of each chunk before the first plan, to the step; nil for the trace's own.
	History [][]float64
	// Asks has the past asked about for each choice, with these seasons, as the reserver does, which takes seconds.
	// Else what the Foresights say of it is taken: that is made once for all lead times and costs.
	Asks    bool
	Seasons []time.Duration
	// Takes is how long a choice takes, per chunk; until the first is made the forecast counts as it is. Nil is no time.
	Takes []time.Duration
}

// question is what the policy of a chunk is chosen by, and its history until an interval: what is kept, and the last.
func (c Case) question(chunk, i int) (policy.Question, forecast.Series) {
	f, step := c.Foresights[chunk], c.Limits.Interval
	from := max(i-int(c.Chooses.Kept/step), 0)
	values := f.Series.Values[from : i+1 : i+1]
	if first := c.index(c.From); c.Chooses.History != nil {
		values = slices.Concat(c.Chooses.History[chunk], f.Now[first:first+1], f.Series.Values[first+1:i+1])
		values = values[max(len(values)-1-int(c.Chooses.Kept/step), 0):]
	}
	q := policy.Question{Chunk: c.Limits.Chunks[chunk], Limits: c.Limits, Kept: c.Chooses.Kept, Seasons: c.Chooses.Seasons}
	if !c.Chooses.Asks {
		q.Seen = f.Outlooks(from, i+1, c.Limits.Window(), q.Tau())
	}
	return q, forecast.Series{Start: f.Series.Start.Add(time.Duration(i+1-len(values)) * step), Step: step, Values: values}
}

// FirstForeseen is the first interval of which the Foresights have to say what was foreseen, so that the first choice
// of a run can compare as far back as Backtest.
func (c Case) FirstForeseen() int { return max(c.index(c.From-c.Backtest), 0) }

// First is the first choice of a chunk in a run, whenever it is made. It fails where a model does.
func (c Case) First(chunk int) (policy.Choice, error) {
	return c.choose(chunk, c.index(c.From+c.Begins), capacity.Policy{})
}

// choose takes the policy of a chunk by its history until an interval, as the reserver does.
func (c Case) choose(chunk, i int, inUse capacity.Policy) (policy.Choice, error) {
	q, known := c.question(chunk, i)
	return q.Choose(known, inUse)
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
// The count is of the scored time, and complete once the run is. The options can be run more than once.
func (c Case) Forewarmed() (Options, Chosen) {
	chosen, l := Chosen{}, leader{Case: c, made: map[asked]policy.Choice{}}
	o := c.Options
	o.Expect = func(at time.Duration, now []float64) (capacity.Demand, error) {
		policies, err := l.policies(at)
		if err != nil {
			return capacity.Demand{}, err
		}
		for _, p := range policies {
			if c.scored(at) {
				chosen[cmp.Or(p.Kind, capacity.Forecast)]++
			}
		}
		return c.WithPolicies(policies).Expect(at, now)
	}
	return o, chosen
}

// asked is what a choice depends on, within one case.
type asked struct {
	chunk, at int
	inUse     capacity.Policy
}

// leader keeps the policies of a run.
type leader struct {
	Case
	choices []policy.Choice
	begun   []time.Duration // when a choice began that is not made yet; never for none
	last    time.Duration   // when it was asked last
	made    map[asked]policy.Choice
}

// policies are those in use at a time, which is later than the last, or in another run.
func (l *leader) policies(at time.Duration) ([]capacity.Policy, error) {
	every := policy.Question{Limits: l.Limits, Kept: l.Chooses.Kept}.Day()
	first := l.choices == nil || at <= l.last
	if first {
		l.choices, l.begun = make([]policy.Choice, len(l.Foresights)), make([]time.Duration, len(l.Foresights))
	}
	policies := make([]capacity.Policy, len(l.choices))
	for chunk := range l.choices {
		if first || at/every != l.last/every {
			l.begun[chunk] = at
		}
		if err := l.takeIn(chunk, at); err != nil {
			return nil, err
		}
		if choice := l.choices[chunk]; choice.Policy.Kind == capacity.Forecast && l.missed(chunk, l.index(at)) {
			q, known := l.question(chunk, l.index(at))
			l.choices[chunk] = q.Drop(choice, func() forecast.Series { return known })
		}
		policies[chunk] = l.choices[chunk].Policy
	}
	l.last = at
	return policies, nil
}

// takeIn puts the choice of a chunk into use once it is made. The same is not made twice, in another run neither.
func (l *leader) takeIn(chunk int, at time.Duration) error {
	takes := time.Duration(0)
	if l.Chooses.Takes != nil {
		takes = l.Chooses.Takes[chunk]
	}
	if l.begun[chunk] == never || at < l.begun[chunk]+takes {
		return nil
	}
	question := asked{chunk, l.index(l.begun[chunk]), l.choices[chunk].InUse()}
	choice, known := l.made[question]
	if !known {
		var err error
		if choice, err = l.choose(chunk, question.at, question.inUse); err != nil {
			return err
		}
		l.made[question] = choice
	}
	l.choices[chunk], l.begun[chunk] = choice, never
	return nil
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

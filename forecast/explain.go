package forecast

import (
	"cmp"
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast/member"
)

// Share is a part of a whole, by name.
type Share struct {
	Name  string
	Share float64
}

// Explanation says what a forecast for the end of its horizon is made of.
type Explanation struct {
	// Seasons are the lengths after which demand repeats itself, shortest first: those given that
	// the history holds two of, or those found in it.
	Seasons []time.Duration
	// Members are the forecasters that are mixed, the largest share first; together one.
	Members []Share
	// Features are what moves the regression with the largest share away from the level of the
	// last season, now: each as a share of all movements, negative where it lowers demand, the
	// strongest first. Empty if no regression is mixed.
	Features []Share
}

// Explain says what the forecast from the values known now is made of. Of a history too short to
// mix for it is empty.
func (f *Fitted) Explain() Explanation {
	m := f.mixture
	if m == nil {
		return Explanation{}
	}
	steps := m.marks[len(m.marks)-1]
	part := member.PartOf(m.edges, steps)
	var e Explanation
	for _, season := range m.repeats {
		e.Seasons = append(e.Seasons, time.Duration(season*float64(f.step)).Round(time.Second))
	}
	if m.compounds[part] != nil {
		e.Members = []Share{{"intermittent", 1}}
		return e
	}
	for c, share := range m.shares[part] {
		if share > 0 {
			e.Members = append(e.Members, Share{m.set.Members[c].Name, share})
		}
	}
	strongestFirst(e.Members)
	for _, one := range e.Members {
		if effects := m.set.Effects(one.Name, steps); effects != nil {
			for _, effect := range effects {
				e.Features = append(e.Features, Share(effect))
			}
			break
		}
	}
	strongestFirst(e.Features)
	return e
}

func strongestFirst(shares []Share) {
	slices.SortStableFunc(shares, func(a, b Share) int { return cmp.Compare(math.Abs(b.Share), math.Abs(a.Share)) })
}

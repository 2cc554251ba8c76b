package forecast

import (
	"cmp"
	"math"
	"slices"
	"time"
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
	part := partOf(m.edges, steps)
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
			e.Members = append(e.Members, Share{m.members[c].name, share})
		}
	}
	strongestFirst(e.Members)
	for _, member := range e.Members {
		if r := m.ridges[member.Name]; r != nil {
			e.Features = r.effects(len(m.values)-1, steps)
			break
		}
	}
	return e
}

// effects are the features by how much they move a forecast, as shares of all movements. Those
// of one name are added up.
func (r *ridge) effects(origin, steps int) []Share {
	p := partOf(r.edges, steps)
	w := r.weights[p][min(r.features.fold(origin), len(r.weights[p])-1)]
	r.features.fill(&r.row, origin, steps, r.share(p, steps))
	var effects []Share
	for i, name := range r.features.names {
		effect := w[i] * r.row.x[i]
		k := slices.IndexFunc(effects, func(s Share) bool { return s.Name == name })
		if k < 0 {
			effects = append(effects, Share{Name: name})
			k = len(effects) - 1
		}
		effects[k].Share += effect
	}
	total := 0.0
	for _, s := range effects {
		total += math.Abs(s.Share)
	}
	for i := range effects {
		effects[i].Share /= max(total, tiny)
	}
	strongestFirst(effects)
	return slices.DeleteFunc(effects, func(s Share) bool { return s.Share == 0 })
}

func strongestFirst(shares []Share) {
	slices.SortStableFunc(shares, func(a, b Share) int { return cmp.Compare(math.Abs(b.Share), math.Abs(a.Share)) })
}

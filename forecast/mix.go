package forecast

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

const (
	// sharePower turns a ratio of losses into a ratio of shares: the best rule.
	sharePower = 8
	// leastShare is the smallest share that is kept.
	leastShare = 0.05
)

// weigh gives each member its share of a part of the horizon: first (best loss ÷ loss) to the
// power of sharePower, where the loss is the mean absolute error over the earlier origins; then
// nearer to what would have erred least together.
func (m *mixture) weigh(in marksIn) []float64 {
	losses, ok := m.losses(in)
	shares := make([]float64, len(losses))
	best := floats.Min(losses) + tiny
	for c, loss := range losses {
		if m.useful(in.part, c, ok) {
			shares[c] = math.Pow(best/(loss+tiny), sharePower)
		}
	}
	dropSmall(shares)
	if ok && !m.isFar(in.part) {
		m.stack(in, shares)
	}
	return shares
}

// dropSmall drops what is below leastShare, and makes the others add up to one. Of very many that are
// alike none is dropped.
func dropSmall(shares []float64) {
	least := min(leastShare*floats.Sum(shares), floats.Max(shares))
	for c, share := range shares {
		if share < least {
			shares[c] = 0
		}
	}
	floats.Scale(1/floats.Sum(shares), shares)
}

// tiny keeps a loss of zero from dividing by zero.
const tiny = 1e-9

// useful says that a member may be mixed. Where no outcome is known yet, as of a day ahead on
// the second day, what repeats a season is taken on trust, or all if nothing does.
func (m *mixture) useful(part, c int, judged bool) bool {
	far := m.isFar(part)
	if far && !m.set.Members[c].Far || !far && !m.set.Members[c].Near {
		return false
	}
	return judged || len(m.repeated()) == 0 || m.set.Members[c].First > m.Span
}

// losses are the members' mean absolute errors: over the origins alike, and over all. It
// says whether there was any to judge by.
func (m *mixture) losses(in marksIn) ([]float64, bool) {
	how := m.manner(in.part)
	alike, all := make([]float64, len(m.set.Members)), make([]float64, len(m.set.Members))
	alikeWeight, allWeight := 0.0, 0.0
	for j, steps := range m.marks[in.from:in.to] {
		for i, p := range m.pasts {
			if !m.known(i, steps) {
				continue
			}
			like, age := m.likeness[in.part][i], how.age(p)
			alikeWeight += like
			allWeight += age
			for c := range m.set.Members {
				loss := math.Abs(m.Values[p.index+steps] - float64(in.of(m, c, i)[j]))
				alike[c] += like * loss
				all[c] += age * loss
			}
		}
	}
	if alikeWeight == 0 || allWeight == 0 {
		return make([]float64, len(m.set.Members)), false
	}
	floats.Scale(1/alikeWeight, alike)
	floats.AddScaled(alike, how.everywhere/allWeight, all)
	return alike, true
}

// mixed is the weighted forecast, given what each member says.
func (m *mixture) mixed(part int, says func(member int) float64) float64 {
	sum := 0.0
	for c, share := range m.shares[part] {
		if share > 0 {
			sum += share * says(c)
		}
	}
	return sum
}

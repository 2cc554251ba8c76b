package forecast

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"

	"forewarm.dev/forecast/member"
)

// band is how the mixture errs at one mark.
type band struct {
	// errors are those at each earlier origin, in units of spread; NaN where none is known.
	errors []float64
	// curve is mostPaths equally likely errors, increasing.
	curve []float64
}

// spread is the unit of errors: the square root of the level, as of a count.
func (m *mixture) spread(point float64) float64 {
	return math.Sqrt(max(point, 0) + member.OffsetOfMean*m.Mean(0, m.N-1) + tiny)
}

// fewErrors is how many errors are too few to tell how a mark errs.
const fewErrors = fewOrigins / 2

// fillBand looks at the errors at a mark. One whose outcome was seen hardly ever, as a day ahead on
// the third day, errs like the mark before it, by a factor of the square root of time more.
func (m *mixture) fillBand(in marksIn, j int) {
	steps, b := m.marks[j], m.bands[j]
	likeness, order, total, squares := m.likeness[in.part], in.order[:0], 0.0, 0.0
	apart := blocks{length: steps}
	for i, p := range m.pasts {
		b.errors[i] = math.NaN()
		if m.known(i, steps) {
			point := m.mixed(in.part, func(c int) float64 { return float64(in.of(m, c, i)[j-in.from]) })
			b.errors[i] = (m.Values[p.index+steps] - point) / m.spread(point) / math.Pow(p.unrest, m.powers[in.part])
			order = append(order, i)
			total += likeness[i]
			squares += likeness[i] * likeness[i]
			apart.add(len(m.Values)-1-p.index, likeness[i])
		}
	}
	if len(order) == 0 || len(order) < fewErrors && j > 0 {
		if j > 0 {
			copy(b.errors, m.bands[j-1].errors)
			floats.ScaleTo(b.curve, math.Sqrt(float64(steps)/float64(m.marks[j-1])), m.bands[j-1].curve)
		}
		return
	}
	// The error that is to come may be larger than all that were seen: it takes half of its
	// weight in each tail (weighted split-conformal), a weight as that of those seen.
	unseen := squares / total
	slices.SortFunc(order, func(x, y int) int { return cmp.Or(cmp.Compare(b.errors[x], b.errors[y]), cmp.Compare(x, y)) })
	at, reached := 0, likeness[order[0]]
	for k := range b.curve {
		for target := (float64(k)+0.5)/mostPaths*(total+unseen) - unseen/2; reached < target && at < len(order)-1; {
			at++
			reached += likeness[order[at]]
		}
		b.curve[k] = b.errors[order[at]]
	}
	middle, freedom := middleOf(b.curve), apart.freedom()
	for k, deviations := range m.deviations {
		b.curve[k] = middle + (b.curve[k]-middle)*tWider(deviations, freedom)
	}
}

// picks draws earlier origins in proportion to their likeness, evenly spaced from a random
// start, among those that the most marks of are known.
func (m *mixture) picks() []int {
	var whole []int
	for j := len(m.marks) - 1; j >= 0 && len(whole) < fewErrors; j-- {
		whole = whole[:0]
		for i, p := range m.pasts {
			if p.index+m.marks[j] < m.N {
				whole = append(whole, i)
			}
		}
	}
	likeness, total := m.likeness[0], 0.0
	for _, i := range whole {
		total += likeness[i]
	}
	start := rand.New(rand.NewPCG(m.seed, 0)).Float64()
	picks := make([]int, mostPaths)
	at, reached := 0, likeness[whole[0]]
	for k := range picks {
		for target := (float64(k) + start) / mostPaths * total; reached < target && at < len(whole)-1; {
			at++
			reached += likeness[whole[at]]
		}
		picks[k] = whole[at]
	}
	return picks
}

// ranks gives each path its place in the curve of each mark. From mark to mark a path keeps
// the order that the errors of single origins had, so that what moves together does so in a
// path.
func (m *mixture) ranks() [][]uint8 {
	picks := m.picks()
	order, ranks := make([]int, len(picks)), make([][]uint8, len(m.bands))
	for j, b := range m.bands {
		for k := range order {
			order[k] = k
		}
		slices.SortFunc(order, func(x, y int) int {
			return cmp.Or(cmp.Compare(b.errors[picks[x]], b.errors[picks[y]]), cmp.Compare(x, y))
		})
		ranks[j] = make([]uint8, len(picks))
		for rank, k := range order {
			ranks[j][k] = uint8(rank)
		}
	}
	return ranks
}

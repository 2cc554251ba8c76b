package forecast

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
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
	return math.Sqrt(max(point, 0) + offsetOfMean*m.mean(0, len(m.values)-1) + tiny)
}

// bands are those of all marks. A mark whose outcome was never seen, as a day ahead on the
// second day, errs like the one before it, by a factor of the square root of time more.
func (m *mixture) bands() []band {
	bands := make([]band, len(m.marks))
	for j, steps := range m.marks {
		bands[j] = m.band(j, steps)
		if bands[j].curve != nil {
			continue
		}
		bands[j].curve = make([]float64, mostPaths)
		if j > 0 {
			bands[j].errors = bands[j-1].errors
			grown := math.Sqrt(float64(steps) / float64(m.marks[j-1]))
			for k, err := range bands[j-1].curve {
				bands[j].curve[k] = err * grown
			}
		}
	}
	return bands
}

func (m *mixture) band(j, steps int) band {
	part := partOf(m.edges, steps)
	b := band{errors: make([]float64, len(m.pasts))}
	var order []int
	total := 0.0
	for i, p := range m.pasts {
		b.errors[i] = math.NaN()
		if m.known(i, steps) {
			point := m.mixed(part, func(c int) float64 { return m.points[c][i*len(m.marks)+j] })
			b.errors[i] = (m.values[p.index+steps] - point) / m.spread(point)
			order = append(order, i)
			total += m.likeness[part][i]
		}
	}
	if len(order) == 0 {
		return b
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Or(cmp.Compare(b.errors[x], b.errors[y]), cmp.Compare(x, y)) })
	b.curve = make([]float64, mostPaths)
	at, reached := 0, m.likeness[part][order[0]]
	for k := range b.curve {
		for target := (float64(k) + 0.5) / mostPaths * total; reached < target && at < len(order)-1; {
			at++
			reached += m.likeness[part][order[at]]
		}
		b.curve[k] = b.errors[order[at]]
	}
	return b
}

// picks draws earlier origins in proportion to their likeness, evenly spaced from a random
// start, among those that the most marks of are known.
func (m *mixture) picks() []int {
	var whole []int
	for j := len(m.marks) - 1; j >= 0 && len(whole) < fewOrigins/2; j-- {
		whole = whole[:0]
		for i, p := range m.pasts {
			if p.index+m.marks[j] < len(m.values) {
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

// ranks orders the picked origins by their error: ranks[k] is the place of pick k.
func (b band) ranks(picks []int) []int {
	order, ranks := make([]int, len(picks)), make([]int, len(picks))
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(x, y int) int {
		return cmp.Or(cmp.Compare(b.errors[picks[x]], b.errors[picks[y]]), cmp.Compare(x, y))
	})
	for rank, k := range order {
		ranks[k] = rank
	}
	return ranks
}

// paths have the distribution of errors of each mark, and from mark to mark they keep the
// order that the errors of single origins had, so that what moves together does so in a
// path. Between two marks the errors are interpolated.
func (m *mixture) paths() [][]float64 {
	bands, picks := m.bands(), m.picks()
	ranks := make([][]int, len(bands))
	for j, b := range bands {
		ranks[j] = b.ranks(picks)
	}
	paths := make([][]float64, mostPaths)
	for k := range paths {
		paths[k] = make([]float64, len(m.steps))
	}
	last := len(m.values) - 1
	for i, steps := range m.steps {
		point := m.mixed(partOf(m.edges, steps), func(c int) float64 { return m.members[c].at(last, steps) })
		spread := m.spread(point)
		above, _ := slices.BinarySearch(m.marks, steps)
		below, share := above, 0.0
		if m.marks[above] > steps {
			below = above - 1
			share = float64(steps-m.marks[below]) / float64(m.marks[above]-m.marks[below])
		}
		nearest := ranks[below]
		if share > 0.5 {
			nearest = ranks[above]
		}
		for k, rank := range nearest {
			err := bands[below].curve[rank]*(1-share) + bands[above].curve[rank]*share
			paths[k][i] = m.possible(point + spread*err)
		}
	}
	return paths
}

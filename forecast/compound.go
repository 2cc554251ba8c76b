package forecast

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
)

// compound is demand that is often zero: whether there is any, and how much there is then. The
// chance of any is smoothed with every value and the size with those above zero, after Teunter,
// Syntetos and Babai (2011), so that demand which has ceased is forgotten. The chance depends on
// whether there is demand now, since demand is a stock. Quantiles are those of a zero with what is
// left of the chance, and of the sizes of late.
type compound struct {
	// chances[mark] are those of demand at a mark ahead, if there is none now, and if there is some.
	chances [][2]float64
	// sizes are those of late, increasing.
	sizes []float64
}

const (
	// mostlyZero is the share of zeros from which on demand is intermittent.
	mostlyZero = 0.3
	// chanceMemory is after which share of a season a value counts half in the chance of demand:
	// three hours of a day. What lasts longer, the errors of the mixture know as well.
	chanceMemory = 1.0 / 8
	// mostSizes is how many sizes are of late.
	mostSizes = 128
	// compoundBetter is by how much less its quantile loss must be than that of the mixture.
	compoundBetter = 0.02
)

// intermittent says that demand is often zero.
func (m *mixture) intermittent() bool {
	zeros := 0.0
	for _, value := range m.Values {
		if value == 0 {
			zeros++
		}
	}
	return zeros > mostlyZero*float64(len(m.Values)) && zeros < float64(len(m.Values))
}

// tryCompound is the compound for a part of the horizon, if it would have done better at the
// earlier origins than the mixture; else nil.
func (m *mixture) tryCompound(in marksIn) *compound {
	now := compound{chances: make([][2]float64, len(m.marks))}
	for j := in.from; j < in.to; j++ {
		now.chances[j] = m.chances(m.marks[j], in.chances[j-in.from])
	}
	levels := Levels()
	mixed, compounded, row := 0.0, 0.0, make([]float64, len(levels))
	for i, p := range slices.Backward(m.pasts) { // the earliest first
		sizes := in.late.until(p.index)
		for j := in.from; j < in.to; j++ {
			if !m.known(i, m.marks[j]) || len(sizes) == 0 {
				continue
			}
			point := m.mixed(in.part, func(c int) float64 { return float64(in.of(m, c, i)[j-in.from]) })
			spread := m.spread(point) * math.Pow(p.unrest, m.powers[in.part])
			fillCompound(row, levels, in.chances[j-in.from][2*i+aboveZero(m.Values[p.index])], sizes)
			for k, level := range levels {
				miss := m.Values[p.index+m.marks[j]]
				from := m.possible(point + spread*m.bands[j].curve[int(level*mostPaths)])
				mixed += m.likeness[in.part][i] * quantileLoss(miss-from, level)
				compounded += m.likeness[in.part][i] * quantileLoss(miss-row[k], level)
			}
		}
	}
	if compounded >= (1-compoundBetter)*mixed {
		return nil
	}
	now.sizes = slices.Clone(in.late.until(len(m.Values) - 1))
	return &now
}

// quantileLoss is what it costs to miss by so much with the quantile of a level.
func quantileLoss(miss, level float64) float64 { return max(level*miss, (level-1)*miss) }

// chances are those of demand so many steps after a value, by whether there was demand then; and, in
// then, as they were known at each earlier origin: two numbers each.
func (m *mixture) chances(steps int, then []float64) [2]float64 {
	var chances, seen [2]float64
	gain := -math.Expm1(-math.Ln2 / (chanceMemory * float64(m.Span)))
	next := len(m.pasts) - 1 // the earliest
	for i, value := range m.Values {
		if i >= steps {
			state, any := aboveZero(m.Values[i-steps]), float64(aboveZero(value))
			seen[state]++
			chances[state] += max(gain, 1/seen[state]) * (any - chances[state])
		}
		if next >= 0 && m.pasts[next].index == i {
			copy(then[2*next:], chances[:])
			next--
		}
	}
	return chances
}

// aboveZero is one for demand above zero.
func aboveZero(value float64) int {
	if value > 0 {
		return 1
	}
	return 0
}

// lateSizes are the last demands above zero until an index; it costs little to ask for a later one.
type lateSizes struct {
	values []float64
	next   int
	// inTime are the sizes from the oldest on, round and round; taken counts all.
	inTime []float64
	taken  int
	sorted []float64
}

func newLateSizes(values []float64) *lateSizes {
	return &lateSizes{values: values, inTime: make([]float64, 0, mostSizes), sorted: make([]float64, 0, mostSizes)}
}

// until are the sizes until an index, increasing; good until it is asked again.
func (s *lateSizes) until(index int) []float64 {
	if index < s.next-1 { // an earlier one: begin anew
		s.next, s.taken, s.inTime, s.sorted = 0, 0, s.inTime[:0], s.sorted[:0]
	}
	for ; s.next <= index; s.next++ {
		if value := s.values[s.next]; value > 0 {
			s.take(value)
		}
	}
	return s.sorted
}

func (s *lateSizes) take(size float64) {
	if len(s.inTime) < mostSizes {
		s.inTime = append(s.inTime, size)
	} else {
		oldest := &s.inTime[s.taken%mostSizes]
		at, _ := slices.BinarySearch(s.sorted, *oldest)
		s.sorted = slices.Delete(s.sorted, at, at+1)
		*oldest = size
	}
	s.taken++
	at, _ := slices.BinarySearch(s.sorted, size)
	s.sorted = slices.Insert(s.sorted, at, size)
}

// fillCompound fills in the quantiles at some levels, by the chance of demand and its sizes.
func fillCompound(values, levels []float64, chance float64, sizes []float64) {
	for k, level := range levels {
		values[k] = 0
		if within := 1 - (1-level)/max(chance, tiny); within > 0 && len(sizes) > 0 {
			values[k] = sizes[min(int(within*float64(len(sizes))), len(sizes)-1)]
		}
	}
}

// evenly are the levels of equally likely values.
func evenly(n int) []float64 {
	return floats.Span(make([]float64, n), 0.5/float64(n), 1-0.5/float64(n))
}

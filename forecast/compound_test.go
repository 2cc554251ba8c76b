package forecast

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// rare is demand that is mostly zero: jobs come by chance, often for some days and then rarely, and
// ask for sizes that have a long tail.
func rare(seed uint64, days int) Series {
	random := rand.New(rand.NewPCG(seed, 31))
	s := Series{Start: start, Step: 5 * time.Minute}
	often := 0.3
	for range days * 288 {
		if random.Float64() < 1.0/500 {
			often = 0.32 - often
		}
		size := 0.0
		if random.Float64() < often {
			size = math.Ceil(math.Exp(0.8 * random.NormFloat64()))
		}
		s.Values = append(s.Values, size)
	}
	return s
}

// TestIntermittentDemand holds that the quantiles of demand that is often zero are better with the
// compound than with what the mixture errs by, and that a compound is made for no other demand.
func TestIntermittentDemand(t *testing.T) {
	levels := Levels()
	var with, without, chosen float64
	const series, cuts = 6, 6
	for seed := range uint64(series) {
		whole := rare(seed, 16)
		for k := range cuts {
			past := whole
			past.Values = whole.Values[:len(whole.Values)-288-k*131]
			f := fit(t, past, steps(whole.Step, 48))
			loss := func() (sum float64) {
				for j, row := range ask(t, f, past.End(), 48).Quantiles {
					for i, level := range levels {
						sum += quantileLoss(whole.Values[len(past.Values)+j]-row[i], level)
					}
				}
				return sum
			}
			with += loss()
			if f.Explain().Members[0].Name == "intermittent" {
				chosen++
			}
			clear(f.mixture.compounds)
			without += loss()
		}
	}
	if with > 0.98*without || chosen < series*cuts/2 {
		t.Errorf("quantile loss %.0f with the compound, %.0f without; chosen in %.0f of %d", with, without, chosen, series*cuts)
	}
	f := fit(t, fives(12, 1), steps(5*time.Minute, 12))
	if slices.ContainsFunc(f.mixture.compounds, func(c *compound) bool { return c != nil }) {
		t.Error("demand that is never zero has a compound")
	}
}

// TestCompoundForgetsWhatHasCeased holds the point of smoothing the chance with each value: demand
// that came no more for weeks is expected no more.
func TestCompoundForgetsWhatHasCeased(t *testing.T) {
	history := rare(3, 10)
	history.Values = append(history.Values, make([]float64, 20*288)...)
	f := fit(t, history, steps(history.Step, 12))
	answer := ask(t, f, history.End(), 12)
	if high := answer.Quantiles[11][slices.Index(answer.Levels, 0.9)]; high > 0 {
		t.Errorf("after 20 days without demand, the 0.9 quantile is %v", high)
	}
}

func TestCompoundQuantiles(t *testing.T) {
	sizes, levels := []float64{1, 2, 4, 8}, []float64{0.4, 0.6, 0.7, 0.9, 0.99}
	for chance, want := range map[float64][]float64{
		// With a chance of 0.2 the 0.9 quantile is the middle of the sizes, with one of 0.5 the 0.8.
		0.2: {0, 0, 0, 4, 8}, 0.5: {0, 1, 2, 8, 8}, 0: {0, 0, 0, 0, 0},
	} {
		got := make([]float64, len(levels))
		fillCompound(got, levels, chance, sizes)
		if !slices.Equal(got, want) {
			t.Errorf("with a chance of %v quantiles %v, want %v", chance, got, want)
		}
	}
}

// TestCompoundOfItsPart holds that no mark of the next part is asked, which a compound knows nothing
// of: it would say that no demand comes.
func TestCompoundOfItsPart(t *testing.T) {
	m := &mixture{edges: []int{6, 12}, marks: []int{2, 7}}
	for _, test := range []struct{ steps, part, want int }{{3, 0, 0}, {6, 0, 0}, {7, 1, 1}, {9, 1, 1}} {
		below, above, share := m.between(test.steps)
		if got := m.nearest(test.part, below, above, share); got != test.want {
			t.Errorf("%d steps ahead, in part %d, mark %d is asked, want %d", test.steps, test.part, got, test.want)
		}
	}
	later := &mixture{edges: []int{4, 12}, marks: []int{2, 7}} // 5 is nearer to 7, 4.1 would be to 2
	below, above, _ := later.between(5)
	if got := later.nearest(1, below, above, 0.1); got != 1 {
		t.Errorf("mark %d, want the one in the part", got)
	}
}

// TestLateSizesAreOfThePast: whatever is asked for in which order, sizes are the last ones until then.
func TestLateSizesAreOfThePast(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	values := make([]float64, 3*mostSizes)
	for i := range values {
		values[i] = float64(max(random.IntN(9)-3, 0))
	}
	late := newLateSizes(values)
	for range 500 {
		index := random.IntN(len(values))
		var want []float64
		for i := index; i >= 0 && len(want) < mostSizes; i-- {
			if values[i] > 0 {
				want = append(want, values[i])
			}
		}
		slices.Sort(want)
		if got := late.until(index); !slices.Equal(got, want) {
			t.Fatalf("until %d: %v, want %v", index, got, want)
		}
	}
}

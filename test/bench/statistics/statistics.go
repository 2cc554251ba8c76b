// Package statistics judges paired measurements: medians with bootstrap intervals.
package statistics

import (
	"math"
	"math/rand/v2"
	"slices"
)

// resamples is how often the bootstrap draws; the seed is fixed, so that the same
// measurements give the same interval.
const resamples = 2000

// Estimate is the median of pairs with its 90 % bootstrap interval.
type Estimate struct{ Median, Low, High float64 }

// Estimated is the Estimate from one value per pair. Values that are no numbers, from a
// division by nothing, are left out.
func Estimated(values []float64) Estimate {
	kept := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	draw := make([]float64, len(kept))
	return Resampled(len(kept), func(pairs []int) float64 {
		for i, pair := range pairs {
			draw[i] = kept[pair]
		}
		return Quantile(draw, 0.5)
	})
}

// Resampled is the Estimate of what is calculated from n pairs, with all of them and with such as
// the bootstrap draws. Nothing that is no number may come out of it.
func Resampled(n int, calculate func(pairs []int) float64) Estimate {
	if n == 0 {
		return Estimate{math.NaN(), math.NaN(), math.NaN()}
	}
	dice := rand.New(rand.NewPCG(1, 2))
	drawn, pairs := make([]float64, resamples), make([]int, n)
	for i := range drawn {
		for j := range pairs {
			pairs[j] = dice.IntN(n)
		}
		drawn[i] = calculate(pairs)
	}
	for j := range pairs {
		pairs[j] = j
	}
	return Estimate{calculate(pairs), Quantile(drawn, 0.05), Quantile(drawn, 0.95)}
}

// Quantile interpolates between the neighbours.
func Quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// Each applies an operation to the pairs of two series, one of each round.
func Each(a, b []float64, operation func(a, b float64) float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = operation(a[i], b[i])
	}
	return out
}

// Minus is a − b.
func Minus(a, b float64) float64 { return a - b }

// Over is a ÷ b.
func Over(a, b float64) float64 { return a / b }

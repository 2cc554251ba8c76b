package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// resamples is how often the bootstrap draws; the seed is fixed, so that the same
// measurements give the same interval.
const resamples = 2000

// estimate is the median of pairs with its 90 % bootstrap interval.
type estimate struct{ Median, Low, High float64 }

// estimated is the estimate from one value per pair. Values that are no numbers, from a
// division by nothing, are left out.
func estimated(values []float64) estimate {
	kept := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(kept) == 0 {
		return estimate{math.NaN(), math.NaN(), math.NaN()}
	}
	dice := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, resamples)
	draw := make([]float64, len(kept))
	for i := range medians {
		for j := range draw {
			draw[j] = kept[dice.IntN(len(kept))]
		}
		medians[i] = quantile(draw, 0.5)
	}
	return estimate{quantile(kept, 0.5), quantile(medians, 0.05), quantile(medians, 0.95)}
}

// quantile interpolates between the neighbours.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// each applies an operation to the pairs of two series, one of each round.
func each(a, b []float64, operation func(a, b float64) float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = operation(a[i], b[i])
	}
	return out
}

func minus(a, b float64) float64 { return a - b }

func over(a, b float64) float64 { return a / b }

package forecast

import (
	"math"
	"slices"
)

// A band from past errors is too narrow where these come from few days: errors a day ahead from
// origins an hour apart are nearly the same error. Origins count in blocks as long as the time
// ahead, and the band is as much wider as Student's t with so many blocks is than the normal
// distribution.

// blocks counts the independent errors that weighted ones are worth.
type blocks struct {
	// length is that of a block, in steps; at is the one that weights are added to now.
	length, at            int
	block, total, squares float64
}

// add takes origins in order of their index, either way.
func (b *blocks) add(index int, weight float64) {
	if at := index / b.length; at != b.at {
		b.squares += b.block * b.block
		b.block, b.at = 0, at
	}
	b.block += weight
	b.total += weight
}

// freedom is the number of blocks that count alike (Kish 1965), less the one that the middle takes;
// at least one.
func (b *blocks) freedom() float64 {
	return max(b.total*b.total/(b.squares+b.block*b.block)-1, 1)
}

// tWider is by how much Student's t is wider than the normal distribution, where that is so many
// standard deviations from its middle: the first terms of the expansion of Fisher and Cornish (1960).
func tWider(deviations, freedom float64) float64 {
	square := deviations * deviations
	return 1 + (square+1)/(4*freedom) + ((5*square+16)*square+3)/(96*freedom*freedom)
}

// deviationsOf are those of n equally likely values of a normal distribution, increasing.
func deviationsOf(n int) []float64 {
	deviations := evenly(n)
	for k, level := range deviations {
		deviations[k] = math.Sqrt2 * math.Erfinv(2*level-1)
	}
	return deviations
}

// middleOf is the median of sorted values.
func middleOf(sorted []float64) float64 {
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}

// bandDeviations are those of the ends of the band from 0.1 to 0.9.
const bandDeviations = 1.2816

// widen makes the errors of paths, at one time of the horizon, as much wider as few origins ask for.
func widen(paths [][]float64, at int, freedom float64) {
	column := make([]float64, len(paths))
	for k, path := range paths {
		column[k] = path[at]
	}
	slices.Sort(column)
	middle, wider := middleOf(column), tWider(bandDeviations, freedom)
	for _, path := range paths {
		path[at] = middle + (path[at]-middle)*wider
	}
}

package forecast

import (
	"math"
	"math/rand/v2"
	"slices"
)

// mostPaths is the number of paths drawn.
const mostPaths = 256

// paths are the forecast plus the whole course of the errors made from one origin, so that
// what moves together over the horizon does so in a path (a block bootstrap). Origins are
// drawn in proportion to their weight, evenly spaced from a random start: less noise than
// independent draws.
func (p problem) paths(origins []origin, points [][][]float64, weights [][]float64) [][]float64 {
	total := 0.0
	for _, o := range origins {
		total += o.weight
	}
	ahead := p.ahead(weights)
	start := rand.New(rand.NewPCG(p.seed, 0)).Float64()
	paths := make([][]float64, mostPaths)
	i, reached := 0, origins[0].weight
	for k := range paths {
		for target := (float64(k) + start) / mostPaths * total; reached < target && i < len(origins)-1; {
			i++
			reached += origins[i].weight
		}
		paths[k] = make([]float64, len(p.steps))
		for j, steps := range p.steps {
			residual := p.Values[origins[i].index+steps]
			for c, w := range weights[j] {
				residual -= w * points[c][i][j]
			}
			paths[k][j] = residual
		}
	}
	for j, steps := range p.steps {
		apart := blocks{length: steps}
		for _, o := range origins {
			apart.add(o.index, o.weight)
		}
		widen(paths, j, apart.freedom())
		for _, path := range paths {
			path[j] = p.possible(ahead[j] + path[j])
		}
	}
	return paths
}

// ahead is the weighted forecast of all candidates from the last value, per horizon.
func (p problem) ahead(weights [][]float64) []float64 {
	sums := make([]float64, len(p.steps))
	for j, steps := range p.steps {
		for c, w := range weights[j] {
			if w > 0 {
				sums[j] += w * p.candidates[c].At(p.Grid, len(p.Values)-1, steps)
			}
		}
	}
	return sums
}

// possible is the nearest value that demand can take: none below zero, and whole numbers
// where only such were ever observed. Averages of past rises would else add a fraction to
// every path, and whoever then counts in whole units would buy one more each time.
func (p problem) possible(value float64) float64 {
	if p.Whole {
		value = math.Round(value)
	}
	return max(value, 0)
}

// cautious are the paths of a history too short to learn from: the last value, spread
// normally with a variance that grows ahead. It ends at that of a count of this size, or
// follows the changes seen so far where those are larger. A demand of zero that never
// changed has no spread: nothing is bought for what has never been asked for.
func (p problem) cautious() [][]float64 {
	const n = 64
	last := len(p.Values) - 1
	perStep := p.Values[last] / float64(slices.Max(p.steps))
	changes := 0.0
	for i := 1; i <= last; i++ {
		change := p.Values[i] - p.Values[i-1]
		changes += change * change / float64(last)
	}
	perStep = math.Max(perStep, changes)
	paths := make([][]float64, n)
	for i := range paths {
		paths[i] = make([]float64, len(p.steps))
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/n-1)
		for j, steps := range p.steps {
			paths[i][j] = p.possible(p.Values[last] + z*math.Sqrt(perStep*float64(steps)))
		}
	}
	return paths
}

package forecast

import (
	"math"
	"math/bits"
	"slices"
)

// points is what each candidate would have forecast at each origin, for each horizon:
// points[candidate][origin][horizon].
func (p problem) points(origins []origin) [][][]float64 {
	points := make([][][]float64, len(p.candidates))
	for c, candidate := range p.candidates {
		points[c] = make([][]float64, len(origins))
		for i, o := range origins {
			points[c][i] = make([]float64, len(p.steps))
			for j, steps := range p.steps {
				points[c][i][j] = candidate.At(p.Grid, o.index, steps)
			}
		}
	}
	return points
}

// bucket is the part of the horizon for which candidates are weighed together: 1, 2, 3 to
// 4, 5 to 8 steps ahead and so on. One step alone would give noisy weights.
func bucket(steps int) int { return bits.Len(uint(steps - 1)) }

// weigh gives each candidate its share of the forecast, per horizon: weights[horizon][candidate].
// Errors are mean absolute ones over the origins, each with its weight.
func (p problem) weigh(origins []origin, points [][][]float64) [][]float64 {
	losses := map[int][]float64{}
	for j, steps := range p.steps {
		b := bucket(steps)
		if losses[b] == nil {
			losses[b] = make([]float64, len(p.candidates))
		}
		for c := range p.candidates {
			for i, o := range origins {
				losses[b][c] += o.weight * math.Abs(p.Values[o.index+steps]-points[c][i][j])
			}
		}
	}
	weights := make([][]float64, len(p.steps))
	for j, steps := range p.steps {
		weights[j] = shares(losses[bucket(steps)])
	}
	return weights
}

// shares turns losses into weights of (least loss ÷ loss)⁴ that add up to one, with those
// below a twentieth dropped.
func shares(losses []float64) []float64 {
	const least = 1e-9 // keeps a candidate without any loss from dividing by zero
	best := slices.Min(losses) + least
	weights := make([]float64, len(losses))
	sum := 0.0
	for c, loss := range losses {
		ratio := best / (loss + least)
		weights[c] = ratio * ratio * ratio * ratio
		sum += weights[c]
	}
	kept := 0.0
	for c, w := range weights {
		if w < sum/20 {
			weights[c] = 0
		}
		kept += weights[c]
	}
	for c := range weights {
		weights[c] /= kept
	}
	return weights
}

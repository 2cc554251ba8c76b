package forecast

import (
	"math"

	"forewarm.dev/forecast/leastsquares"
)

const (
	// stackPull is how strongly shares are held to where they started, as a share of the
	// least squared error of a member.
	stackPull = 0.3
	// stackFloor is the error, as a share of the mean one, below which an example counts no
	// more for being forecast well.
	stackFloor = 0.3
	// stackEnough ends the search, as a share of the least squared error of a member.
	stackEnough = 1e-6
)

// stack moves shares, which add up to one, to where the mixture would have erred less over the
// origins alike. What errs in opposite directions is better together than apart, which no
// loss of one member shows. Squared errors, each divided by that of the starting mixture, stand
// for absolute ones (one step of iteratively reweighted least squares).
func (m *mixture) stack(in marksIn, shares []float64) {
	products, least := m.errorProducts(in, shares)
	problem := leastsquares.Mix{Products: products, Pull: stackPull * least, Enough: stackEnough * least}
	for c := range m.set.Members {
		if m.useful(in.part, c, true) {
			problem.May = append(problem.May, c)
		}
	}
	problem.Move(shares)
}

// errorProducts are the mean products of the errors of two members, and the least mean square
// of one.
func (m *mixture) errorProducts(in marksIn, shares []float64) (products [][]float64, least float64) {
	products = table(len(m.set.Members), len(m.set.Members))
	total, mean := 0.0, 0.0
	likeness := m.likeness[in.part]
	m.eachError(in, shares, func(past int, mixed float64, _ []float64) {
		weight := likeness[past]
		total += weight
		mean += weight * math.Abs(mixed)
	})
	mean /= total
	m.eachError(in, shares, func(past int, mixed float64, errors []float64) {
		weight := likeness[past] / total / (max(math.Abs(mixed), stackFloor*mean) + tiny)
		for x, err := range errors {
			weighted := weight * err
			for y := x; y < len(errors); y++ {
				products[x][y] += weighted * errors[y]
			}
		}
	})
	least = math.Inf(1)
	for x := range products {
		for y := range x {
			products[x][y] = products[y][x]
		}
		if m.useful(in.part, x, true) {
			least = min(least, products[x][x])
		}
	}
	return products, least + tiny
}

// eachError visits the known outcomes of a part: from which origin, by how much the
// mixture misses the outcome, and by how much each member does.
func (m *mixture) eachError(in marksIn, shares []float64, visit func(past int, mixed float64, errors []float64)) {
	errors := make([]float64, len(shares))
	for j, steps := range m.marks[in.from:in.to] {
		for i, p := range m.pasts {
			if !m.known(i, steps) {
				continue
			}
			mixed, actual := 0.0, m.Values[p.index+steps]
			for c, share := range shares {
				errors[c] = float64(in.of(m, c, i)[j]) - actual
				mixed += share * errors[c]
			}
			visit(i, mixed, errors)
		}
	}
}

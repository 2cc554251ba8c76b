package forecast

import "math"

const (
	// stackPull is how strongly shares are held to where they started, as a share of the
	// least squared error of a member.
	stackPull = 0.3
	// stackFloor is the error, as a share of the mean one, below which an example counts no
	// more for being forecast well.
	stackFloor = 0.3
	// stackMoves bounds the search, and stackEnough ends it.
	stackMoves, stackEnough = 200, 1e-6
)

// stack moves shares, which add up to one, to where the mixture would have erred less over the
// origins alike. What errs in opposite directions is better together than apart, which no
// loss of one member shows. Squared errors, each divided by that of the starting mixture, stand
// for absolute ones (one step of iteratively reweighted least squares).
func (m *mixture) stack(in marksIn, shares []float64) {
	products, least := m.errorProducts(in, shares)
	start := append([]float64(nil), shares...)
	pull := stackPull * least
	slope := make([]float64, len(shares))
	for range stackMoves {
		for x := range shares {
			slope[x] = pull * (shares[x] - start[x])
			for y, share := range shares {
				slope[x] += products[x][y] * share
			}
		}
		to, from := m.steepest(in.part, shares, slope)
		if slope[from]-slope[to] < stackEnough*least {
			return
		}
		bend := products[to][to] + products[from][from] - 2*products[to][from] + 2*pull
		move := min((slope[from]-slope[to])/(bend+tiny*least), shares[from])
		shares[to] += move
		shares[from] -= move
	}
}

// steepest are the members between which a move of share helps most.
func (m *mixture) steepest(part int, shares, slope []float64) (to, from int) {
	to, from = -1, -1
	for x := range shares {
		if m.useful(part, x, true) && (to < 0 || slope[x] < slope[to]) {
			to = x
		}
		if shares[x] > 0 && (from < 0 || slope[x] > slope[from]) {
			from = x
		}
	}
	return to, from
}

// errorProducts are the mean products of the errors of two members, and the least mean square
// of one.
func (m *mixture) errorProducts(in marksIn, shares []float64) (products [][]float64, least float64) {
	products = make([][]float64, len(m.members))
	room := make([]float64, len(m.members)*len(m.members))
	for x := range products {
		products[x] = room[x*len(m.members) : (x+1)*len(m.members)]
	}
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
			mixed, actual := 0.0, m.values[p.index+steps]
			for c, share := range shares {
				errors[c] = in.of(m, c, i)[j] - actual
				mixed += share * errors[c]
			}
			visit(i, mixed, errors)
		}
	}
}

package leastsquares

import "slices"

// Mix looks for shares with the least mean squared error together.
type Mix struct {
	// Products are the mean products of the errors of two members, a symmetric matrix.
	Products [][]float64
	// Pull holds the shares to where they start.
	Pull float64
	// Enough ends the search: where no move of share gains more.
	Enough float64
	// May are the members that may get a share.
	May []int
}

// mostMoves bounds the search.
const mostMoves = 200

// Move moves shares, which add up to one before and after, and stay above zero: from the member
// where they cost most to the one where they cost least, as far as that helps, again and again.
func (m Mix) Move(shares []float64) {
	start := slices.Clone(shares)
	slope := make([]float64, len(shares))
	for range mostMoves {
		for x := range shares {
			slope[x] = m.Pull * (shares[x] - start[x])
			for y, share := range shares {
				slope[x] += m.Products[x][y] * share
			}
		}
		to, from := m.steepest(shares, slope)
		if to < 0 || from < 0 || slope[from]-slope[to] <= m.Enough {
			return
		}
		bend := m.Products[to][to] + m.Products[from][from] - 2*m.Products[to][from] + 2*m.Pull
		move := shares[from]
		if gain := slope[from] - slope[to]; bend*move > gain {
			move = gain / bend
		}
		shares[to] += move
		shares[from] -= move
	}
}

// steepest are the members between which a move of share helps most; -1 where there is none.
func (m Mix) steepest(shares, slope []float64) (to, from int) {
	to, from = -1, -1
	for _, x := range m.May {
		if to < 0 || slope[x] < slope[to] {
			to = x
		}
	}
	for x, share := range shares {
		if share > 0 && (from < 0 || slope[x] > slope[from]) {
			from = x
		}
	}
	return to, from
}

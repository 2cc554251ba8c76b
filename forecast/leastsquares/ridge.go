// Package leastsquares solves the small least squares problems of the forecast: ridge
// regressions from sums of products, so that a refit is one small solve, and shares of a
// mixture that add up to one. It is pure.
package leastsquares

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// penalties are those tried, as a share of a feature's variance. Which one counts is what
// had the least error on the folds before.
var penalties = [...]float64{1e-2, 1e-1, 1, 10}

// Sums are the sums of products of features and outcome: the upper triangle, row by row.
type Sums struct {
	q    int
	rows [][]float64
	// columns has the examples that were not summed up yet, by feature, and pending counts them.
	columns [][]float64
	pending int
}

// batch is how many examples are summed up at once, which is faster than one by one.
const batch = 32

// NewSums are empty sums of q features, of which the first is the constant one.
func NewSums(q int) *Sums {
	g := &Sums{q: q, rows: make([][]float64, q+1), columns: make([][]float64, q+1)}
	room := make([]float64, (q+1)*(q+1+batch))
	for i := range g.rows {
		g.rows[i], room = room[:q+1:q+1], room[q+1:]
		g.columns[i], room = room[:batch:batch], room[batch:]
	}
	return g
}

// Clear forgets all examples.
func (g *Sums) Clear() {
	g.pending = 0
	for _, row := range g.rows {
		clear(row)
	}
}

// Learn adds one example, its outcome last.
func (g *Sums) Learn(x []float64) {
	for i, column := range g.columns {
		column[g.pending] = x[i]
	}
	if g.pending++; g.pending == batch {
		g.SumUp()
	}
}

// SumUp adds the examples that are pending.
func (g *Sums) SumUp() {
	for i, row := range g.rows {
		column := g.columns[i][:g.pending]
		for j := i; j < len(row); j++ {
			row[j] += floats.Dot(column, g.columns[j][:g.pending])
		}
	}
	g.pending = 0
}

// Add lets what was learned decay, and adds newer examples.
func (g *Sums) Add(newer *Sums, decay float64) {
	for i, row := range g.rows {
		for j := i; j < len(row); j++ {
			row[j] = row[j]*decay + newer.rows[i][j]
		}
	}
}

// loss is the squared error that weights make on the examples.
func (g *Sums) loss(w []float64) float64 {
	q := g.q
	loss := g.rows[q][q]
	for i := range q {
		loss -= 2 * w[i] * g.rows[i][q]
		loss += w[i] * w[i] * g.rows[i][i]
		for j := i + 1; j < q; j++ {
			loss += 2 * w[i] * w[j] * g.rows[i][j]
		}
	}
	return max(loss, 0)
}

// Solver solves for each penalty, and remembers how each did.
type Solver struct {
	q       int
	weights [len(penalties)][]float64
	losses  [len(penalties)]float64
	solved  bool
	a       []float64
	b       []float64
	scales  []float64
	means   []float64
}

// NewSolver solves for q features.
func NewSolver(q int) *Solver {
	s := &Solver{q: q, a: make([]float64, (q-1)*(q-1)), b: make([]float64, q-1), scales: make([]float64, q-1), means: make([]float64, q)}
	for i := range s.weights {
		s.weights[i] = make([]float64, q)
	}
	return s
}

// Clear forgets all solutions.
func (s *Solver) Clear() { s.solved, s.losses = false, [len(penalties)]float64{} }

// Judge charges each penalty's last solution with its error on examples it has not seen.
func (s *Solver) Judge(newer *Sums, decay float64) {
	if !s.solved {
		return
	}
	for i, w := range s.weights {
		s.losses[i] = s.losses[i]*decay + newer.loss(w)
	}
}

// Best are the weights with the least error so far. The next Solve overwrites them.
func (s *Solver) Best() []float64 { return s.weights[floats.MinIdx(s.losses[:])] }

// Solve finds the weights for every penalty. Features are centred and scaled first; the
// constant, which comes first, is not penalised.
func (s *Solver) Solve(g *Sums) {
	s.solved = true
	if g.rows[0][0] < float64(s.q)/2 {
		for _, w := range s.weights {
			clear(w)
		}
		return
	}
	s.describe(g)
	for i, w := range s.weights {
		s.solveOne(g, penalties[i], w)
	}
}

// describe finds means and standard deviations. What does not vary has none.
func (s *Solver) describe(g *Sums) {
	n := g.rows[0][0]
	for i := range s.means {
		s.means[i] = g.rows[0][i+1] / n
	}
	for i := range s.scales {
		square := g.rows[i+1][i+1] / n
		variance := square - s.means[i]*s.means[i]
		s.scales[i] = math.Sqrt(max(variance, 0))
		if variance < 1e-12*(1e-12+square) {
			s.scales[i] = 0
		}
	}
}

func (s *Solver) solveOne(g *Sums, penalty float64, w []float64) {
	m, q, n := s.q-1, s.q, g.rows[0][0]
	for i := range m {
		row, a := g.rows[i+1][1:], s.a[i*m:(i+1)*m]
		for j := i; j < m; j++ {
			a[j] = 0
			if scale := s.scales[i] * s.scales[j]; scale > 0 {
				a[j] = (row[j]/n - s.means[i]*s.means[j]) / scale
			}
		}
		a[i] += penalty + 1e-9
		s.b[i] = 0
		if s.scales[i] == 0 {
			a[i] = 1
		} else {
			s.b[i] = (row[q-1]/n - s.means[i]*s.means[q-1]) / s.scales[i]
		}
	}
	clear(w)
	factor, ok := lapack64.Potrf(blas64.Symmetric{N: m, Stride: m, Data: s.a, Uplo: blas.Upper})
	if !ok {
		return
	}
	b := blas64.Vector{N: m, Data: s.b, Inc: 1}
	blas64.Trsv(blas.Trans, factor, b)
	blas64.Trsv(blas.NoTrans, factor, b)
	w[0] = s.means[q-1]
	for i := range m {
		if s.scales[i] > 0 {
			w[i+1] = s.b[i] / s.scales[i]
			w[0] -= w[i+1] * s.means[i]
		}
	}
}

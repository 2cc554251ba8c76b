package forecast

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

// gram is the sums of products of features and outcome: the upper triangle, row by row.
type gram struct {
	q    int
	rows [][]float64
}

func newGram(q int) *gram {
	g := &gram{q: q, rows: make([][]float64, q+1)}
	for i := range g.rows {
		g.rows[i] = make([]float64, q+1)
	}
	return g
}

func (g *gram) clear() {
	for _, row := range g.rows {
		clear(row)
	}
}

// learn adds one example, its outcome last.
func (g *gram) learn(x []float64) {
	for i, row := range g.rows {
		floats.AddScaled(row[i:], x[i], x[i:])
	}
}

// add lets what was learned decay, and adds newer examples.
func (g *gram) add(newer *gram, decay float64) {
	for i, row := range g.rows {
		for j := i; j < len(row); j++ {
			row[j] = row[j]*decay + newer.rows[i][j]
		}
	}
}

// at is the sum of products of two features.
func (g *gram) at(i, j int) float64 {
	if i > j {
		i, j = j, i
	}
	return g.rows[i][j]
}

// loss is the squared error that weights make on the examples.
func (g *gram) loss(w []float64) float64 {
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

// solver solves for each penalty, and remembers how each did.
type solver struct {
	q       int
	weights [len(penalties)][]float64
	losses  [len(penalties)]float64
	solved  bool
	a       []float64
	b       []float64
	scales  []float64
}

func newSolver(q int) *solver {
	return &solver{q: q, a: make([]float64, (q-1)*(q-1)), b: make([]float64, q-1), scales: make([]float64, q-1)}
}

// judge charges each penalty's last solution with its error on examples it has not seen.
func (s *solver) judge(newer *gram, decay float64) {
	if !s.solved {
		return
	}
	for i, w := range s.weights {
		s.losses[i] = s.losses[i]*decay + newer.loss(w)
	}
}

func (s *solver) best() []float64 { return s.weights[floats.MinIdx(s.losses[:])] }

// solve finds the weights for every penalty. Features are centred and scaled first; the
// constant, which comes first, is not penalised.
func (s *solver) solve(g *gram) {
	s.solved = true
	n := g.rows[0][0]
	for i := range s.weights {
		s.weights[i] = make([]float64, s.q)
		if n < float64(s.q)/2 {
			continue
		}
		s.solveOne(g, n, penalties[i], s.weights[i])
	}
}

func (s *solver) solveOne(g *gram, n, penalty float64, w []float64) {
	m, q := s.q-1, s.q
	mean := func(i int) float64 { return g.at(0, i) / n }
	for i := range m {
		variance := g.at(i+1, i+1)/n - mean(i+1)*mean(i+1)
		s.scales[i] = math.Sqrt(max(variance, 0))
		if variance < 1e-12*(1e-12+g.at(i+1, i+1)/n) {
			s.scales[i] = 0
		}
	}
	for i := range m {
		for j := i; j < m; j++ {
			s.a[i*m+j] = 0
			if scale := s.scales[i] * s.scales[j]; scale > 0 {
				s.a[i*m+j] = (g.at(i+1, j+1)/n - mean(i+1)*mean(j+1)) / scale
			}
		}
		s.a[i*m+i] += penalty + 1e-9
		if s.scales[i] == 0 {
			s.a[i*m+i] = 1
		}
		s.b[i] = 0
		if s.scales[i] > 0 {
			s.b[i] = (g.at(i+1, q)/n - mean(i+1)*mean(q)) / s.scales[i]
		}
	}
	factor, ok := lapack64.Potrf(blas64.Symmetric{N: m, Stride: m, Data: s.a, Uplo: blas.Upper})
	if !ok {
		return
	}
	lapack64.Potrs(factor, blas64.General{Rows: m, Cols: 1, Stride: 1, Data: s.b})
	w[0] = mean(q)
	for i := range m {
		if s.scales[i] > 0 {
			w[i+1] = s.b[i] / s.scales[i]
			w[0] -= w[i+1] * mean(i+1)
		}
	}
}

package member

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"forewarm.dev/forecast/leastsquares"
)

// ridge forecasts each part of the horizon directly, by a ridge regression of its own on
// features of the origin and of the time ahead. The products of the features are summed per
// fold, so that a fit as of any earlier fold is one small solve, and what it would have
// said then is out of sample.
type ridge struct {
	features features
	// edges are the last steps of the parts of the horizon.
	edges []int
	// weights[part][fold] are the coefficients.
	weights [][][]float64
	row     row
	highest float64
}

const (
	// rowsPerFold is how many examples of each season are learned from, per part.
	rowsPerFold = 96
	// ridgeHalfLife is after how many seasons an example counts half.
	ridgeHalfLife = 14
	// highestOfSeen bounds a forecast as a multiple of the highest value seen.
	highestOfSeen = 1.5
)

// Parts are the parts of the horizon that are fitted apart, by their last steps.
func (c Calendar) Parts(furthest int) []int {
	var edges []int
	for _, share := range []float64{1.0 / 288, 1.0 / 96, 1.0 / 24, 1.0 / 8, 1.0 / 3, 1, 2} {
		steps := int(math.Round(share * float64(c.Span)))
		if steps < 1 || len(edges) > 0 && steps <= edges[len(edges)-1] {
			continue
		}
		edges = append(edges, steps)
		if steps >= furthest {
			return edges
		}
	}
	return append(edges, max(furthest, edges[len(edges)-1]+1))
}

// PartOf is the index of the part that some steps ahead are in.
func PartOf(edges []int, steps int) int {
	for i, edge := range edges {
		if steps <= edge {
			return i
		}
	}
	return len(edges) - 1
}

// learner is what a fit works with: the series, the sums of all folds so far and of one, and
// what solves them.
type learner struct {
	Grid
	sum, fold *leastsquares.Sums
	solver    *leastsquares.Solver
}

func newLearner(g Grid, q int) learner {
	return learner{g, leastsquares.NewSums(q), leastsquares.NewSums(q), leastsquares.NewSolver(q)}
}

func newRidge(f features, edges []int, work learner, keep int) *ridge {
	r := &ridge{features: f, edges: edges, row: f.newRow(), highest: highestOfSeen * floats.Max(work.Values)}
	low := 0
	for _, edge := range edges {
		r.weights = append(r.weights, r.fit(work, low, edge, keep))
		low = edge
	}
	return r
}

// at forecasts demand.
func (r *ridge) at(origin, steps int) float64 {
	p := PartOf(r.edges, steps)
	fold := min(r.features.Fold(origin), len(r.weights[p])-1)
	w := r.weights[p][fold]
	r.features.fill(&r.row, origin, steps, r.share(p, steps))
	value := r.features.back(r.row.level + floats.Dot(w, r.row.x[:len(w)]))
	return min(max(value, 0), r.highest)
}

// share is how far through its part some steps ahead are.
func (r *ridge) share(p, steps int) float64 {
	low := 0
	if p > 0 {
		low = r.edges[p-1]
	}
	return min(float64(steps-low)/float64(r.edges[p]-low), 2)
}

// fit solves one part of the horizon, for all folds that are kept, oldest example first.
func (r *ridge) fit(work learner, low, high, keep int) [][]float64 {
	weights := make([][]float64, min(keep, r.features.Folds()))
	decay := math.Exp2(-1.0 / ridgeHalfLife)
	work.sum.Clear()
	work.solver.Clear()
	for k := r.features.Folds(); k >= 1; k-- {
		work.fold.Clear()
		r.learn(work, k, low, high)
		work.solver.Judge(work.fold, decay)
		work.sum.Add(work.fold, decay)
		if k-1 < len(weights) {
			work.solver.Solve(work.sum)
			weights[k-1] = slices.Clone(work.solver.Best())
		}
	}
	return weights
}

// learn sums up the examples whose time ahead is in a fold. Filled gaps teach nothing.
func (r *ridge) learn(work learner, k, low, high int) {
	f, g := &r.features, work.Grid
	from, x := f.Cut(k), r.row.x
	q := len(x) - 1
	rows := min(rowsPerFold, f.Span)
	for i := range rows {
		target := from + (i*f.Span+k%rowsPerFold*f.Span/rows/2)/rows
		steps := low + 1 + (i*7+k*3)%(high-low)
		if high-low > 7 && (high-low)%7 == 0 {
			steps = low + 1 + (i*11+k*3)%(high-low)
		}
		origin := target - steps
		if origin < f.first() || g.Observed[target+1] == g.Observed[target] || g.Observed[origin+1] == g.Observed[origin] {
			continue
		}
		f.fill(&r.row, origin, steps, float64(steps-low)/float64(high-low))
		x[q] = f.Values[target] - r.row.level
		work.fold.Learn(x)
	}
	work.fold.SumUp()
}

// effects are the features by how much they move a forecast, as shares of all movements. Those
// of one name are added up; those that move nothing are left out.
func (r *ridge) effects(origin, steps int) []Effect {
	p := PartOf(r.edges, steps)
	w := r.weights[p][min(r.features.Fold(origin), len(r.weights[p])-1)]
	r.features.fill(&r.row, origin, steps, r.share(p, steps))
	var effects []Effect
	for i, name := range r.features.names {
		effect := w[i] * r.row.x[i]
		k := slices.IndexFunc(effects, func(e Effect) bool { return e.Name == name })
		if k < 0 {
			effects = append(effects, Effect{Name: name})
			k = len(effects) - 1
		}
		effects[k].Share += effect
	}
	total := 0.0
	for _, e := range effects {
		total += math.Abs(e.Share)
	}
	for i := range effects {
		effects[i].Share /= max(total, tiny)
	}
	return slices.DeleteFunc(effects, func(e Effect) bool { return e.Share == 0 })
}

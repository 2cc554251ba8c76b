package leastsquares

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSolveFindsTheLine(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	sums, fold, solver := NewSums(4), NewSums(4), NewSolver(4)
	for range 5 {
		fold.Clear()
		for range 50 { // more than a batch, and a rest
			a, b := random.NormFloat64(), 10+5*random.NormFloat64()
			fold.Learn([]float64{1, a, b, 7, 3 + 2*a - 0.5*b})
		}
		fold.SumUp()
		solver.Judge(fold, 1)
		sums.Add(fold, 1)
		solver.Solve(sums)
	}
	// The last feature never varies, and so says nothing. The least penalty does best.
	for i, want := range []float64{3, 2, -0.5, 0} {
		if got := solver.Best()[i]; math.Abs(got-want) > 0.1 {
			t.Errorf("weight %d is %v, want %v", i, got, want)
		}
	}
}

func TestSolveWithTooFewExamples(t *testing.T) {
	sums, solver := NewSums(6), NewSolver(6)
	sums.Learn([]float64{1, 2, 3, 4, 5, 6, 7})
	sums.SumUp()
	solver.Solve(sums)
	for i, w := range solver.Best() {
		if w != 0 {
			t.Errorf("weight %d of one example is %v", i, w)
		}
	}
}

// TestMoveAgainstAGrid compares with the best of all shares of three members on a grid.
func TestMoveAgainstAGrid(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for range 50 {
		errors := [3][20]float64{}
		products := [][]float64{make([]float64, 3), make([]float64, 3), make([]float64, 3)}
		for i := range 20 {
			for x := range errors {
				errors[x][i] = random.NormFloat64() + float64(x)/4
			}
			for x := range errors {
				for y := range errors {
					products[x][y] += errors[x][i] * errors[y][i] / 20
				}
			}
		}
		loss := func(shares []float64) float64 {
			sum := 0.0
			for x := range shares {
				for y := range shares {
					sum += shares[x] * products[x][y] * shares[y]
				}
			}
			return sum
		}
		shares := []float64{0, 0.5, 0.5}
		Mix{Products: products, Enough: 1e-9, May: []int{0, 1, 2}}.Move(shares)
		least := math.Inf(1)
		for a := 0.0; a <= 1; a += 0.02 {
			for b := 0.0; a+b <= 1; b += 0.02 {
				least = min(least, loss([]float64{a, b, 1 - a - b}))
			}
		}
		if got := loss(shares); got > least+1e-6 || math.Abs(shares[0]+shares[1]+shares[2]-1) > 1e-9 || min(shares[0], shares[1], shares[2]) < 0 {
			t.Errorf("shares %v have a loss of %v, the best of a grid %v", shares, got, least)
		}
	}
}

func TestMoveKeepsToWhatMay(t *testing.T) {
	shares := []float64{1, 0, 0}
	Mix{Products: [][]float64{{4, 0, 0}, {0, 1, 0}, {0, 0, 4}}, Enough: 1e-9, May: []int{0, 2}}.Move(shares)
	if shares[1] != 0 || math.Abs(shares[2]-0.5) > 1e-6 {
		t.Errorf("shares %v, want half of the first and the last", shares)
	}
}

func TestDescend(t *testing.T) {
	got := Descend([]float64{0, 0}, Bounds{[]float64{-1, -1}, []float64{1, 1}, 1.0 / 4, 1.0 / 512}, func(at []float64) float64 {
		return (at[0]-0.3)*(at[0]-0.3) + (at[1]-4)*(at[1]-4) + at[0]*at[1]/10
	})
	if math.Abs(got[0]-0.25) > 0.01 || math.Abs(got[1]-1) > 0.01 {
		t.Errorf("least at %v, want 0.25 and 1", got)
	}
}

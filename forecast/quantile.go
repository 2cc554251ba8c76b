package forecast

import (
	"math"
	"slices"
)

// Levels are the quantile levels of every forecast.
func Levels() []float64 {
	return []float64{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99}
}

// quantiles are those of the paths, per horizon: the smallest value that at least the level
// of all paths do not exceed. They cannot cross.
func quantiles(paths [][]float64, horizons int) []Quantiles {
	rows := make([]Quantiles, horizons)
	column := make([]float64, len(paths))
	for j := range rows {
		for i := range paths {
			column[i] = paths[i][j]
		}
		slices.Sort(column)
		for _, level := range Levels() {
			rows[j] = append(rows[j], column[rankOf(level, len(column))])
		}
	}
	return rows
}

// rankOf is the place of a quantile among n sorted values.
func rankOf(level float64, n int) int { return max(int(math.Ceil(level*float64(n)))-1, 0) }

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
		rows[j] = levelsOf(column)
	}
	return rows
}

// levelsOf are the quantiles of sorted values.
func levelsOf(sorted []float64) Quantiles {
	row := Levels()
	for i, level := range row {
		row[i] = sorted[max(int(math.Ceil(level*float64(len(sorted))))-1, 0)]
	}
	return row
}

// table is rows of numbers in one piece of memory.
func table(rows, columns int) [][]float64 {
	room, all := make([]float64, rows*columns), make([][]float64, rows)
	for i := range all {
		all[i] = room[i*columns : (i+1)*columns : (i+1)*columns]
	}
	return all
}

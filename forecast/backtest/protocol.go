// Package backtest measures forecast models on past demand: at rolling origins the model
// sees only what was known then, and its quantiles are scored against what came. It is pure.
//
// The figures are those of the reference scorer of the project's benchmark data: errors
// relative to a daily seasonal naive forecast with empirical quantiles, as geometric means
// over series.
package backtest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"forewarm.dev/forecast"
)

// Protocol says where a series is cut and how far is forecast.
type Protocol struct {
	// Origins is the number of cuts. The last leaves one Horizon of the series; each other is
	// one Stride earlier.
	Origins int
	// Stride is the time between two cuts; no divisor of a day, so that they fall on
	// different times of day.
	Stride time.Duration
	// Horizon is how far is forecast, step by step.
	Horizon time.Duration
	// History is the most that a model gets to see.
	History time.Duration
}

// Standard is the protocol of every published figure.
func Standard() Protocol {
	return Protocol{Origins: 8, Stride: 21 * time.Hour, Horizon: day, History: 28 * day}
}

const day = 24 * time.Hour

// Cuts are the indexes of the first forecast value, latest first. A cut with less than a
// day of history before it is left out: there would be nothing to compare with.
func (p Protocol) Cuts(series forecast.Series) []int {
	var cuts []int
	for k := range p.Origins {
		cut := len(series.Values) - int(p.Horizon/series.Step) - k*int(p.Stride/series.Step)
		if cut > int(day/series.Step) {
			cuts = append(cuts, cut)
		}
	}
	return cuts
}

// levels are the quantile levels that are scored: 0.1 to 0.9.
var levels = [...]float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}

const (
	lowest, median, highest = 0, 4, 8
)

// Prediction is what a model said at one cut.
type Prediction struct {
	// Cut is the index of the first forecast value.
	Cut int
	// Quantiles has, per step ahead, the values at 0.1 to 0.9.
	Quantiles [][]float64
}

// Predict asks a model for the whole horizon at a cut, showing it what came before only.
func (p Protocol) Predict(model forecast.Model, series forecast.Series, seasons []time.Duration, cut int) (Prediction, error) {
	from := max(0, cut-int(p.History/series.Step))
	past := forecast.Series{
		Start:  series.Start.Add(time.Duration(from) * series.Step),
		Step:   series.Step,
		Values: slices.Clone(series.Values[from:cut]),
	}
	var horizon []time.Duration
	for h := series.Step; h <= p.Horizon; h += series.Step {
		horizon = append(horizon, h)
	}
	f, err := model.Forecast(past, seasons, horizon, past.End())
	if err != nil {
		return Prediction{}, fmt.Errorf("forecast from value %d on: %w", cut, err)
	}
	var columns [len(levels)]int
	for i, level := range levels {
		columns[i] = slices.IndexFunc(f.Levels, func(l float64) bool { return math.Abs(l-level) < 1e-9 })
		if columns[i] < 0 {
			return Prediction{}, fmt.Errorf("model %s gives no %v quantile, which is scored: add it to its levels", model.Name(), level)
		}
	}
	prediction := Prediction{Cut: cut, Quantiles: make([][]float64, len(horizon))}
	for j, row := range f.Quantiles {
		for _, column := range columns {
			prediction.Quantiles[j] = append(prediction.Quantiles[j], row[column])
		}
	}
	return prediction, nil
}

// Header is the first line of the rows that AppendCSV writes.
const Header = "series,method,origin,step,seconds,q0.1,q0.2,q0.3,q0.4,q0.5,q0.6,q0.7,q0.8,q0.9\n"

// AppendCSV appends the prediction as the rows that the reference scorer reads.
func (p Prediction) AppendCSV(rows []byte, series, method string, seconds float64) []byte {
	for j, quantiles := range p.Quantiles {
		rows = fmt.Appendf(rows, "%s,%s,%d,%d,%g", series, method, p.Cut, j+1, seconds)
		for _, q := range quantiles {
			rows = append(rows, ',')
			rows = strconv.AppendFloat(rows, q, 'g', -1, 64)
		}
		rows = append(rows, '\n')
	}
	return rows
}

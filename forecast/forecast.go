// Package forecast turns a demand series into a forecast: quantiles per horizon, and joint
// sample paths for whoever needs the maximum over a window. It is pure: a function of its
// arguments, with the same answer for the same seed.
//
// Demand is a stock, a count of what is asked for at a time, and never below zero. A
// forecast is made in five steps, one file each save the second:
//
//	seasons    what the series repeats is found
//	member     gaps are filled, and what forecasts points is fitted (package member)
//	origins    earlier times that look like now: same time of day, recent, demand rising alike
//	weights    candidates are weighed by how well they did at those origins
//	paths      the weighted candidates, plus whole courses of the errors made at those origins
package forecast

import (
	"math"
	"slices"
	"time"
)

// Series is demand at a fixed step.
type Series struct {
	// Start is the time of the first value.
	Start time.Time
	// Step is the time between two values, at least one second.
	Step time.Duration
	// Values are the observations in time order; NaN where one is missing.
	Values []float64
}

// End is the time of the last value; Start less one Step if there is none.
func (s Series) End() time.Time {
	return s.Start.Add(time.Duration(len(s.Values)-1) * s.Step)
}

// SinceFirst leaves out the time before the first observation.
func (s Series) SinceFirst() Series {
	first := slices.IndexFunc(s.Values, func(value float64) bool { return !math.IsNaN(value) })
	if first > 0 {
		s.Start, s.Values = s.Start.Add(time.Duration(first)*s.Step), s.Values[first:]
	}
	return s
}

// Horizons are times ahead up to until, one step of a series apart; further apart where there would be more
// than most.
func Horizons(step, until time.Duration, most int) []time.Duration {
	stride := step * (1 + (until/step-1)/time.Duration(most))
	var horizons []time.Duration
	for h := stride; h <= until; h += stride {
		horizons = append(horizons, h)
	}
	return horizons
}

// Quantiles holds, for one horizon, the forecast value per level of Forecast.Levels, never
// decreasing.
type Quantiles []float64

// Forecast is what a model expects.
type Forecast struct {
	// Horizon are the times ahead, as given by the caller.
	Horizon []time.Duration
	// Levels are the quantile levels, increasing, in (0, 1).
	Levels []float64
	// Quantiles has one row per horizon.
	Quantiles []Quantiles
	// Paths are equally likely joint sample paths: Paths[i][j] is the demand of path i at
	// Horizon[j]. Quantiles are those of the paths.
	Paths [][]float64
	// Source is the model or fallback that made the forecast.
	Source Source
	// Reason says why that source was used.
	Reason Reason
}

// Source names the model or the fallback behind a forecast.
type Source string

// Reason says in one word why a source was used.
type Reason string

// Model forecasts one series.
type Model interface {
	// Name is the model's stable name.
	Name() Source
	// Forecast answers for each horizon, counted from now, given what was observed until now.
	// seasons are the season lengths to use, shortest first; without any they are found. It returns an error only for
	// arguments that make no sense (a step below one second, no horizon); a history that is
	// too short is answered with what can be said, and a Reason.
	Forecast(history Series, seasons []time.Duration, horizon []time.Duration, now time.Time) (Forecast, error)
}

package backtest

import (
	"math"
	"slices"

	"forewarm.dev/forecast"
)

// Loss is the mean quantile loss, over all levels of a forecast, of what it said for its j-th
// horizon, in the unit of demand.
func Loss(f forecast.Forecast, j int, actual float64) float64 {
	loss := 0.0
	for i, level := range f.Levels {
		loss += pinball(actual, f.Quantiles[j][i], level) / float64(len(f.Levels))
	}
	return loss
}

// Inside says that what came is within the band from 0.1 to 0.9 of the j-th horizon.
func Inside(f forecast.Forecast, j int, actual float64) bool {
	at := func(level float64) float64 {
		i := slices.IndexFunc(f.Levels, func(l float64) bool { return math.Abs(l-level) < 1e-9 })
		if i < 0 {
			return math.NaN() // a band that is not known covers nothing
		}
		return f.Quantiles[j][i]
	}
	return actual >= at(levels[lowest]) && actual <= at(levels[highest])
}

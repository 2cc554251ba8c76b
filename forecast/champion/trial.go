package champion

import (
	"fmt"
	"math"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
)

const (
	// span is over which time settings are compared.
	span = 7 * day
	// stride is the time between two origins: no divisor of a day, so that they fall on all
	// times of day, longer than any horizon, so that their errors are not the same ones, and 59
	// of them in the span.
	stride = 170 * time.Minute
	// before is the least history before the first origin.
	before = 2 * day
)

// Enough says that a history is long enough to compare settings on.
func Enough(length time.Duration) bool { return length >= span+before }

// Trial is how settings did at rolling origins, oldest first. Trials of one series have the
// same origins.
type Trial struct {
	// Losses are the mean quantile losses per origin, in the unit of demand.
	Losses []float64
	// Demand is the mean of what came, per origin.
	Demand []float64
	// Inside is the share within the band from 0.1 to 0.9, per origin.
	Inside []float64
}

// Score sums up a trial.
type Score struct {
	// Loss is the mean quantile loss ÷ the mean demand.
	Loss float64
	// Coverage is the share of values within the band from 0.1 to 0.9.
	Coverage float64
	// Origins is the number of origins.
	Origins int
}

// Score sums up the trial.
func (t Trial) Score() Score {
	n := float64(max(len(t.Losses), 1))
	return Score{Loss: ratio(sum(t.Losses), sum(t.Demand)), Coverage: sum(t.Inside) / n, Origins: len(t.Losses)}
}

// ratio keeps both sides above zero, so that a perfect forecast of nothing compares.
func ratio(a, b float64) float64 { return max(a, tiny) / max(b, tiny) }

const tiny = 1e-9

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

// Try forecasts from each origin of the last seven days with what was known then, and
// compares with what came.
func Try(model forecast.Model, s Settings, history forecast.Series, horizon []time.Duration) (Trial, error) {
	var t Trial
	furthest := 0
	for _, h := range horizon {
		furthest = max(furthest, StepsAhead(h, history.Step))
	}
	every := max(int(stride/history.Step), 1)
	last := len(history.Values) - 1 - furthest
	first := max(len(history.Values)-int(span/history.Step), int(before/history.Step))
	for origin := last - (last-first)/every*every; origin >= first && origin <= last; origin += every {
		known := history
		known.Values = history.Values[:origin+1]
		f, err := model.Forecast(s.Of(known), s.Seasons, horizon, known.End())
		if err != nil {
			return t, fmt.Errorf("forecast from value %d on: %w", origin, err)
		}
		result := Judge(f, func(h time.Duration) float64 { return history.Values[origin+StepsAhead(h, history.Step)] })
		if result.Values > 0 {
			t.Losses = append(t.Losses, result.Loss)
			t.Demand = append(t.Demand, result.Demand)
			t.Inside = append(t.Inside, result.Inside)
		}
	}
	return t, nil
}

// StepsAhead is which value after the last one known a horizon is about, as models have it.
func StepsAhead(horizon, step time.Duration) int { return max(int((horizon+step-1)/step), 1) }

// Result is how one forecast did.
type Result struct {
	// Values is how many values it was compared with.
	Values int
	// Loss, Demand and Inside are as in Trial.
	Loss, Demand, Inside float64
}

// Judge compares a forecast with what came at each horizon; NaN where that is not known.
func Judge(f forecast.Forecast, came func(ahead time.Duration) float64) Result {
	var r Result
	for j, h := range f.Horizon {
		actual := came(h)
		if math.IsNaN(actual) {
			continue
		}
		r.Values++
		r.Loss += backtest.Loss(f, j, actual)
		r.Demand += actual
		if backtest.Inside(f, j, actual) {
			r.Inside++
		}
	}
	if n := float64(r.Values); n > 0 {
		r.Loss, r.Demand, r.Inside = r.Loss/n, r.Demand/n, r.Inside/n
	}
	return r
}

package forecast

import (
	"errors"
	"math"
	"time"
)

// Combined weighs last value and same-slot candidates by how well they did at earlier
// origins of the same time of day, per part of the horizon, and draws its joint paths from
// the errors it then would have made there. It has no randomness: the same history gives
// the same answer.
type Combined struct{}

// LastValue repeats the last value, with paths from its own past errors.
type LastValue struct{}

// SameSlot repeats the same slot of the shortest season, with paths from its own past errors.
type SameSlot struct{}

// Name implements Model.
func (Combined) Name() Source { return SourceCombined }

// Name implements Model.
func (LastValue) Name() Source { return SourceLastValue }

// Name implements Model.
func (SameSlot) Name() Source { return SourceSameSlot }

// Forecast implements Model.
func (Combined) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	return run(SourceCombined, history, seasons, horizon, now)
}

// Forecast implements Model.
func (LastValue) Forecast(history Series, _, horizon []time.Duration, now time.Time) (Forecast, error) {
	return run(SourceLastValue, history, nil, horizon, now)
}

// Forecast implements Model. A history shorter than two seasons is answered by the last value.
func (SameSlot) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	return run(SourceSameSlot, history, seasons[:min(len(seasons), 1)], horizon, now)
}

// Levels are the quantile levels of every forecast.
func Levels() []float64 {
	return []float64{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99}
}

// problem is one forecast being made.
type problem struct {
	grid
	candidates []candidate
	// steps are the horizons in steps after the last value.
	steps []int
	// season is the shortest usable season in steps, zero if there is none.
	season float64
}

func run(source Source, history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	if history.Step < time.Second {
		return Forecast{}, errors.New("forecast: the step of the history is below one second")
	}
	if len(horizon) == 0 {
		return Forecast{}, errors.New("forecast: no horizon was asked for")
	}
	f := Forecast{Horizon: horizon, Levels: Levels(), Source: source}
	p := pose(source, history, seasons, horizon, now)
	switch origins := p.origins(); {
	case len(p.values) == 0:
		f.Source, f.Reason, f.Paths = SourceNone, ReasonNoHistory, [][]float64{make([]float64, len(horizon))}
	case len(origins) < fewOrigins:
		f.Source, f.Reason, f.Paths = SourceLastValue, ReasonShortHistory, p.cautious()
	default:
		weights := p.weigh(origins)
		f.Paths = p.paths(weights, p.alike(origins))
		f.Reason = ReasonEnoughHistory
		if len(p.candidates) == 1 && source != SourceLastValue {
			f.Source, f.Reason = SourceLastValue, ReasonNoSeason
		}
	}
	f.Quantiles = quantiles(f.Paths, len(horizon))
	return f, nil
}

// pose converts the arguments into steps. A horizon counts from now, which may be later
// than the last value.
func pose(source Source, history Series, seasons, horizon []time.Duration, now time.Time) problem {
	p := problem{grid: clean(history.Values)}
	n := len(p.values)
	p.candidates = candidatesFor(n, history.Step, seasons)
	for _, season := range seasons {
		if length := float64(season) / float64(history.Step); length >= 2 && 2*length <= float64(n) && p.season == 0 {
			p.season = length
		}
	}
	if source == SourceSameSlot && len(p.candidates) > 1 {
		p.candidates = p.candidates[1:2]
	}
	late := min(max(now.Sub(history.End()), 0), maxLate)
	for _, h := range horizon {
		steps := int(math.Ceil(float64(h+late) / float64(history.Step)))
		p.steps = append(p.steps, max(steps, 1))
	}
	return p
}

// maxLate bounds how old the last value may be taken to be.
const maxLate = 24 * time.Hour

// point is the weighted forecast of all candidates at an origin for the j-th horizon.
func (p problem) point(weights [][]float64, origin, j int) float64 {
	sum := 0.0
	for c, w := range weights[j] {
		if w > 0 {
			sum += w * p.candidates[c].at(p.values, origin, p.steps[j])
		}
	}
	return sum
}

// weigh gives each candidate, per horizon, a weight of (best error ÷ its error)², with
// those below a twentieth dropped. Errors are mean absolute ones over the origins.
func (p problem) weigh(origins []int) [][]float64 {
	weights := make([][]float64, len(p.steps))
	for j, steps := range p.steps {
		weights[j] = make([]float64, len(p.candidates))
		best := math.Inf(1)
		for c, candidate := range p.candidates {
			for _, origin := range origins {
				weights[j][c] += math.Abs(p.values[origin+steps] - candidate.at(p.values, origin, steps))
			}
			weights[j][c] += 1e-9 * float64(len(origins))
			best = math.Min(best, weights[j][c])
		}
		normalise(weights[j], best)
	}
	return weights
}

// normalise turns errors into weights that add up to one.
func normalise(weights []float64, best float64) {
	sum := 0.0
	for c, err := range weights {
		weights[c] = best / err * best / err
		sum += weights[c]
	}
	kept := 0.0
	for c, w := range weights {
		if w < sum/20 {
			weights[c] = 0
		}
		kept += weights[c]
	}
	for c := range weights {
		weights[c] /= kept
	}
}

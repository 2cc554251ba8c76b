package forecast

import (
	"errors"
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast/member"
)

// Combined weighs last value, same-slot and seasonal-increment candidates by how well they
// did at earlier origins, per part of the horizon, and draws its joint paths from the errors
// that it would have made there.
type Combined struct {
	// Seed chooses among equally good draws of paths.
	Seed uint64
}

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
func (c Combined) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	p.seed, p.candidates = c.Seed, []member.Candidate{member.LastValue()}
	for _, season := range slices.Concat(p.seasons, p.shorter) {
		p.candidates = append(p.candidates, member.SameSlot(season), member.SeasonalIncrement(season))
	}
	return p.solve(SourceCombined), err
}

// Forecast implements Model.
func (LastValue) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	p.candidates = []member.Candidate{member.LastValue()}
	return p.solve(SourceLastValue), err
}

// Forecast implements Model. A history shorter than two seasons is answered by the last value.
func (SameSlot) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	p.candidates = []member.Candidate{member.LastValue()}
	if len(p.seasons) > 0 {
		p.candidates = []member.Candidate{member.SameSlot(p.seasons[0])}
	}
	return p.solve(SourceSameSlot), err
}

// problem is one forecast being made.
type problem struct {
	member.Grid
	// seasons are those that the history is divided by and is long enough for, in steps, shortest
	// first; shorter are found ones that are repeated as well.
	seasons, shorter []float64
	// repeats are the seasons that were given or found, in steps, shortest first.
	repeats []float64
	// horizon is as given; steps is the same in steps after the last value, at least one.
	horizon []time.Duration
	steps   []int
	// candidates are weighed against each other; at least one.
	candidates []member.Candidate
	seed       uint64
}

// maxLate bounds how old the last value may be taken to be.
const maxLate = 24 * time.Hour

// pose converts the arguments into steps. A horizon counts from now, which may be later
// than the last value.
func pose(history Series, seasons, horizon []time.Duration, now time.Time) (problem, error) {
	if history.Step < time.Second {
		return problem{}, errors.New("forecast: the step of the history is below one second: resample it")
	}
	if len(horizon) == 0 {
		return problem{}, errors.New("forecast: no horizon was asked for: give at least one")
	}
	p := problem{Grid: member.Clean(history.Values), horizon: slices.Clone(horizon)}
	if len(seasons) > 0 {
		p.seasons = usable(len(p.Values), history.Step, seasons)
		p.repeats = p.seasons
	} else {
		p.findSeasons(history)
	}
	p.steps = stepsAhead(horizon, now.Sub(history.End()), history.Step)
	return p, nil
}

// stepsAhead is the horizon in steps after the last value, which is late by some time.
func stepsAhead(horizon []time.Duration, late, step time.Duration) []int {
	late = min(max(late, 0), maxLate)
	steps := make([]int, len(horizon))
	for i, h := range horizon {
		steps[i] = max(int(math.Ceil(float64(h+late)/float64(step))), 1)
	}
	return steps
}

// solve makes the forecast with whatever the history allows: nothing, the last value, or
// the weighted candidates. The result is empty where there is no horizon.
func (p problem) solve(source Source) Forecast {
	if len(p.steps) == 0 {
		return Forecast{}
	}
	f := Forecast{Horizon: p.horizon, Levels: Levels(), Source: source, Reason: ReasonEnoughHistory}
	switch origins := p.origins(); {
	case len(p.Values) == 0:
		f.Source, f.Reason, f.Paths = SourceNone, ReasonNoHistory, [][]float64{make([]float64, len(p.steps))}
	case len(origins) < fewOrigins:
		f.Source, f.Reason, f.Paths = SourceLastValue, ReasonShortHistory, p.cautious()
	default:
		points := p.points(origins)
		f.Paths = p.paths(origins, points, p.weigh(origins, points))
		if len(p.seasons) == 0 && source != SourceLastValue {
			f.Source, f.Reason = SourceLastValue, ReasonNoSeason
		}
	}
	if f.Source == SourceCombined && len(p.repeats) == 0 {
		f.Reason = ReasonNoSeason
	}
	f.Quantiles = quantiles(f.Paths, len(p.steps))
	return f
}

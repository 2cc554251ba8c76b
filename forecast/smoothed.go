package forecast

import (
	"math"
	"slices"

	"forewarm.dev/forecast/member"
)

const (
	// fewestSmoothed is the shortest history that is smoothed.
	fewestSmoothed = 10
	// normalPaths is how many paths a normal band is drawn as: odd, so that the middle one is
	// the expected value.
	normalPaths = 255
)

// smoothed makes the forecast with what was fitted to the seasonally adjusted values. A
// shorter history is answered by the last value.
func (p problem) smoothed(source Source, fit func(values []float64) member.Smoothing) Forecast {
	if len(p.Values) < fewestSmoothed || len(p.steps) == 0 {
		p.candidates = []member.Candidate{member.LastValue()}
		return p.solve(SourceLastValue)
	}
	f := Forecast{Horizon: p.horizon, Levels: Levels(), Source: source, Reason: ReasonEnoughHistory}
	if len(p.seasons) == 0 {
		f.Reason = ReasonNoSeason
	}
	var season member.Indices
	if len(p.seasons) > 0 {
		season = member.IndicesOf(p.Grid, int(math.Round(p.seasons[0])))
	}
	points, deviations := fit(season.Adjust(nil, p.Values)).Ahead(slices.Max(p.steps))
	f.Paths = make([][]float64, normalPaths)
	for k := range f.Paths {
		f.Paths[k] = make([]float64, len(p.steps))
		z := math.Sqrt2 * math.Erfinv(2*(float64(k)+0.5)/normalPaths-1)
		for j, steps := range p.steps {
			adjusted := points[steps-1] + z*deviations[steps-1]
			f.Paths[k][j] = math.Max(season.Restore(adjusted, len(p.Values)-1+steps), 0)
		}
	}
	f.Quantiles = quantiles(f.Paths, len(p.steps))
	return f
}

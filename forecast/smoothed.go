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

// decomposition takes the season, in steps, out of the values; 0 is none.
type decomposition func(g member.Grid, season int) (adjusted []float64, left member.Indices)

// classical are indices that stay, where the season passes a test.
func classical(g member.Grid, season int) ([]float64, member.Indices) {
	var left member.Indices
	if season > 0 {
		left = member.IndicesOf(g, season)
	}
	return left.Adjust(nil, g.Values), left
}

// byLoess follows a season that changes.
func byLoess(g member.Grid, season int) ([]float64, member.Indices) {
	x := member.DecomposeSTL(g.Values, season)
	return x.Adjusted, x.Last
}

// smoothed makes the forecast with what was fitted to the seasonally adjusted values. A
// shorter history is answered by the last value.
func (p problem) smoothed(source Source, adjust decomposition, fit func(values []float64) member.Smoothing) Forecast {
	if len(p.Values) < fewestSmoothed || len(p.steps) == 0 {
		p.candidates = []member.Candidate{member.LastValue()}
		return p.solve(SourceLastValue)
	}
	f := Forecast{Horizon: p.horizon, Levels: Levels(), Source: source, Reason: ReasonEnoughHistory}
	shortest := 0
	if len(p.seasons) > 0 {
		shortest = int(math.Round(p.seasons[0]))
	} else {
		f.Reason = ReasonNoSeason
	}
	adjusted, season := adjust(p.Grid, shortest)
	points, deviations := fit(adjusted).Ahead(slices.Max(p.steps))
	f.Paths = make([][]float64, normalPaths)
	for k := range f.Paths {
		f.Paths[k] = make([]float64, len(p.steps))
		z := math.Sqrt2 * math.Erfinv(2*(float64(k)+0.5)/normalPaths-1)
		for j, steps := range p.steps {
			value := points[steps-1] + z*deviations[steps-1]
			f.Paths[k][j] = math.Max(season.Restore(value, len(p.Values)-1+steps), 0)
		}
	}
	f.Quantiles = quantiles(f.Paths, len(p.steps))
	return f
}

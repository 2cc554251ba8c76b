package forecast

import (
	"time"

	"forewarm.dev/forecast/member"
)

// Theta is the method that won the M3 competition, in the form of Hyndman and Billah (2003):
// simple exponential smoothing of the seasonally adjusted series, with half the slope of its
// regression line as drift. It is here to be compared with.
type Theta struct{}

// Name implements Model.
func (Theta) Name() Source { return SourceTheta }

// Forecast implements Model. The shortest season is used. The band is normal.
func (Theta) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	return p.smoothed(SourceTheta, classical, member.FitTheta), nil
}

// Naive2 repeats the last value of the seasonally adjusted series: what the M4 competition
// measures others against.
type Naive2 struct{}

// Name implements Model.
func (Naive2) Name() Source { return SourceNaive2 }

// Forecast implements Model. The shortest season is used. The band is normal.
func (Naive2) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	return p.smoothed(SourceNaive2, classical, member.FitNaive), nil
}

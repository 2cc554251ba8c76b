package forecast

import (
	"time"

	"forewarm.dev/forecast/member"
)

// ETS is exponential smoothing of the seasonally adjusted series with a damped trend and
// additive errors, (A,Ad,N) of Hyndman et al. (2008). It is here to be compared with.
type ETS struct{}

// Name implements Model.
func (ETS) Name() Source { return SourceETS }

// Forecast implements Model. The shortest season is used. The band is normal.
func (ETS) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	return p.smoothed(SourceETS, classical, member.FitETS), nil
}

// STLETS is exponential smoothing of what a decomposition by loess leaves without its season,
// simple or with a damped trend, whichever has the smaller AICc (Hyndman et al. 2008): R's stlf
// with additive errors. It is here to be compared with.
type STLETS struct{}

// Name implements Model.
func (STLETS) Name() Source { return SourceSTLETS }

// Forecast implements Model. The shortest season is used. The band is normal.
func (STLETS) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	return p.smoothed(SourceSTLETS, byLoess, member.FitByAICc), nil
}

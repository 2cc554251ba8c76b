package forecast

import (
	"math"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"forewarm.dev/forecast/leastsquares"
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
	return p.smoothed(SourceTheta, fitTheta), nil
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
	return p.smoothed(SourceNaive2, func(values []float64) smoothing {
		return smoothing{alpha: 1}.run(values)
	}), nil
}

// fitSimple fits simple exponential smoothing, starting from a gain that is not far.
func fitSimple(before smoothing, values []float64) smoothing {
	first := firstStep
	if before.alpha == 0 {
		before.alpha = 0.5
	} else {
		first /= 4
	}
	bounds := leastsquares.Bounds{Low: []float64{leastGain}, High: []float64{mostGain}, First: first, Last: lastStep}
	fitted := leastsquares.Descend([]float64{before.alpha}, bounds, func(at []float64) float64 {
		return smoothing{alpha: at[0]}.run(values).variance
	})
	return smoothing{alpha: fitted[0]}.run(values)
}

func fitTheta(values []float64) smoothing {
	s := fitSimple(smoothing{}, values)
	times := make([]float64, len(values))
	floats.Span(times, 0, float64(len(values)-1))
	_, slope := stat.LinearRegression(times, values, nil, false)
	remembered := (1 - math.Pow(1-s.alpha, float64(len(values)))) / s.alpha
	s.drift, s.level = slope/2, s.level+slope/2*(remembered-1)
	return s
}

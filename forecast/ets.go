package forecast

import (
	"math"
	"time"

	"forewarm.dev/forecast/leastsquares"
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
	return p.smoothed(SourceETS, fitETS), nil
}

// smoothing is exponential smoothing. Without beta and damping it is the simple one.
type smoothing struct {
	// alpha and beta are how much of an error goes into the level and into the trend.
	alpha, beta float64
	// damping is what is left of the trend after a step.
	damping float64
	// level and trend are those after the last value; drift is added per step ahead.
	level, trend, drift float64
	// variance is that of the errors one step ahead.
	variance float64
}

// Bounds of the parameters, those of R's forecast package.
const (
	leastGain, mostGain       = 1e-4, 0.9999
	leastDamping, mostDamping = 0.8, 0.98
)

// run smooths the values. It starts from the first of them, without a trend.
func (s smoothing) run(values []float64) smoothing {
	level, trend, squares := values[0], 0.0, 0.0
	for _, value := range values[1:] {
		var err float64
		level, trend, err = s.next(level, trend, value)
		squares += err * err
	}
	s.level, s.trend, s.variance = level, trend, squares/float64(len(values)-1)
	return s
}

// next are level and trend after one more value, and by how much it was missed.
func (s *smoothing) next(level, trend, value float64) (newLevel, newTrend, err float64) {
	ahead := level + s.damping*trend
	err = value - ahead
	return ahead + s.alpha*err, s.damping*trend + s.beta*err, err
}

func fitETS(values []float64) smoothing {
	return smoothing{alpha: 0.5, beta: 0.05, damping: 0.9}.fit(values, firstStep, lastStep)
}

// refit fits to other values of the same series: the parameters are not far.
func (s smoothing) refit(values []float64) smoothing { return s.fit(values, firstStep/4, 4*lastStep) }

func (s smoothing) fit(values []float64, first, last float64) smoothing {
	with := func(at []float64) smoothing {
		return smoothing{alpha: at[0], beta: at[0] * at[1], damping: at[2]}.run(values)
	}
	return with(leastsquares.Descend([]float64{s.alpha, s.beta / s.alpha, s.damping},
		leastsquares.Bounds{Low: []float64{leastGain, leastGain, leastDamping}, High: []float64{mostGain, mostGain, mostDamping}, First: first, Last: last},
		func(at []float64) float64 { return with(at).variance }))
}

// firstStep and lastStep are how far the search looks at first where nothing is known, and at
// last where the answer is to be exact, as a share of the bounds.
const firstStep, lastStep = 1.0 / 4, 1.0 / 512

// ahead are the expected value and the standard deviation for each number of steps ahead,
// from one on.
func (s smoothing) ahead(steps int) (points, deviations []float64) {
	left, reached, variance := 1.0, 0.0, s.variance
	for h := range steps {
		left *= s.damping
		reached += left
		points = append(points, s.level+s.drift*float64(h+1)+s.trend*reached)
		deviations = append(deviations, math.Sqrt(variance))
		weight := s.alpha + s.beta*reached
		variance += s.variance * weight * weight
	}
	return points, deviations
}

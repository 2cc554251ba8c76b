package member

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"forewarm.dev/forecast/leastsquares"
)

// Smoothing is exponential smoothing. Without beta and damping it is the simple one.
type Smoothing struct {
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
func (s Smoothing) run(values []float64) Smoothing {
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
func (s *Smoothing) next(level, trend, value float64) (newLevel, newTrend, err float64) {
	ahead := level + s.damping*trend
	err = value - ahead
	return ahead + s.alpha*err, s.damping*trend + s.beta*err, err
}

// FitETS fits smoothing with a damped trend.
func FitETS(values []float64) Smoothing {
	return Smoothing{alpha: 0.5, beta: 0.05, damping: 0.9}.fit(values, firstStep, lastStep)
}

// FitByAICc fits simple smoothing and smoothing with a damped trend, and keeps the one with the
// smaller AICc. Parameters are the gains, the damping, what it starts from, and the variance.
func FitByAICc(values []float64) Smoothing {
	const ofSimple, ofDamped = 3, 6
	simple, damped := fitSimple(Smoothing{}, values), FitETS(values)
	if damped.aicc(len(values), ofDamped) < simple.aicc(len(values), ofSimple) {
		return damped
	}
	return simple
}

// aicc is Akaike's criterion, corrected for few values.
func (s Smoothing) aicc(values, parameters int) float64 {
	n, k := float64(values), float64(parameters)
	return n*math.Log(s.variance) + 2*k*n/(n-k-1)
}

// refit fits to other values of the same series: the parameters are not far.
func (s Smoothing) refit(values []float64) Smoothing { return s.fit(values, firstStep/4, 4*lastStep) }

func (s Smoothing) fit(values []float64, first, last float64) Smoothing {
	with := func(at []float64) Smoothing {
		return Smoothing{alpha: at[0], beta: at[0] * at[1], damping: at[2]}.run(values)
	}
	return with(leastsquares.Descend([]float64{s.alpha, s.beta / s.alpha, s.damping},
		leastsquares.Bounds{Low: []float64{leastGain, leastGain, leastDamping}, High: []float64{mostGain, mostGain, mostDamping}, First: first, Last: last},
		func(at []float64) float64 { return with(at).variance }))
}

// firstStep and lastStep are how far the search looks at first where nothing is known, and at
// last where the answer is to be exact, as a share of the bounds.
const firstStep, lastStep = 1.0 / 4, 1.0 / 512

// Ahead are the expected value and the standard deviation for each number of steps ahead,
// from one on.
func (s Smoothing) Ahead(steps int) (points, deviations []float64) {
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

// FitNaive keeps the last value.
func FitNaive(values []float64) Smoothing { return Smoothing{alpha: 1}.run(values) }

// fitSimple fits simple exponential smoothing, starting from a gain that is not far.
func fitSimple(before Smoothing, values []float64) Smoothing {
	first := firstStep
	if before.alpha == 0 {
		before.alpha = 0.5
	} else {
		first /= 4
	}
	bounds := leastsquares.Bounds{Low: []float64{leastGain}, High: []float64{mostGain}, First: first, Last: lastStep}
	fitted := leastsquares.Descend([]float64{before.alpha}, bounds, func(at []float64) float64 {
		return Smoothing{alpha: at[0]}.run(values).variance
	})
	return Smoothing{alpha: fitted[0]}.run(values)
}

// FitTheta fits simple smoothing with half the slope of the regression line as drift.
func FitTheta(values []float64) Smoothing {
	s := fitSimple(Smoothing{}, values)
	times := make([]float64, len(values))
	floats.Span(times, 0, float64(len(values)-1))
	_, slope := stat.LinearRegression(times, values, nil, false)
	remembered := (1 - math.Pow(1-s.alpha, float64(len(values)))) / s.alpha
	s.drift, s.level = slope/2, s.level+slope/2*(remembered-1)
	return s
}

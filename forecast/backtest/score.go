package backtest

import (
	"errors"
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast"
)

// Span names a part of the horizon that is scored by itself.
type Span string

// Spans that are scored.
const (
	Hour Span = "1h"
	Day  Span = "24h"
)

// Spans are the spans in the order in which tables show them.
func Spans() []Span { return []Span{Hour, Day} }

func (s Span) length() time.Duration {
	if s == Hour {
		return time.Hour
	}
	return day
}

// Score is how a model did on one series over one span, over all cuts.
type Score struct {
	// MASE is the mean absolute error of the median, scaled by the mean absolute difference
	// of the history to the day before.
	MASE float64
	// WAPE is the absolute error of the median over all cuts ÷ the sum of the demand.
	WAPE float64
	// MAPE is the mean absolute error of the median ÷ the value, over values above a tenth of
	// the mean of the history, since it means nothing near zero; NaN where there is none.
	MAPE float64
	// Pinball is the summed quantile loss of 0.1 to 0.9.
	Pinball float64
	// RelativeMASE and RelativePinball are ÷ those of the seasonal naive, from 0.05 to 20.
	RelativeMASE, RelativePinball float64
	// Coverage is the share of values within the band from 0.1 to 0.9, which should be 0.8.
	Coverage float64
}

// ErrNothingToScore says that no cut leaves an observed value in the span.
var ErrNothingToScore = errors.New("no cut leaves an observed value to score: give a longer series")

// tally sums up what Score reports, cut by cut.
type tally struct {
	cuts, mapeCuts               int
	mase, naiveMASE, coverage    float64
	mape                         float64
	pinball, naivePinball        float64
	absoluteError, totalObserved float64
}

// ScoreSeries compares predictions with what came. Values that are missing are filled with
// straight lines for scaling, and never scored.
func ScoreSeries(series forecast.Series, predictions []Prediction, span Span) (Score, error) {
	filled := interpolate(series.Values)
	var sum tally
	for _, p := range predictions {
		sum.add(series, filled, p, int(span.length()/series.Step))
	}
	if sum.cuts == 0 {
		return Score{}, ErrNothingToScore
	}
	n := float64(sum.cuts)
	return Score{
		MASE:            sum.mase / n,
		WAPE:            ratio(sum.absoluteError, sum.totalObserved),
		MAPE:            sum.mape / float64(sum.mapeCuts),
		Pinball:         sum.pinball,
		RelativeMASE:    min(max(ratio(sum.mase/n, sum.naiveMASE/n), 0.05), 20),
		RelativePinball: min(max(ratio(sum.pinball, sum.naivePinball), 0.05), 20),
		Coverage:        sum.coverage / n,
	}, nil
}

// add scores the first steps of one prediction.
func (t *tally) add(series forecast.Series, filled []float64, p Prediction, steps int) {
	perDay := int(day / series.Step)
	if p.Cut <= perDay || len(p.Quantiles) < steps || p.Cut+steps > len(filled) {
		return
	}
	past := filled[max(0, p.Cut-28*perDay):p.Cut]
	scale, spread := dayToDay(past, perDay)
	t.addMAPE(past, series.Values[p.Cut:p.Cut+steps], p)
	var inside, scored, err, naiveErr float64
	for j := range steps {
		actual := series.Values[p.Cut+j]
		if math.IsNaN(actual) {
			continue
		}
		naive := filled[p.Cut-perDay+j%perDay]
		row := p.Quantiles[j]
		scored++
		err += math.Abs(actual - row[median])
		naiveErr += math.Abs(actual - naive)
		t.totalObserved += math.Abs(actual)
		for i, level := range levels {
			t.pinball += pinball(actual, row[i], level)
			t.naivePinball += pinball(actual, naive+spread[i], level)
		}
		if actual >= row[lowest] && actual <= row[highest] {
			inside++
		}
	}
	if scored == 0 {
		return
	}
	t.cuts++
	t.absoluteError += err
	t.mase += err / scored / scale
	t.naiveMASE += naiveErr / scored / scale
	t.coverage += inside / scored
}

// addMAPE scores what is large enough for a percentage.
func (t *tally) addMAPE(past, actual []float64, p Prediction) {
	least := 0.0
	for _, value := range past {
		least += 0.1 * value / float64(len(past))
	}
	least = max(least, 1e-9)
	var scored, err float64
	for j, value := range actual {
		if value > least {
			scored++
			err += math.Abs(value-p.Quantiles[j][median]) / value
		}
	}
	if scored > 0 {
		t.mapeCuts++
		t.mape += err / scored
	}
}

// dayToDay says how much a history differs from the day before: the mean absolute change,
// and the quantiles of the change, which are the spread of the seasonal naive.
func dayToDay(history []float64, perDay int) (scale float64, spread [len(levels)]float64) {
	changes := make([]float64, 0, len(history))
	scale = 1e-12
	for i := perDay; i < len(history); i++ {
		change := history[i] - history[i-perDay]
		changes = append(changes, change)
		scale += math.Abs(change) / float64(len(history)-perDay)
	}
	slices.Sort(changes)
	for i, level := range levels {
		spread[i] = quantile(changes, level)
	}
	return scale, spread
}

// pinball is the loss of a quantile at a level: an actual above it costs level per unit, one
// below it 1 − level.
func pinball(actual, forecast, level float64) float64 {
	return math.Max(level*(actual-forecast), (level-1)*(actual-forecast))
}

// ratio keeps both sides above zero, so that a perfect forecast of a constant compares.
func ratio(a, b float64) float64 { return max(a, 1e-9) / max(b, 1e-9) }

// quantile interpolates between the two nearest of sorted values.
func quantile(sorted []float64, level float64) float64 {
	at := level * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (sorted[above]-sorted[below])*(at-float64(below))
}

// interpolate fills missing values with straight lines, and carries the first and last
// observation to the ends.
func interpolate(values []float64) []float64 {
	filled := slices.Clone(values)
	last := -1
	for i, value := range values {
		if math.IsNaN(value) {
			continue
		}
		for k := last + 1; k < i; k++ {
			filled[k] = value
			if last >= 0 {
				filled[k] = values[last] + (value-values[last])*float64(k-last)/float64(i-last)
			}
		}
		last = i
	}
	for k := last + 1; last >= 0 && k < len(filled); k++ {
		filled[k] = values[last]
	}
	return filled
}

// Summary is how a model did over several series.
type Summary struct {
	// Series is how many there are.
	Series int
	// RelativeMASE and RelativePinball are geometric means.
	RelativeMASE, RelativePinball float64
	// WAPE, MASE and Coverage are means.
	WAPE, MASE, Coverage float64
	// MAPE is the middle of those series that have one, NaN where none has, and MAPEBelow15
	// the share of all series whose MAPE is below 15 %.
	MAPE, MAPEBelow15 float64
	// Pinball is the sum.
	Pinball float64
}

// Summarise averages the scores of several series over the same span.
func Summarise(scores []Score) Summary {
	s := Summary{Series: len(scores)}
	n := float64(len(scores))
	var percents []float64
	for _, score := range scores {
		s.MASE += score.MASE / n
		s.Pinball += score.Pinball
		if !math.IsNaN(score.MAPE) {
			percents = append(percents, score.MAPE)
		}
		if score.MAPE < 0.15 {
			s.MAPEBelow15 += 1 / n
		}
		s.RelativeMASE += math.Log(score.RelativeMASE) / n
		s.RelativePinball += math.Log(score.RelativePinball) / n
		s.WAPE += score.WAPE / n
		s.Coverage += score.Coverage / n
	}
	s.RelativeMASE, s.RelativePinball = math.Exp(s.RelativeMASE), math.Exp(s.RelativePinball)
	s.MAPE = math.NaN()
	if slices.Sort(percents); len(percents) > 0 {
		s.MAPE = quantile(percents, 0.5)
	}
	return s
}

package policy

import (
	"fmt"
	"math"
	"time"

	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
)

// Backtest asks a forecast about the past, as it would have been asked then.
type Backtest struct {
	// Model answers; nil is Auto, fitted anew every Refit intervals and told the values since.
	Model forecast.Model
	// Refit is in intervals.
	Refit int
	// Seasons are the season lengths, shortest first.
	Seasons []time.Duration
	// Horizon are the times ahead, until the end of the window.
	Horizon []time.Duration
	// Tau is the service level of the costs.
	Tau float64
	// Most is how many times it asks at most; in between, what was foreseen moves along with demand.
	Most int
}

// Outlooks are what was foreseen at the end of each of the last n intervals of a series without
// gaps; of those before, nothing.
func (b Backtest) Outlooks(series forecast.Series, n int) ([]capacity.Outlook, error) {
	count := len(series.Values)
	outlooks := make([]capacity.Outlook, count)
	first := max(count-n, 0)
	stride := max((count-first+b.Most-1)/max(b.Most, 1), 1)
	asker := asker{Backtest: b, series: series}
	for i := range outlooks {
		switch {
		case i < first:
			outlooks[i] = capacity.Outlook{Level: math.NaN(), Spread: 1}
		case (i-first)%stride == 0:
			var err error
			if outlooks[i], err = asker.ask(i); err != nil {
				return nil, fmt.Errorf("forecast as of interval %d of %d: %w", i, count, err)
			}
		default:
			outlooks[i] = outlooks[i-1].Moved(series.Values[i] - series.Values[i-1])
		}
	}
	return outlooks, nil
}

// asker asks as of one interval after another.
type asker struct {
	Backtest
	series forecast.Series
	fitted *forecast.Fitted
	learns int // the interval of the last fit
	knows  int // the last interval that it was told
}

func (a *asker) ask(i int) (capacity.Outlook, error) {
	answer, err := a.forecast(i)
	if err != nil {
		return capacity.Outlook{}, err
	}
	demand := capacity.ChunkDemand{Now: a.series.Values[i], Horizon: answer.Horizon, Paths: answer.Paths}
	window := a.Horizon[len(a.Horizon)-1]
	return capacity.OutlookOf(capacity.Peaks(demand, window), demand.Now, a.Tau), nil
}

// forecast knows the values until interval i, and nothing later.
func (a *asker) forecast(i int) (forecast.Forecast, error) {
	known := a.series
	known.Values = known.Values[: i+1 : i+1]
	if a.Model != nil {
		return a.Model.Forecast(known, a.Seasons, a.Horizon, known.End())
	}
	if a.fitted == nil || i-a.learns >= a.Refit {
		fitted, err := forecast.Auto{}.Fit(known, a.Seasons, a.Horizon, known.End())
		if err != nil {
			return forecast.Forecast{}, err
		}
		a.fitted, a.learns = fitted, i
	} else {
		a.fitted.Follow(a.series.Values[a.knows+1 : i+1]...)
	}
	a.knows = i
	return a.fitted.Forecast(known.End())
}

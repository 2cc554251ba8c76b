package simulate

import (
	"fmt"
	"math"
	"slices"
	"time"

	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
)

// Foresight is what a model said at each interval of a demand series about the intervals ahead. It
// is made once per series, since it depends neither on the lead time nor on the costs.
type Foresight struct {
	// Series is the demand of a chunk: value i is the highest of the step that ends at i steps.
	Series forecast.Series
	// Now is the demand at the end of each step.
	Now []float64
	// First is the index of the first interval at which the model was asked.
	First int
	// horizon are the times ahead.
	horizon []time.Duration
	// peaks[i][j] are the sorted highest demands of the paths until horizon j, seen at First + i.
	peaks [][][]float64
	// next[i] are the limits of the 95 % band of the demand one interval ahead.
	next [][2]float64
}

// ForesightOptions say what is foreseen.
type ForesightOptions struct {
	// Model forecasts from at most History of the series, by the seasons, at every interval from
	// First until before Until.
	Model forecast.Model
	// Refit, where above zero, has forecast.Auto in place of Model: fitted anew so often, and asked
	// with the newest values at every interval.
	Refit        time.Duration
	Seasons      []time.Duration
	History      time.Duration
	First, Until int
	// Plans are the limits of those who will ask: by their lead times they look as far ahead as the reserver would.
	Plans []capacity.Limits
	// Progress, if not nil, is told how many of all intervals are done.
	Progress func(done, all int)
}

// Foresee asks the model at every interval. It sees what was before, and nothing later.
func Foresee(stock Stock, o ForesightOptions) (Foresight, error) {
	series := stock.Highest
	f := Foresight{Series: series, Now: stock.Now, First: max(o.First, 0), horizon: horizons(o.Plans)}
	until := min(o.Until, len(series.Values))
	var fitted *forecast.Fitted
	for i := f.First; i < until; i++ {
		var answer forecast.Forecast
		var err error
		if o.Refit > 0 {
			fitted, answer, err = f.follow(o, fitted, i)
		} else {
			known := f.known(o, i)
			answer, err = o.Model.Forecast(known, o.Seasons, f.horizon, known.End())
		}
		if err != nil {
			return f, fmt.Errorf("forecast at interval %d: %w", i, err)
		}
		f.add(answer)
		if o.Progress != nil {
			o.Progress(i+1-f.First, until-f.First)
		}
	}
	return f, nil
}

// known is the history at an interval.
func (f Foresight) known(o ForesightOptions, i int) forecast.Series {
	step := f.Series.Step
	from := max(i+1-int(o.History/step), 0)
	return forecast.Series{Start: f.Series.Start.Add(time.Duration(from) * step), Step: step, Values: f.Series.Values[from : i+1]}
}

// follow asks the last fit with the newest value, or a new one where it is due.
func (f Foresight) follow(o ForesightOptions, fitted *forecast.Fitted, i int) (*forecast.Fitted, forecast.Forecast, error) {
	known := f.known(o, i)
	if every := max(int(o.Refit/f.Series.Step), 1); fitted == nil || i%every == 0 {
		var err error
		if fitted, err = (forecast.Auto{}).Fit(known, o.Seasons, f.horizon, known.End()); err != nil {
			return nil, forecast.Forecast{}, err
		}
	} else {
		fitted.Follow(f.Series.Values[i])
	}
	answer, err := fitted.Forecast(known.End())
	return fitted, answer, err
}

// horizons are the times ahead that any of the plans needs.
func horizons(plans []capacity.Limits) []time.Duration {
	var all []time.Duration
	for _, limits := range plans {
		all = append(all, limits.Horizon()...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (f *Foresight) add(answer forecast.Forecast) {
	rows := make([][]float64, len(f.horizon))
	running := make([]float64, len(answer.Paths))
	for j := range f.horizon {
		for i, path := range answer.Paths {
			running[i] = max(running[i], path[j])
		}
		rows[j] = slices.Clone(running)
		slices.Sort(rows[j])
	}
	f.peaks = append(f.peaks, rows)
	n := len(rows[0]) // the first step's peak is its value
	f.next = append(f.next, [2]float64{rows[0][n/40], rows[0][n-1-n/40]})
}

// at are the peaks until a window's end, seen at an interval; none before the first.
func (f Foresight) at(i int, window time.Duration) []float64 {
	if i < f.First || i-f.First >= len(f.peaks) {
		return nil
	}
	last := 0
	for j, ahead := range f.horizon {
		if ahead <= window {
			last = j
		}
	}
	return f.peaks[i-f.First][last]
}

// Demand is what was foreseen at an interval, as the plan takes it: paths whose highest demands until any time within
// the window are those of the model's. Where the demand of now is not that of the trace, since pods
// wait in this run, what is foreseen moves along.
func (f Foresight) Demand(i int, window time.Duration, now float64) capacity.ChunkDemand {
	peaks := f.at(i, window)
	demand := capacity.ChunkDemand{Now: now, Paths: make([][]float64, len(peaks))}
	moved := 0.0
	if i < len(f.Now) {
		moved = now - f.Now[i]
	}
	for k := range demand.Paths {
		demand.Paths[k] = make([]float64, 0, len(f.horizon))
	}
	for j, ahead := range f.horizon {
		if ahead > window || len(peaks) == 0 {
			break
		}
		demand.Horizon = append(demand.Horizon, ahead)
		for k, peak := range f.peaks[i-f.First][j] {
			demand.Paths[k] = append(demand.Paths[k], peak+moved)
		}
	}
	return demand
}

// Outlooks are those of the intervals from one until before another, at a service level; NaN where
// none was made.
func (f Foresight) Outlooks(from, until int, window time.Duration, tau float64) []capacity.Outlook {
	outlooks := make([]capacity.Outlook, until-from)
	for i := range outlooks {
		outlooks[i] = capacity.Outlook{Level: math.NaN(), Spread: 1}
		if peaks := f.at(from+i, window); len(peaks) > 0 {
			outlooks[i] = capacity.OutlookOf(peaks, f.Now[from+i], tau)
		}
	}
	return outlooks
}

// value is the demand of an interval; zero outside of the series.
func (f Foresight) value(i int) float64 {
	if i < 0 || i >= len(f.Series.Values) {
		return 0
	}
	return f.Series.Values[i]
}

package forecaster

import (
	"fmt"
	"slices"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/champion"
)

const (
	// refitEvery is how old a fit may become; less where the seasons are short.
	refitEvery = time.Hour
	// refitsPerSeason is how often at least it is made anew within a season.
	refitsPerSeason = 24
	// grown is by what factor a history may grow before it is learned from again.
	grown = 1.2
)

// fit is a version that has learned from a series, and follows it.
type fit struct {
	*forecast.Fitted
	// horizon and events are those that it was fitted for.
	horizon []time.Duration
	events  []forecast.Event
	// learned is the end of what it has learned from, end that of what it knows.
	learned, end time.Time
	// values is how many it has learned from.
	values int
}

// outdated says that it is time to learn again.
func (x *fit) outdated(s champion.Settings, series forecast.Series, asked question) bool {
	every := refitEvery
	if len(s.Seasons) > 0 {
		every = min(every, s.Seasons[0]/refitsPerSeason)
	}
	return series.End().Sub(x.learned) >= max(every, series.Step) ||
		float64(len(s.Of(series).Values)) >= grown*float64(x.values) || !slices.Equal(x.horizon, asked.horizon) ||
		!slices.Equal(x.events, asked.events) || slices.ContainsFunc(x.events, func(e forecast.Event) bool {
		return e.To.After(x.learned) && !e.To.After(series.End()) // what it did is known now
	})
}

// follow tells the fit what came since.
func (x *fit) follow(series forecast.Series) {
	for i := int(x.end.Sub(series.Start)/series.Step) + 1; i < len(series.Values); i++ {
		x.Follow(series.Values[max(i, 0)])
		x.end = x.end.Add(series.Step)
	}
}

// answer forecasts by a version. While it is still learning, the model that learns nothing
// beforehand answers, so that no caller waits.
func (f *Forecaster) answer(t *tracked, v champion.Version, asked question) (forecast.Forecast, error) {
	if v.Model == forecast.SourceAuto {
		x, err := f.fitOf(t, v, asked)
		if err != nil {
			return forecast.Forecast{}, err
		}
		if x != nil {
			x.follow(t.Series)
			return x.Forecast(asked.now)
		}
	}
	return forecast.Informed{Model: f.model, Events: asked.events}.Forecast(v.Of(t.Series), v.Seasons, asked.horizon, asked.now)
}

// explain says what the answer of a version is made of.
func (t *tracked) explain(version int64) forecast.Explanation {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.fits[version]; x != nil {
		return x.Explain()
	}
	return forecast.Explanation{}
}

// fitOf is the fit of a version; nil while there is none for this horizon. Where it is
// outdated a new one is begun, and meanwhile the old one goes on.
func (f *Forecaster) fitOf(t *tracked, v champion.Version, asked question) (*fit, error) {
	t.mu.Lock()
	x, busy, err := t.fits[v.Number], t.learning[v.Number], t.failed
	t.failed = nil
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !busy && (x == nil || x.outdated(v.Settings, t.Series, asked)) {
		f.learn(t, v, asked.clone())
		t.mu.Lock()
		x = t.fits[v.Number]
		t.mu.Unlock()
	}
	if x == nil || !slices.Equal(x.horizon, asked.horizon) {
		return nil, nil
	}
	return x, nil
}

// learn fits a version beside the loop.
func (f *Forecaster) learn(t *tracked, v champion.Version, asked question) {
	t.mu.Lock()
	t.learning[v.Number] = true
	loads := t.loads
	t.mu.Unlock()
	f.beside(f.fitting, func() {
		t.mu.Lock()
		series := v.Of(t.copy())
		t.mu.Unlock()
		started := time.Now()
		fitted, err := forecast.Auto{}.FitInformed(asked.events, series, v.Seasons, asked.horizon, series.End())
		f.metrics.fit.Observe(time.Since(started).Seconds())
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.learning, v.Number)
		switch {
		case err != nil:
			t.failed = fmt.Errorf("fit version %d: %w", v.Number, err)
		case loads == t.loads: // else the series is another by now
			t.fits[v.Number] = &fit{Fitted: fitted, horizon: asked.horizon, events: asked.events, learned: series.End(), end: series.End(), values: len(series.Values)}
		}
	})
}

// beside runs a job beside the loop, one at a time of those that share a turn.
func (f *Forecaster) beside(turn chan struct{}, job func()) {
	if f.inline {
		job()
		return
	}
	go func() {
		turn <- struct{}{}
		defer func() { <-turn }()
		job()
	}()
}

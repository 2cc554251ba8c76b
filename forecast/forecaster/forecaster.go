// Package forecaster keeps the demand series of each chunk in memory, records new
// observations in the history, and forecasts from both.
package forecaster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/champion"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/tracing"
)

// Store keeps samples beyond the life of the process.
type Store interface {
	// Load returns the series since a time. With an error that is history.ErrUnreadable it is
	// what could be read.
	Load(ctx context.Context, key history.Key, since time.Time, step time.Duration) (forecast.Series, error)
	// Append records samples in time order; those recorded already are ignored. An error that
	// is history.ErrUnreadable says that some can never be.
	Append(ctx context.Context, key history.Key, samples ...history.Sample) error
	// Prune drops what is older than a time.
	Prune(ctx context.Context, key history.Key, before time.Time) error
}

// Pool is what a forecaster needs to know of a WarmPool.
type Pool struct {
	// Name and UID are those of the WarmPool, which owns its history.
	Name string
	UID  types.UID
	// Interval is the step of the series.
	Interval time.Duration
	// History is how much is kept and fitted on.
	History time.Duration
	// Seasons are the season lengths, shortest first; without any they are found.
	Seasons []time.Duration
	// Model is SourceAuto, which is fitted and retrained, or anything else for Options.Model.
	Model forecast.Source
	// Events are those of the chunk that is asked about. What they did to its demand teaches nothing
	// about other times.
	Events []forecast.Event
	// RetrainEvery is the time between two retrainings; zero for none.
	RetrainEvery time.Duration
	// ReadOnly keeps new samples and versions in memory only, until the series is loaded again.
	ReadOnly bool
}

func (p Pool) check() error {
	if p.Interval < time.Second || p.History < p.Interval {
		return fmt.Errorf("pool %s: interval %v and history %v: the interval must be at least 1s, the history at least one interval", p.Name, p.Interval, p.History)
	}
	return nil
}

// Options are what a Forecaster needs.
type Options struct {
	// Store keeps samples beyond the life of the process.
	Store Store
	// Records keeps versions beyond the life of the process.
	Records Records
	// Model learns nothing beforehand. It answers for pools that want no other, and for a version
	// that is still learning.
	Model forecast.Model
	// Events tells of versions, on the WarmPool; nil tells nobody.
	Events events.EventRecorder
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Inline learns and retrains before Forecast returns, so that what it answers does not depend
	// on how fast the machine is. A loop that must not be held up leaves it false.
	Inline bool
}

// Forecaster records and forecasts. It is not for concurrent use. What takes long, fits and
// retraining, runs beside its caller.
type Forecaster struct {
	store   Store
	records Records
	model   forecast.Model
	events  events.EventRecorder
	metrics *metrics
	series  map[seriesKey]*tracked
	inline  bool
	// fitting and trying are whose turn it is: one fit and one retraining at a time.
	fitting, trying chan struct{}
}

type seriesKey struct{ pool, chunk string }

// New makes a Forecaster.
func New(o Options) *Forecaster {
	return &Forecaster{
		store: o.Store, records: o.Records, model: o.Model, events: o.Events, metrics: newMetrics(o.Registerer),
		series: map[seriesKey]*tracked{}, inline: o.Inline,
		fitting: make(chan struct{}, 1), trying: make(chan struct{}, 1),
	}
}

// Reset makes each series be loaded again before its next use, since another process may
// have recorded meanwhile. Samples that the store has not taken yet are kept.
func (f *Forecaster) Reset() {
	for _, t := range f.series {
		t.loaded = false
	}
}

// Keep forgets all pools but those of these names, and what is measured of them.
func (f *Forecaster) Keep(pools []string) {
	for key := range f.series {
		if !slices.Contains(pools, key.pool) {
			delete(f.series, key)
			f.metrics.forget(key.pool)
		}
	}
}

// Observe records the demand of a chunk, in chunks, in the interval that a time is in. Where
// several fall into one interval, the highest counts for the forecast. When the store does
// not take a sample, the error says so, and the sample is kept and offered again with the
// next one.
func (f *Forecaster) Observe(ctx context.Context, pool Pool, chunk string, at time.Time, demand float64) error {
	if math.IsNaN(demand) || math.IsInf(demand, 0) || demand < 0 {
		return fmt.Errorf("demand of pool %s chunk %s is %v: it must be a number from 0 up", pool.Name, chunk, demand)
	}
	if err := pool.check(); err != nil {
		return err
	}
	t := f.track(pool, chunk)
	t.hold(history.Sample{At: at, Demand: demand})
	if err := f.load(ctx, t, pool, chunk, at); err != nil {
		return err
	}
	t.add(at, demand, pool)
	if pool.ReadOnly {
		t.unsaved = nil
		return t.takeWarning()
	}
	err := f.store.Append(ctx, keyOf(pool, chunk), t.unsaved...)
	if err == nil || errors.Is(err, history.ErrUnreadable) {
		t.unsaved = nil
	}
	if err == nil {
		err = f.daily(ctx, t, pool, chunk, at)
	}
	return errors.Join(err, t.takeWarning())
}

// daily drops what is too old from the store, and reads what has come into it, once a day.
func (f *Forecaster) daily(ctx context.Context, t *tracked, pool Pool, chunk string, now time.Time) error {
	day := now.UTC().Format(time.DateOnly)
	if t.pruned == day {
		return nil
	}
	var err error
	if t.pruned != "" { // else it was just loaded
		err = f.complete(ctx, t, pool, chunk, now)
	}
	t.pruned = day
	return errors.Join(err, f.store.Prune(ctx, keyOf(pool, chunk), now.Add(-pool.History)))
}

// complete takes over what the store has beyond the series in memory, such as an import while this
// process leads. What was learned stays, since it still holds.
func (f *Forecaster) complete(ctx context.Context, t *tracked, pool Pool, chunk string, now time.Time) error {
	series, err := f.store.Load(ctx, keyOf(pool, chunk), now.Add(-pool.History), pool.Interval)
	if err != nil && !errors.Is(err, history.ErrUnreadable) {
		return fmt.Errorf("load history again: %w", err)
	}
	t.complete(upTo(series, now))
	return nil // what is unreadable was told when it was loaded first
}

// History is the demand recorded so far, NaN where an interval was missed; empty before the first
// Observe.
func (f *Forecaster) History(pool Pool, chunk string) forecast.Series {
	t := f.track(pool, chunk)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.copy()
}

// Answer is a forecast, and by which version of the chunk's ForecastModel it was made.
type Answer struct {
	forecast.Forecast
	// Version is zero where the pool's model has none.
	Version int64
	// Explanation is empty where nothing was learned beforehand.
	Explanation forecast.Explanation
}

// Forecast answers for the horizon, counted from now.
func (f *Forecaster) Forecast(ctx context.Context, pool Pool, chunk string, horizon []time.Duration, now time.Time) (Answer, error) {
	ctx, step := tracing.Step(ctx, "forecast")
	defer step.End()
	tracing.Note(ctx, tracing.Pool, pool.Name)
	tracing.Note(ctx, tracing.Chunk, chunk)
	if err := pool.check(); err != nil {
		return Answer{}, err
	}
	t := f.track(pool, chunk)
	if err := f.load(ctx, t, pool, chunk, now); err != nil {
		return Answer{}, err
	}
	version, asked := champion.Version{Settings: champion.Settings{Seasons: pool.Seasons}}, question{horizon, pool.Events, now}
	if pool.Model == forecast.SourceAuto {
		version = f.version(ctx, t, pool, chunk, asked)
	}
	started := time.Now()
	made, err := f.answer(t, version, asked)
	var explanation forecast.Explanation
	if made.Source == forecast.SourceAuto {
		explanation = t.explain(version.Number)
	}
	if err == nil && version.Number > 0 {
		err = f.await(t, version, made, asked)
	}
	if err != nil {
		return Answer{}, fmt.Errorf("forecast pool %s chunk %s: %w", pool.Name, chunk, err)
	}
	f.metrics.duration.Observe(time.Since(started).Seconds())
	tracing.Note(ctx, tracing.Source, string(made.Source))
	if len(t.Values) > 0 {
		f.metrics.age.WithLabelValues(pool.Name, chunk).Set(max(now.Sub(t.End()), 0).Seconds())
	}
	return Answer{Forecast: made, Version: version.Number, Explanation: explanation}, nil
}

func keyOf(pool Pool, chunk string) history.Key {
	return history.Key{Pool: pool.Name, PoolUID: pool.UID, Chunk: chunk}
}

// track is the series of a chunk; empty, and to be loaded, the first time.
func (f *Forecaster) track(pool Pool, chunk string) *tracked {
	key := seriesKey{pool.Name, chunk}
	if f.series[key] == nil {
		f.series[key] = &tracked{fits: map[int64]*fit{}, learning: map[int64]bool{}}
	}
	return f.series[key]
}

// load reads a series from the store the first time, after a Reset, and when the interval
// or the pool behind the name has changed. What has been observed but not recorded is added
// to it. Objects that cannot be read are no reason to stop: they leave gaps, and a warning.
func (f *Forecaster) load(ctx context.Context, t *tracked, pool Pool, chunk string, now time.Time) error {
	if t.loaded && t.Step == pool.Interval && t.uid == pool.UID {
		return nil
	}
	series, err := f.store.Load(ctx, keyOf(pool, chunk), now.Add(-pool.History), pool.Interval)
	switch {
	case errors.Is(err, history.ErrUnreadable):
		t.warning = fmt.Errorf("part of the history is not used: %w", err)
	case err != nil:
		return fmt.Errorf("load history: %w", err)
	}
	t.replace(upTo(series, now), pool.UID)
	for _, sample := range t.unsaved {
		t.add(sample.At, sample.Demand, pool)
	}
	return nil
}

// upTo drops what a wrong clock recorded for later than now, and the gap before the first value.
func upTo(series forecast.Series, now time.Time) forecast.Series {
	if n := int(now.Sub(series.Start)/series.Step) + 1; n < len(series.Values) {
		series.Values = series.Values[:max(n, 0)]
	}
	for n := len(series.Values); n > 0 && math.IsNaN(series.Values[n-1]); n-- {
		series.Values = series.Values[:n-1]
	}
	first := slices.IndexFunc(series.Values, func(v float64) bool { return !math.IsNaN(v) })
	if first > 0 {
		series.Start = series.Start.Add(time.Duration(first) * series.Step)
		series.Values = series.Values[first:]
	}
	return series
}

// Package forecaster keeps the demand series of each chunk in memory, records new
// observations in the history, and forecasts from both.
package forecaster

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
)

// Store keeps samples beyond the life of the process.
type Store interface {
	// Load returns the series since a time; a series beside an error is what could be read.
	Load(ctx context.Context, key history.Key, since time.Time, step time.Duration) (forecast.Series, error)
	// Append records samples in time order.
	Append(ctx context.Context, key history.Key, samples ...history.Sample) error
	// Prune drops what is older than a time.
	Prune(ctx context.Context, key history.Key, before time.Time) error
}

// Pool is what a forecaster needs to know of a WarmPool.
type Pool struct {
	Name string
	UID  types.UID
	// Interval is the step of the series.
	Interval time.Duration
	// History is how much is kept and fitted on.
	History time.Duration
	// Seasons are the season lengths, shortest first.
	Seasons []time.Duration
}

// Options are what a Forecaster needs.
type Options struct {
	Store      Store
	Model      forecast.Model
	Registerer prometheus.Registerer
}

// Forecaster records and forecasts. It is not for concurrent use.
type Forecaster struct {
	store   Store
	model   forecast.Model
	metrics *metrics
	series  map[history.Key]*tracked
}

// tracked is one series in memory.
type tracked struct {
	forecast.Series
	// unsaved are the samples that the store has not taken yet.
	unsaved []history.Sample
	// pruned is the day of the last pruning.
	pruned string
}

// New makes a Forecaster.
func New(o Options) *Forecaster {
	return &Forecaster{store: o.Store, model: o.Model, metrics: newMetrics(o.Registerer), series: map[history.Key]*tracked{}}
}

// mostUnsaved bounds the samples kept for a store that does not answer.
const mostUnsaved = 10000

// Observe records the demand of a chunk at a time. When the store does not take it, the
// error says so, and the sample is kept and offered again with the next one.
func (f *Forecaster) Observe(ctx context.Context, pool Pool, chunk string, at time.Time, demand float64) error {
	key := history.Key{Pool: pool.Name, PoolUID: pool.UID, Chunk: chunk}
	t, err := f.load(ctx, key, pool, at)
	if err != nil {
		return err
	}
	t.add(at, demand, pool)
	t.unsaved = append(t.unsaved, history.Sample{At: at, Demand: demand})
	if surplus := len(t.unsaved) - mostUnsaved; surplus > 0 {
		t.unsaved = t.unsaved[surplus:]
	}
	if err := f.store.Append(ctx, key, t.unsaved...); err != nil {
		return err
	}
	t.unsaved = nil
	if day := at.UTC().Format(time.DateOnly); t.pruned != day {
		t.pruned = day
		return f.store.Prune(ctx, key, at.Add(-pool.History))
	}
	return nil
}

// Forecast answers for the horizon, counted from now.
func (f *Forecaster) Forecast(ctx context.Context, pool Pool, chunk string, horizon []time.Duration, now time.Time) (forecast.Forecast, error) {
	key := history.Key{Pool: pool.Name, PoolUID: pool.UID, Chunk: chunk}
	t, err := f.load(ctx, key, pool, now)
	if err != nil {
		return forecast.Forecast{}, err
	}
	started := time.Now()
	answer, err := f.model.Forecast(t.Series, pool.Seasons, horizon, now)
	f.metrics.duration.Observe(time.Since(started).Seconds())
	if len(t.Values) > 0 {
		f.metrics.age.WithLabelValues(pool.Name, chunk).Set(now.Sub(t.End()).Seconds())
	}
	return answer, err
}

// load returns the series in memory, or reads it from the store the first time, and again
// when the interval has changed. Objects that cannot be read are an error only if nothing
// else could be.
func (f *Forecaster) load(ctx context.Context, key history.Key, pool Pool, now time.Time) (*tracked, error) {
	if t := f.series[key]; t != nil && t.Step == pool.Interval {
		return t, nil
	}
	series, err := f.store.Load(ctx, key, now.Add(-pool.History), pool.Interval)
	if err != nil && len(series.Values) == 0 {
		return nil, fmt.Errorf("load history: %w", err)
	}
	t := &tracked{Series: series}
	f.series[key] = t
	return t, nil
}

// add puts a value on the grid, with gaps before it where intervals were missed, and drops
// what is older than the history to be kept.
func (t *tracked) add(at time.Time, demand float64, pool Pool) {
	if len(t.Values) == 0 {
		t.Start = at.Truncate(pool.Interval)
	}
	index := int(at.Sub(t.Start) / pool.Interval)
	most := int(pool.History / pool.Interval)
	if index < 0 {
		return
	}
	if index >= len(t.Values)+most { // longer away than all that is kept
		t.Start, t.Values, index = at.Truncate(pool.Interval), nil, 0
	}
	for len(t.Values) <= index {
		t.Values = append(t.Values, math.NaN())
	}
	if old := t.Values[index]; math.IsNaN(old) || demand > old {
		t.Values[index] = demand
	}
	if surplus := len(t.Values) - most; surplus > most/10+1 {
		t.Values = append([]float64(nil), t.Values[surplus:]...)
		t.Start = t.Start.Add(time.Duration(surplus) * pool.Interval)
	}
}

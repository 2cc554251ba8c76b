package console

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
)

const (
	// farthest is how far ahead is shown, and leastSteps how many steps at least.
	farthest   = 6 * time.Hour
	leastSteps = 12
	// mostHorizons is how many times ahead are forecast.
	mostHorizons = 72
	// fresh is how long a forecast is shown, or its interval where that is longer.
	fresh = time.Minute
	// forecasting bounds how long making one may take.
	forecasting = time.Minute
)

// outlook is what was recorded of a chunk, and what is expected: made as forewarmctl forecast makes it.
type outlook struct {
	series   forecast.Series
	forecast forecast.Forecast
	from     time.Time
	// left says what could not be read.
	left string
}

// outlooks makes outlooks, each once for all who look, and one at a time.
type outlooks struct {
	demand  Demand
	clock   clock.PassiveClock
	flights *singleflight.Group
	turn    *semaphore.Weighted
	mu      *sync.Mutex
	made    map[string]outlook
}

func newOutlooks(demand Demand, c clock.PassiveClock) outlooks {
	return outlooks{demand, c, &singleflight.Group{}, semaphore.NewWeighted(1), &sync.Mutex{}, map[string]outlook{}}
}

// of is the outlook of a chunk.
func (o outlooks) of(ctx context.Context, pool *v1alpha1.WarmPool, chunk string) (outlook, error) {
	key := string(pool.UID) + "/" + chunk
	o.mu.Lock()
	known, ok := o.made[key]
	o.mu.Unlock()
	if ok && o.clock.Since(known.from) < max(fresh, pool.Spec.Forecast.Interval.Duration) {
		return known, nil
	}
	answer := o.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forecasting) // of those who wait, the first may go
		defer cancel()
		made, err := o.make(ctx, pool, chunk)
		if err == nil {
			o.keep(key, made)
		}
		return made, err
	})
	select {
	case <-ctx.Done():
		return outlook{}, ctx.Err()
	case result := <-answer:
		made, _ := result.Val.(outlook)
		return made, result.Err
	}
}

// keep drops what nobody has looked at for long.
func (o outlooks) keep(key string, made outlook) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for old, known := range o.made {
		if o.clock.Since(known.from) > farthest {
			delete(o.made, old)
		}
	}
	o.made[key] = made
}

func (o outlooks) make(ctx context.Context, pool *v1alpha1.WarmPool, chunk string) (outlook, error) {
	if err := o.turn.Acquire(ctx, 1); err != nil {
		return outlook{}, err
	}
	defer o.turn.Release(1)
	settings := pool.Spec.Forecast
	made := outlook{from: o.clock.Now().UTC()}
	series, err := o.demand.Load(ctx, history.Key{Pool: pool.Name, Chunk: chunk}, made.from.Add(-settings.History.Duration), settings.Interval.Duration)
	switch {
	case errors.Is(err, history.ErrUnreadable):
		made.left = err.Error()
	case err != nil:
		return made, fmt.Errorf("read the recorded demand: %w", err)
	}
	made.series = series.SinceFirst()
	if len(made.series.Values) == 0 {
		return made, nil
	}
	var seasons []time.Duration
	for _, season := range settings.Seasons {
		seasons = append(seasons, season.Duration)
	}
	made.forecast, err = forecast.Auto{}.Forecast(made.series, seasons, forecast.Horizons(made.series.Step, ahead(made.series), mostHorizons), made.from)
	return made, err
}

// ahead is how far ahead a series is shown: a third of what there is of it.
func ahead(s forecast.Series) time.Duration {
	return min(max(time.Duration(len(s.Values))*s.Step/3, leastSteps*s.Step), max(farthest, leastSteps*s.Step))
}

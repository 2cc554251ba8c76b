package forecaster

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
)

var (
	start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	pool  = Pool{Name: "a100", Interval: time.Minute, History: 10 * time.Minute}
)

// memoryStore is a store that can fail.
type memoryStore struct {
	samples []history.Sample
	pruned  time.Time
	fails   bool
}

func (m *memoryStore) Load(context.Context, history.Key, time.Time, time.Duration) (forecast.Series, error) {
	series := forecast.Series{Start: start, Step: time.Minute}
	for _, s := range m.samples {
		series.Values = append(series.Values, s.Demand)
	}
	return series, nil
}

func (m *memoryStore) Append(_ context.Context, _ history.Key, samples ...history.Sample) error {
	if m.fails {
		return errors.New("the store does not answer")
	}
	m.samples = append(m.samples, samples...)
	return nil
}

func (m *memoryStore) Prune(_ context.Context, _ history.Key, before time.Time) error {
	m.pruned = before
	return nil
}

// seeing is a model that keeps the series it was given.
type seeing struct{ got *forecast.Series }

func (s seeing) Name() forecast.Source { return "seeing" }

func (s seeing) Forecast(h forecast.Series, _, _ []time.Duration, _ time.Time) (forecast.Forecast, error) {
	*s.got = h
	return forecast.Forecast{}, nil
}

func TestObservationsReachTheModelAndTheStore(t *testing.T) {
	store := &memoryStore{samples: []history.Sample{{At: start, Demand: 1}, {At: start.Add(time.Minute), Demand: 2}}}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	for _, minute := range []int{2, 4} {
		if err := f.Observe(t.Context(), pool, "single", start.Add(time.Duration(minute)*time.Minute), float64(minute)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Forecast(t.Context(), pool, "single", nil, start.Add(4*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{1, 2, 2, math.NaN(), 4}, got.Values, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(store.samples) != 4 || !store.pruned.Equal(start.Add(2*time.Minute).Add(-pool.History)) {
		t.Errorf("stored %d, pruned before %v", len(store.samples), store.pruned)
	}
}

func TestSamplesWaitForAStoreThatDoesNotAnswer(t *testing.T) {
	store := &memoryStore{fails: true}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	for minute := range 3 {
		if err := f.Observe(t.Context(), pool, "single", start.Add(time.Duration(minute)*time.Minute), 5); err == nil {
			t.Error("the failure was not reported")
		}
	}
	store.fails = false
	if err := f.Observe(t.Context(), pool, "single", start.Add(3*time.Minute), 5); err != nil {
		t.Fatal(err)
	}
	if len(store.samples) != 4 {
		t.Errorf("%d samples stored, want all 4", len(store.samples))
	}
}

func TestOnlyTheHistoryToBeKeptIsInMemory(t *testing.T) {
	var got forecast.Series
	f := New(Options{Store: &memoryStore{}, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	for minute := range 100 {
		if err := f.Observe(t.Context(), pool, "single", start.Add(time.Duration(minute)*time.Minute), float64(minute)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Forecast(t.Context(), pool, "single", nil, start); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Values); n < 10 || n > 13 || got.Values[n-1] != 99 || !got.End().Equal(start.Add(99*time.Minute)) {
		t.Errorf("%d values until %v, last %v", n, got.End(), got.Values[n-1])
	}
}

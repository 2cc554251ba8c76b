package forecaster

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

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
	loads   int
	loadErr error
}

func (m *memoryStore) Load(_ context.Context, _ history.Key, since time.Time, step time.Duration) (forecast.Series, error) {
	m.loads++
	series := forecast.Series{Start: since.Truncate(step), Step: step}
	for _, s := range m.samples {
		if s.At.Before(series.Start) {
			continue
		}
		for index := int(s.At.Sub(series.Start) / step); len(series.Values) <= index; {
			series.Values = append(series.Values, math.NaN())
		}
		series.Values[len(series.Values)-1] = s.Demand
	}
	return series, m.loadErr
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
	if diff := cmp.Diff([]float64{1, 2, 2, math.NaN(), 4}, observed(got), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(store.samples) != 4 || !store.pruned.Equal(start.Add(2*time.Minute).Add(-pool.History)) {
		t.Errorf("stored %d, pruned before %v", len(store.samples), store.pruned)
	}
}

// observed are the values from the first observation on.
func observed(s forecast.Series) []float64 {
	first := slices.IndexFunc(s.Values, func(v float64) bool { return !math.IsNaN(v) })
	return s.Values[max(first, 0):]
}

// seriesOf is the series that a forecast at a minute is made from.
func seriesOf(t *testing.T, f *Forecaster, got *forecast.Series, minute int) []float64 {
	t.Helper()
	if _, err := f.Forecast(t.Context(), pool, "single", nil, start.Add(time.Duration(minute)*time.Minute)); err != nil {
		t.Fatal(err)
	}
	return observed(*got)
}

func TestReadOnlyKeepsSamplesInMemory(t *testing.T) {
	store := &memoryStore{}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	dry := pool
	dry.ReadOnly = true
	for minute := range 3 {
		if err := f.Observe(t.Context(), dry, "single", start.Add(time.Duration(minute)*time.Minute), float64(minute)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]float64{0, 1, 2}, seriesOf(t, f, &got, 2)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(store.samples) != 0 || !store.pruned.IsZero() {
		t.Error("the store was written")
	}
}

func TestHistoryIsLoadedOnceAndAfterReset(t *testing.T) {
	store := &memoryStore{}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	for minute := range 3 {
		if err := f.Observe(t.Context(), pool, "single", start.Add(time.Duration(minute)*time.Minute), 1); err != nil {
			t.Fatal(err)
		}
	}
	if store.loads != 1 {
		t.Errorf("loaded %d times, want once", store.loads)
	}
	store.samples = append(store.samples, history.Sample{At: start.Add(3 * time.Minute), Demand: 7}) // by another leader
	f.Reset()
	if diff := cmp.Diff([]float64{1, 1, 1, 7}, seriesOf(t, f, &got, 3)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// TestAnImportIsSeenTheNextDay holds that what was imported while this process leads is known within a
// day, earlier values and gaps, and that what it observed itself stays.
func TestAnImportIsSeenTheNextDay(t *testing.T) {
	store := &memoryStore{}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	hourly := pool
	hourly.Interval, hourly.History = time.Hour, 48*time.Hour
	observe := func(hour int) {
		t.Helper()
		if err := f.Observe(t.Context(), hourly, "single", start.Add(time.Duration(hour)*time.Hour), 1); err != nil {
			t.Fatal(err)
		}
	}
	observe(0)
	observe(2)
	store.samples = nil
	for hour := -2; hour < 3; hour++ {
		store.samples = append(store.samples, history.Sample{At: start.Add(time.Duration(hour) * time.Hour), Demand: 7})
	}
	observe(3)
	if n := len(f.History(hourly, "single").Values); n != 4 || store.loads != 1 {
		t.Errorf("on the same day %d values, %d loads, want 4 and 1", n, store.loads)
	}
	observe(24)
	series := f.History(hourly, "single")
	if diff := cmp.Diff([]float64{7, 7, 1, 7, 1, 1}, series.Values[:6]); diff != "" || !series.Start.Equal(start.Add(-2*time.Hour)) || store.loads != 2 {
		t.Errorf("from %v, %d loads (-want +got):\n%s", series.Start, store.loads, diff)
	}
}

func TestASampleOutlivesAHistoryThatCannotBeLoaded(t *testing.T) {
	store := &memoryStore{loadErr: errors.New("no API server")}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	if err := f.Observe(t.Context(), pool, "single", start, 5); err == nil {
		t.Error("the failure was not reported")
	}
	if _, err := f.Forecast(t.Context(), pool, "single", nil, start); err == nil {
		t.Error("a forecast was made without the history")
	}
	store.loadErr = nil
	if err := f.Observe(t.Context(), pool, "single", start.Add(time.Minute), 6); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{5, 6}, seriesOf(t, f, &got, 1)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(store.samples) != 2 {
		t.Errorf("%d samples stored, want 2", len(store.samples))
	}
}

func TestUnreadableHistoryIsToldOnceAndUsedAsFarAsItGoes(t *testing.T) {
	store := &memoryStore{samples: []history.Sample{{At: start, Demand: 3}}, loadErr: history.ErrUnreadable}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	if err := f.Observe(t.Context(), pool, "single", start.Add(time.Minute), 4); !errors.Is(err, history.ErrUnreadable) {
		t.Errorf("error %v, want one that is ErrUnreadable", err)
	}
	if err := f.Observe(t.Context(), pool, "single", start.Add(2*time.Minute), 5); err != nil {
		t.Errorf("told twice: %v", err)
	}
	if diff := cmp.Diff([]float64{3, 4, 5}, seriesOf(t, f, &got, 2)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if len(store.samples) != 3 {
		t.Errorf("%d samples stored, want all 3", len(store.samples))
	}
}

func TestWhatWasRecordedForTheFutureIsNotUsed(t *testing.T) {
	store := &memoryStore{samples: []history.Sample{{At: start, Demand: 3}, {At: start.Add(500 * time.Minute), Demand: 4}}}
	var got forecast.Series
	f := New(Options{Store: store, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	if diff := cmp.Diff([]float64{3}, seriesOf(t, f, &got, 2)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestTheHighestOfAnIntervalCounts(t *testing.T) {
	var got forecast.Series
	f := New(Options{Store: &memoryStore{}, Model: seeing{&got}, Registerer: prometheus.NewRegistry()})
	for i, demand := range []float64{4, 9, 2} {
		if err := f.Observe(t.Context(), pool, "single", start.Add(time.Duration(i)*time.Second), demand); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]float64{9}, seriesOf(t, f, &got, 0)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestSenselessInputIsAnError(t *testing.T) {
	f := New(Options{Store: &memoryStore{}, Model: forecast.Combined{}, Registerer: prometheus.NewRegistry()})
	for name, demand := range map[string]float64{"not a number": math.NaN(), "infinite": math.Inf(1), "negative": -1} {
		t.Run(name, func(t *testing.T) {
			if err := f.Observe(t.Context(), pool, "single", start, demand); err == nil {
				t.Error("accepted")
			}
		})
	}
	if err := f.Observe(t.Context(), Pool{Name: "a100", History: time.Hour}, "single", start, 1); err == nil {
		t.Error("a pool without an interval was accepted")
	}
	if _, err := f.Forecast(t.Context(), Pool{Name: "a100", History: time.Hour}, "single", nil, start); err == nil {
		t.Error("a pool without an interval was accepted")
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := New(Options{Store: &memoryStore{}, Model: forecast.Combined{}, Registerer: registry})
	if err := f.Observe(t.Context(), pool, "single", start, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Forecast(t.Context(), pool, "single", []time.Duration{time.Minute}, start.Add(90*time.Second)); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP forewarm_forecast_age_seconds Age of the last observation that the forecast of a chunk is made from.
# TYPE forewarm_forecast_age_seconds gauge
forewarm_forecast_age_seconds{chunk="single",pool="a100"} 90
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "forewarm_forecast_age_seconds"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "forewarm_forecast_duration_seconds"); err != nil || n != 1 {
		t.Errorf("%d duration histograms, error %v", n, err)
	}
}

func TestPoolsThatAreGoneAreForgotten(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := New(Options{Store: &memoryStore{}, Model: seeing{new(forecast.Series)}, Registerer: registry})
	other := pool
	other.Name = "other"
	for _, p := range []Pool{pool, other} {
		if err := f.Observe(t.Context(), p, "single", start, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Forecast(t.Context(), p, "single", nil, start); err != nil {
			t.Fatal(err)
		}
	}
	f.Keep([]string{"other"})
	if got := testutil.CollectAndCount(registry, "forewarm_forecast_age_seconds"); got != 1 {
		t.Errorf("%d pools are measured, want the one that is there", got)
	}
	if mine, its := len(f.History(pool, "single").Values), len(f.History(other, "single").Values); mine != 0 || its != 1 {
		t.Errorf("%d values of the pool that is gone are in memory, and %d of the other; want 0 and 1", mine, its)
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
	seriesOf(t, f, &got, 99)
	if n := len(got.Values); n < 10 || n > 13 || got.Values[n-1] != 99 || !got.End().Equal(start.Add(99*time.Minute)) {
		t.Errorf("%d values until %v, last %v", n, got.End(), got.Values[n-1])
	}
}

package forecaster

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/tools/events"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/champion"
	"forewarm.dev/forecast/history"
)

// memoryRecords keeps one record, and refuses who has not seen the last revision.
type memoryRecords struct {
	record   champion.Record
	revision string
	saves    int
	fails    bool
}

func (m *memoryRecords) Load(context.Context, history.Key) (champion.Record, string, error) {
	if m.fails {
		return champion.Record{}, "", errors.New("no API server")
	}
	return m.record, m.revision, nil
}

func (m *memoryRecords) Save(_ context.Context, _ history.Key, record champion.Record, revision string) (string, error) {
	if m.fails || revision != m.revision {
		return "", errors.New("conflict")
	}
	pinned := m.record.Pinned
	m.record, m.saves, m.revision = record, m.saves+1, m.revision+"+"
	m.record.Pinned = pinned
	return m.revision, nil
}

const quarter = 15 * time.Minute

// life is a forecaster in simulated time, which observes a demand and forecasts it each quarter.
type life struct {
	*Forecaster
	pool    Pool
	records *memoryRecords
	events  *events.FakeRecorder
	metrics *prometheus.Registry
	now     time.Time
	demand  func(i int) float64
	i       int
}

// newLife begins with some days of history recorded.
func newLife(t testing.TB, days int, demand func(i int) float64) *life {
	t.Helper()
	l := &life{
		records: &memoryRecords{}, events: events.NewFakeRecorder(100), metrics: prometheus.NewRegistry(), demand: demand, now: start,
		pool: Pool{
			Name: "a100", Interval: quarter, History: 28 * 24 * time.Hour, Seasons: []time.Duration{24 * time.Hour, 7 * 24 * time.Hour},
			Model: forecast.SourceAuto, RetrainEvery: 7 * 24 * time.Hour,
		},
	}
	store := &memoryStore{}
	for ; l.i < days*96; l.i++ {
		store.samples = append(store.samples, history.Sample{At: l.now, Demand: demand(l.i)})
		l.now = l.now.Add(quarter)
	}
	l.Forecaster = New(Options{
		Store: store, Records: l.records, Model: forecast.Combined{}, Events: l.events, Registerer: l.metrics, Inline: true,
	})
	return l
}

var ahead = []time.Duration{quarter, 2 * quarter}

// step observes a quarter and forecasts from it.
func (l *life) step(t testing.TB) Answer {
	t.Helper()
	if err := l.Observe(t.Context(), l.pool, "single", l.now, l.demand(l.i)); err != nil {
		t.Fatal(err)
	}
	answer, err := l.Forecast(t.Context(), l.pool, "single", ahead, l.now)
	if err != nil {
		t.Fatal(err)
	}
	l.now = l.now.Add(quarter)
	l.i++
	return answer
}

// told are the events so far that name a reason.
func (l *life) told(reason string) (n int) {
	for {
		select {
		case event := <-l.events.Events:
			if strings.Contains(event, reason) {
				n++
			}
		default:
			return n
		}
	}
}

// daily is a pattern of a day with noise, the same for the same seed.
func daily(seed uint64) func(i int) float64 {
	return func(i int) float64 {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		return 100 + 40*math.Sin(float64(i)*2*math.Pi/96) + 4*random.NormFloat64()
	}
}

func TestAFitFollowsAndIsMadeAnewHourly(t *testing.T) {
	l := newLife(t, 5, daily(1))
	fits := func() int {
		n := 0
		families, err := l.metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "forewarm_forecast_fit_duration_seconds" {
				n = int(family.GetMetric()[0].GetHistogram().GetSampleCount())
			}
		}
		return n
	}
	for range 9 {
		answer := l.step(t)
		if answer.Source != forecast.SourceAuto || answer.Version != 1 {
			t.Fatalf("source %s, version %d", answer.Source, answer.Version)
		}
		middle := answer.Quantiles[0][5]
		if next := 100 + 40*math.Sin(float64(l.i)*2*math.Pi/96); math.Abs(middle-next) > 15 {
			t.Errorf("median %.1f, while about %.1f comes", middle, next)
		}
	}
	if got := fits(); got != 3 {
		t.Errorf("%d fits in two hours, want 3", got)
	}
	longer := append(append([]time.Duration(nil), ahead...), 3*quarter)
	if answer, err := l.Forecast(t.Context(), l.pool, "single", longer, l.now); err != nil || len(answer.Quantiles) != 3 {
		t.Errorf("for a longer horizon %d rows, error %v", len(answer.Quantiles), err)
	}
}

func TestTheLoopDoesNotWaitForAFit(t *testing.T) {
	l := newLife(t, 5, daily(1))
	l.inline = false
	l.fitting <- struct{}{} // somebody else's turn
	if answer := l.step(t); answer.Source != forecast.SourceCombined || answer.Version != 1 {
		t.Errorf("source %s, version %d, want what needs no fit", answer.Source, answer.Version)
	}
	<-l.fitting
	for deadline := time.Now().Add(time.Minute); l.step(t).Source != forecast.SourceAuto; {
		if time.Now().After(deadline) {
			t.Fatal("no fit within a minute of its turn")
		}
	}
}

// TestALevelShiftIsAdoptedWithinADay: after demand has doubled from one quarter to the next, the
// forecast errs by the nineteenth to the twenty-fourth hour as little as before, over the seeds.
func TestALevelShiftIsAdoptedWithinADay(t *testing.T) {
	const days, shift = 10, 11 * 96
	var sumBefore, sumLast float64
	for seed := range uint64(3) {
		steady := daily(seed)
		l := newLife(t, days, func(i int) float64 {
			if i >= shift {
				return 100 + steady(i)
			}
			return steady(i)
		})
		errs := func(quarters int) (mean float64) {
			for range quarters {
				answer := l.step(t)
				mean += math.Abs(answer.Quantiles[0][5]-l.demand(l.i)) / float64(quarters)
			}
			return mean
		}
		before, first, between, last := errs(96), errs(24), errs(48), errs(24)
		t.Logf("seed %d: mean error of the median %.2f before, %.2f in the first six hours, %.2f in the next twelve, %.2f in the last six of a day",
			seed, before, first, between, last)
		sumBefore, sumLast = sumBefore+before, sumLast+last
	}
	if sumLast > 1.25*sumBefore {
		t.Errorf("error %.2f a day after the shift, %.2f before it, added up over the seeds", sumLast, sumBefore)
	}
}

// TestABetterChallengerTakesOver: a champion that sees three hours only, and so no day, is
// replaced at the first retraining, and told of; it stays the one to go back to.
func TestABetterChallengerTakesOver(t *testing.T) {
	l := newLife(t, 10, daily(2))
	poor := champion.Settings{Model: forecast.SourceCombined, Window: 3 * time.Hour}
	l.records.record, l.records.revision = champion.Begin(poor, start), "1"
	if answer := l.step(t); answer.Version != 1 {
		t.Fatalf("version %d, want the one that is kept", answer.Version)
	}
	answer := l.step(t)
	record := l.records.record
	if record.Champion != 2 || record.Previous != 1 || answer.Version != 2 || answer.Source != forecast.SourceAuto {
		t.Errorf("version %d by %s; record %+v", answer.Version, answer.Source, record)
	}
	if v := record.InUse(); v.Outcome != champion.OutcomePromoted || v.Better < 0.05 || v.Probability < 0.97 {
		t.Errorf("promoted as %+v", v)
	}
	if n := l.told("ForecastPromoted"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

// TestADegradedChampionIsToldAndChallenged: when noise grows fivefold in the second week, the
// error of a day is too high after hours, which is told once, and challengers are tried again
// before the week is over.
func TestADegradedChampionIsToldAndChallenged(t *testing.T) {
	const change = 11 * 96
	l := newLife(t, 10, func(i int) float64 {
		noise := 4.0
		if i >= change {
			noise = 20
		}
		return max(100+40*math.Sin(float64(i)*2*math.Pi/96)+noise*rand.New(rand.NewPCG(3, uint64(i))).NormFloat64(), 0)
	})
	for l.i < change {
		l.step(t)
	}
	first := l.records.record
	if first.Tried.IsZero() || first.Degraded {
		t.Fatalf("before the change: %+v", first)
	}
	hours := 0
	for ; hours < 24 && !l.records.record.Degraded; hours++ {
		for range 4 {
			l.step(t)
		}
	}
	if n := l.told("ForecastDegraded"); hours < 6 || hours > 12 || n != 1 {
		t.Errorf("degraded after %d hours, %d events", hours, n)
	}
	if got := testutil.ToFloat64(l.Forecaster.metrics.degraded.WithLabelValues("a100", "single")); got != 1 {
		t.Errorf("the metric says %v", got)
	}
	l.step(t)
	l.step(t)
	if again := l.records.record.Tried; !again.After(first.Tried) {
		t.Errorf("last tried %v, before the change", again)
	}
}

func TestEveryVersionIsKeptAndTold(t *testing.T) {
	l := newLife(t, 10, daily(5))
	l.step(t)
	l.step(t)
	record := l.records.record
	if len(record.Versions) != 2 || record.Champion != 1 || record.Tried.IsZero() {
		t.Fatalf("after the first trial: %+v", record)
	}
	v := record.Versions[1]
	if v.Outcome != champion.OutcomeRejected || v.Score.Origins < 28 || v.From.IsZero() || v.To.IsZero() || v.Against != 1 || v.Reason == "" {
		t.Errorf("the challenger is kept as %+v", v)
	}
	if record.Versions[0].Score.Origins < 28 {
		t.Errorf("the champion's score is not kept: %+v", record.Versions[0])
	}
	saves := l.records.saves
	for range 8 {
		l.step(t)
	}
	if l.records.saves != saves {
		t.Errorf("%d saves although nothing has changed", l.records.saves-saves)
	}
	if got := testutil.ToFloat64(l.Forecaster.metrics.retrainings.WithLabelValues("Rejected")); got != 1 {
		t.Errorf("%v retrainings counted", got)
	}
}

// TestTrialsGoOnAfterOneThatCouldNotBeKept: its result waits until it can, and the next is made
// when it is due.
func TestTrialsGoOnAfterOneThatCouldNotBeKept(t *testing.T) {
	l := newLife(t, 10, daily(5))
	l.pool.RetrainEvery = time.Hour
	l.step(t)
	l.records.fails = true
	if _, err := l.Forecast(t.Context(), l.pool, "single", ahead, l.now); err != nil {
		t.Fatal(err)
	}
	l.records.fails = false
	if err := l.Observe(t.Context(), l.pool, "single", l.now, 1); err == nil {
		t.Fatal("that it could not be kept is not told")
	}
	l.step(t)
	first := l.records.record.Tried
	if first.IsZero() {
		t.Fatal("the trial is not kept")
	}
	for range 8 {
		l.step(t)
	}
	if again := l.records.record.Tried; !again.After(first) {
		t.Errorf("two hours later the last trial is still that of %v", first)
	}
}

// TestAPinnedVersionIsUsedAtOnce: the next forecast is another.
func TestAPinnedVersionIsUsedAtOnce(t *testing.T) {
	l := newLife(t, 10, daily(6))
	l.step(t)
	simple := champion.Version{Number: 7, Settings: champion.Settings{Model: forecast.SourceCombined}, Outcome: champion.OutcomePromoted}
	l.records.record.Versions = append(l.records.record.Versions, simple)
	before := l.step(t)
	l.records.record.Pinned = 7
	after := l.step(t)
	if before.Source != forecast.SourceAuto || before.Version != 1 || after.Version != 7 || after.Source == forecast.SourceAuto {
		t.Errorf("before %s version %d, after %s version %d", before.Source, before.Version, after.Source, after.Version)
	}
	l.records.record.Pinned = 0
	if again := l.step(t); again.Version != 1 {
		t.Errorf("version %d after the pin was taken away, want the champion", again.Version)
	}
}

// TestWhatErrsMoreIsRolledBack: a version that was promoted, and errs more than the one before
// would, is in use for six hours.
func TestWhatErrsMoreIsRolledBack(t *testing.T) {
	l := newLife(t, 10, daily(8))
	l.step(t)
	l.step(t)
	bad := champion.Version{ // a window of three hours knows no day
		Number: 9, Settings: champion.Settings{Model: forecast.SourceCombined, Window: 3 * time.Hour}, Outcome: champion.OutcomePromoted,
	}
	l.records.record.Versions = append(l.records.record.Versions, bad)
	l.records.record.Champion, l.records.record.Previous = 9, 1
	hours := 0
	for ; hours < 12 && l.records.record.Champion == 9; hours++ {
		for range 4 {
			l.step(t)
		}
	}
	v, _ := l.records.record.Find(9)
	if l.records.record.Champion != 1 || v.Outcome != champion.OutcomeRolledBack || hours < 6 || hours > 8 {
		t.Errorf("champion %d after %d hours, version 9 %s", l.records.record.Champion, hours, v.Outcome)
	}
	if n := l.told("ForecastRolledBack"); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	if answer := l.step(t); answer.Version != 1 {
		t.Errorf("version %d, want 1", answer.Version)
	}
}

func TestForecastsGoOnWithoutRecords(t *testing.T) {
	l := newLife(t, 5, daily(9))
	l.records.fails = true
	if err := l.Observe(t.Context(), l.pool, "single", l.now, 1); err != nil {
		t.Fatal(err)
	}
	answer, err := l.Forecast(t.Context(), l.pool, "single", ahead, l.now)
	if err != nil || answer.Source != forecast.SourceAuto {
		t.Errorf("source %s, error %v", answer.Source, err)
	}
	if err := l.Observe(t.Context(), l.pool, "single", l.now.Add(quarter), 1); err == nil || !strings.Contains(err.Error(), "no API server") {
		t.Errorf("told %v, want the failure", err)
	}
}

func TestReadOnlyKeepsVersionsInMemory(t *testing.T) {
	l := newLife(t, 10, daily(3))
	l.pool.ReadOnly = true
	l.step(t)
	if answer := l.step(t); answer.Version != 1 || l.records.saves != 0 {
		t.Errorf("version %d, %d saves", answer.Version, l.records.saves)
	}
}

// minutely is four weeks of minutes with a daily pattern.
func minutely(b *testing.B) *life {
	pattern := daily(1)
	l := newLife(b, 0, func(i int) float64 { return math.Round(pattern(i / 15)) })
	l.pool.Interval, l.pool.RetrainEvery = time.Minute, 0
	store := &memoryStore{}
	for ; l.i < 28*24*60; l.i++ {
		store.samples = append(store.samples, history.Sample{At: l.now, Demand: l.demand(l.i)})
		l.now = l.now.Add(time.Minute)
	}
	l.store = store
	return l
}

// BenchmarkAnHour is one fit and sixty forecasts of seven minutes, as of a chunk whose interval
// is a minute. A thousand of them an hour are a core if it takes 3.6 s.
func BenchmarkAnHour(b *testing.B) {
	l := minutely(b)
	horizon := []time.Duration{}
	for minute := range 7 {
		horizon = append(horizon, time.Duration(minute+1)*time.Minute)
	}
	for b.Loop() {
		for range 60 {
			if err := l.Observe(b.Context(), l.pool, "single", l.now, l.demand(l.i)); err != nil {
				b.Fatal(err)
			}
			if _, err := l.Forecast(b.Context(), l.pool, "single", horizon, l.now); err != nil {
				b.Fatal(err)
			}
			l.i++
			l.now = l.now.Add(time.Minute)
		}
	}
}

// BenchmarkRetraining is one round of trials on four weeks of minutes.
func BenchmarkRetraining(b *testing.B) {
	l := minutely(b)
	series := forecast.Series{Start: start, Step: time.Minute}
	for i := range 28 * 24 * 60 {
		series.Values = append(series.Values, l.demand(i))
	}
	record := champion.Begin(champion.First(l.pool.Seasons), start)
	horizon := []time.Duration{time.Minute, 4 * time.Minute, 7 * time.Minute}
	for b.Loop() {
		if _, err := tryAll(record.InUse(), l.pool.Seasons, series, question{horizon: horizon}); err != nil {
			b.Fatal(err)
		}
	}
}

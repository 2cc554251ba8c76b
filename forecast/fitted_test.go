package forecast

import (
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func fit(t *testing.T, history Series, horizon []time.Duration) *Fitted {
	t.Helper()
	f, err := Auto{}.Fit(history, seasons, horizon, history.End())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ask(t *testing.T, f *Fitted, now time.Time, horizons int) Forecast {
	t.Helper()
	answer, err := f.Forecast(now)
	if err != nil {
		t.Fatal(err)
	}
	checkForecast(t, answer, horizons)
	return answer
}

// TestFollowingIsNearlyAFit holds that a fit of six hours ago, told what came since, forecasts
// much like a new one, and not like one that was told nothing.
func TestFollowingIsNearlyAFit(t *testing.T) {
	history := fives(16, 5)
	horizon := steps(history.Step, 48)
	old := history
	old.Values = history.Values[:len(history.Values)-72]
	following, fresh := fit(t, old, horizon), fit(t, history, horizon)
	told := ask(t, following, old.End(), 48)
	if diff := cmp.Diff(told, auto(t, old, horizon)); diff != "" {
		t.Errorf("a fit does not say what Auto does:\n%s", diff)
	}
	following.Follow(history.Values[len(old.Values):]...)
	told = ask(t, following, history.End(), 48)
	want := ask(t, fresh, history.End(), 48)
	unchanged := ask(t, fit(t, old, horizon), old.End(), 48)
	apart, stale := 0.0, 0.0
	for j, row := range want.Quantiles {
		for i := range row {
			apart += math.Abs(told.Quantiles[j][i]-row[i]) / float64(len(row)*len(want.Quantiles))
			stale += math.Abs(unchanged.Quantiles[j][i]-row[i]) / float64(len(row)*len(want.Quantiles))
		}
	}
	if apart > stale/10 || stale < 10 {
		t.Errorf("quantiles are %.2f from those of a new fit, and %.2f if told nothing", apart, stale)
	}
}

func TestFollowingWhatIsMissing(t *testing.T) {
	history := fives(10, 2)
	f := fit(t, history, steps(history.Step, 12))
	f.Follow(math.NaN(), math.Inf(1), -5, 1e300)
	answer := ask(t, f, history.End().Add(4*history.Step), 12)
	if low := answer.Quantiles[0][0]; low > 50 {
		t.Errorf("after a demand below zero, which counts as none, the least expected is %v", low)
	}
}

// TestFollowingAShortHistory holds that what is too short to fit is answered anew each time.
func TestFollowingAShortHistory(t *testing.T) {
	f := fit(t, series(), minutes)
	if answer := ask(t, f, start, len(minutes)); answer.Source != SourceNone {
		t.Errorf("nothing is answered by %s", answer.Source)
	}
	f.Follow(5, 5, 5)
	answer := ask(t, f, start.Add(2*time.Minute), len(minutes))
	if median := answer.Quantiles[0][slices.Index(answer.Levels, 0.5)]; answer.Source != SourceLastValue || math.Abs(median-5) > 1 {
		t.Errorf("three values of 5 are answered by %s with %v", answer.Source, median)
	}
}

// TestAFitIsLean holds the memory that a fit and a forecast of a day take: four weeks of five
// minutes, 2 MiB.
func TestAFitIsLean(t *testing.T) {
	for _, test := range []struct {
		name    string
		history Series
	}{{"daily", fives(28, 1)}, {"intermittent", rare(1, 28)}} {
		history, horizon := test.history, steps(test.history.Step, 288)
		const rounds = 3
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			if _, err := (Auto{}).Forecast(history, seasons, horizon, history.End()); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if bytes := (after.TotalAlloc - before.TotalAlloc) / rounds; bytes > 2<<20 {
			t.Errorf("%s: %d bytes are allocated, want at most %d", test.name, bytes, 2<<20)
		}
	}
}

func BenchmarkFittedFourWeeksOfFiveMinutes(b *testing.B) {
	history := fives(28, 1)
	f, err := Auto{}.Fit(history, seasons, steps(history.Step, 288), history.End())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Forecast(history.End()); err != nil {
			b.Fatal(err)
		}
	}
}

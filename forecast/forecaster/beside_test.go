package forecaster

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"forewarm.dev/forecast"
)

// eventually forecasts again and again at the same time until something holds, and counts how often.
func (l *life) eventually(t *testing.T, holds func(Answer) bool) (forecasts int) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		answer, err := l.Forecast(t.Context(), l.pool, "single", ahead, l.now)
		if err != nil {
			t.Fatal(err)
		}
		forecasts++
		switch {
		case holds(answer):
			return forecasts
		case time.Now().After(deadline):
			t.Fatalf("not within two minutes; record %+v", l.records.record)
		}
	}
}

// TestTheLoopDoesNotWaitForATrial holds that forecasts go on while challengers are tried, which takes
// seconds, and that what the trial found is entered when it ends.
func TestTheLoopDoesNotWaitForATrial(t *testing.T) {
	l := newLife(t, 28, daily(4))
	l.inline = false
	const meanwhile = 20
	tried := l.eventually(t, func(answer Answer) bool {
		if answer.Version != 1 {
			t.Fatalf("version %d while nothing was promoted", answer.Version)
		}
		return !l.records.record.Tried.IsZero()
	})
	if tried < meanwhile {
		t.Errorf("%d forecasts until the trial had ended, want at least %d, none of which waits for it", tried, meanwhile)
	}
}

// TestATrialWaitsForItsTurnAlone holds that one trial at a time is made, and that the loop is not kept
// by those that wait.
func TestATrialWaitsForItsTurnAlone(t *testing.T) {
	l := newLife(t, 10, daily(4))
	l.inline = false
	l.trying <- struct{}{} // that of another chunk, which takes long
	for range 8 {
		if answer := l.step(t); answer.Version != 1 {
			t.Fatalf("version %d", answer.Version)
		}
	}
	if !l.records.record.Tried.IsZero() {
		t.Fatal("tried, though it was somebody else's turn")
	}
	<-l.trying
	l.eventually(t, func(Answer) bool { return !l.records.record.Tried.IsZero() })
}

// TestATrialOfAFormerLeaderIsDropped: whoever leads again begins with what the others have recorded, so
// that a trial from before is of another series.
func TestATrialOfAFormerLeaderIsDropped(t *testing.T) {
	l := newLife(t, 10, daily(4))
	l.inline = false
	l.trying <- struct{}{}
	l.step(t)
	l.eventually(t, func(answer Answer) bool { return answer.Source == forecast.SourceAuto })
	l.Reset() // as one does that begins to lead
	l.step(t) // whose own trial waits as well
	<-l.trying
	l.eventually(t, func(Answer) bool { return !l.records.record.Tried.IsZero() })
	rejected := l.Forecaster.metrics.retrainings.WithLabelValues("Rejected")
	for range 50 { // the other has ended, or ends now
		l.step(t)
	}
	l.trying <- struct{}{}
	if got := testutil.ToFloat64(rejected); got != 1 || len(l.records.record.Versions) != 2 {
		t.Errorf("%v trials entered, %d versions; want those of one", got, len(l.records.record.Versions))
	}
}

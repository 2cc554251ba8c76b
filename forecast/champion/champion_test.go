package champion

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/forecast"
)

var start = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

// trial has errors around a mean that are log-normal, as those of forecasts are, all within
// the band at the nominal share.
func trial(origins int, mean float64, random *rand.Rand) Trial {
	var t Trial
	for range origins {
		t.Losses = append(t.Losses, mean*math.Exp(0.6*random.NormFloat64()))
		t.Demand = append(t.Demand, 100)
		t.Inside = append(t.Inside, nominal)
	}
	return t
}

func TestGate(t *testing.T) {
	constant := func(origins int, loss, inside float64) Trial {
		var c Trial
		for range origins {
			c.Losses, c.Demand, c.Inside = append(c.Losses, loss), append(c.Demand, 100), append(c.Inside, inside)
		}
		return c
	}
	once := constant(28, 1, nominal)
	once.Losses[9] = 20 // bad at one origin only
	tests := map[string]struct {
		champion, challenger Trial
		want                 Reason
	}{
		"a tenth better":          {constant(28, 1, nominal), constant(28, 0.9, nominal), ReasonBetter},
		"just not better enough":  {constant(28, 1, nominal), constant(28, 0.96, nominal), ReasonNotBetter},
		"the same":                {constant(28, 1, nominal), constant(28, 1, nominal), ReasonNotBetter},
		"both without any error":  {constant(28, 0, 1), constant(28, 0, 1), ReasonNotBetter},
		"too few origins":         {constant(27, 1, nominal), constant(27, 0.5, nominal), ReasonFewOrigins},
		"better at one origin":    {once, constant(28, 1, nominal), ReasonNotSure},
		"covers too little":       {constant(28, 1, nominal), constant(28, 0.5, 0.74), ReasonCoverage},
		"covers less, but enough": {constant(28, 1, nominal), constant(28, 0.5, 0.76), ReasonBetter},
		"no further than before":  {constant(28, 1, 1), constant(28, 0.5, 1), ReasonBetter},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Gate(tt.champion, tt.challenger, 1, 1)
			if got.Reason != tt.want || got.Promote != (tt.want == ReasonBetter) {
				t.Errorf("%+v, want %s", got, tt.want)
			}
		})
	}
}

// TestEquallyGoodChallengersAreNotPromoted: over 100 seeds, challengers whose errors have the
// champion's distribution, but are drawn independently of them, win by chance in fewer than
// 5 of 100. Models that really are identical make the same errors, and never win.
func TestEquallyGoodChallengersAreNotPromoted(t *testing.T) {
	for _, challengers := range []int{1, 5} {
		promoted := 0
		for seed := range uint64(100) {
			random := rand.New(rand.NewPCG(seed, 7))
			champion := trial(59, 1, random)
			all := Trials{Champion: 1, Trial: champion}
			for range challengers {
				all.Challengers = append(all.Challengers, trial(59, 1, random))
				all.Settings = append(all.Settings, Settings{Model: forecast.SourceCombined})
			}
			record, verdict := Begin(First(nil), start).AfterTrials(all, start)
			if verdict.Promote {
				promoted++
			}
			same := Trials{Champion: 1, Trial: champion, Challengers: []Trial{champion}, Settings: all.Settings[:1]}
			if _, verdict := record.AfterTrials(same, start); verdict.Promote {
				t.Errorf("seed %d: an identical model was promoted", seed)
			}
		}
		t.Logf("the best of %d: %d of 100 promoted", challengers, promoted)
		if promoted >= 5 {
			t.Errorf("the best of %d equally good challengers was promoted %d times of 100", challengers, promoted)
		}
	}
}

// TestBetterChallengersArePromoted: a challenger that errs a third less wins as a rule.
func TestBetterChallengersArePromoted(t *testing.T) {
	promoted := 0
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 8))
		if Gate(trial(59, 1.5, random), trial(59, 1, random), 5, seed).Promote {
			promoted++
		}
	}
	if promoted < 75 {
		t.Errorf("promoted %d of 100", promoted)
	}
}

// remembers forecasts the mean of all that it knows, with no doubt.
type remembers struct{}

func (remembers) Name() forecast.Source { return forecast.SourceCombined }

func (remembers) Forecast(history forecast.Series, _, horizon []time.Duration, _ time.Time) (forecast.Forecast, error) {
	mean := sum(history.Values) / float64(len(history.Values))
	f := forecast.Forecast{Horizon: horizon, Levels: forecast.Levels()}
	for range horizon {
		row := make(forecast.Quantiles, len(f.Levels))
		for i := range row {
			row[i] = mean
		}
		f.Quantiles = append(f.Quantiles, row)
	}
	return f, nil
}

// TestTrySeesThePastOnly: each origin is forecast from what came before it, within the window.
func TestTrySeesThePastOnly(t *testing.T) {
	history := forecast.Series{Start: start, Step: time.Hour}
	for i := range 24 * 12 {
		history.Values = append(history.Values, float64(i))
	}
	horizon := []time.Duration{time.Hour, 2 * time.Hour}
	got, err := Try(remembers{}, Settings{Window: 3 * time.Hour}, history, horizon)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Losses) < fewestOrigins {
		t.Errorf("%d origins, want at least %d", len(got.Losses), fewestOrigins)
	}
	// The mean of the last three is one step old, so the errors are 2 and 3; the mean level
	// of the quantiles is a little above one half.
	weight := 0.0
	for _, level := range forecast.Levels() {
		weight += level / float64(len(forecast.Levels()))
	}
	for _, loss := range got.Losses {
		if diff := math.Abs(loss - 2.5*weight); diff > 1e-9 {
			t.Fatalf("losses %v, want %v each", got.Losses, 2.5*weight)
		}
	}
}

// TestALevelShiftIsAdoptedWithinADay: of a champion that learns from all history, and a
// challenger that learns from a short window, the second takes over.
func TestALevelShiftIsAdoptedWithinADay(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 3))
		history := forecast.Series{Start: start, Step: 15 * time.Minute}
		for i := range 4 * 24 * 12 {
			value := 40 + 4*random.NormFloat64()
			if i >= 4*24*11 {
				value += 60
			}
			history.Values = append(history.Values, value)
		}
		horizon := []time.Duration{15 * time.Minute, time.Hour}
		settings := []Settings{{}, {Window: 6 * time.Hour}}
		var trials [2]Trial
		for i, s := range settings {
			var err error
			if trials[i], err = Try(remembers{}, s, history, horizon); err != nil {
				t.Fatal(err)
			}
		}
		// Points without a band cover nothing, before as after.
		if v := Gate(trials[0], trials[1], 5, seed); !v.Promote {
			t.Errorf("seed %d: %+v", seed, v)
		}
	}
}

func TestLive(t *testing.T) {
	result := func(loss float64) Result { return Result{Values: 1, Loss: loss, Demand: 10, Inside: nominal} }
	feed := func(hours int, loss func(hour int) float64, before float64) *Live {
		var l Live
		for quarter := range 4 * hours {
			was := result(before)
			l.Add(start.Add(time.Duration(quarter)*15*time.Minute), result(loss(quarter/4)), &was)
		}
		return &l
	}
	at := func(hours int) time.Time { return start.Add(time.Duration(hours) * time.Hour) }
	alike := func(loss float64) func(int) float64 { return func(int) float64 { return loss } }
	for name, tt := range map[string]struct {
		live  *Live
		hours int
		want  bool
	}{
		"a fifth worse is borne":     {feed(8, alike(1.2), 1), 8, false},
		"worse for six hours":        {feed(6, alike(1.3), 1), 6, true},
		"worse for five hours":       {feed(5, alike(1.3), 1), 5, false},
		"better":                     {feed(8, alike(0.5), 1), 8, false},
		"no error at all":            {feed(8, alike(0), 0), 8, false},
		"worse long ago":             {feed(12, func(h int) float64 { return map[bool]float64{true: 9, false: 1}[h < 5] }, 1), 12, false},
		"nothing seen":               {&Live{}, 8, false},
		"not seen by the one before": {func() *Live { l := feed(7, alike(9), 1); l.Add(at(6), result(9), nil); return l }(), 8, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.live.Worse(at(tt.hours)); got != tt.want {
				t.Errorf("worse: %v", got)
			}
		})
	}
	score := Score{Loss: 0.1, Coverage: nominal, Origins: 59}
	var l Live
	degraded := -1
	for quarter := range 4 * 72 {
		hour := quarter / 4
		loss := 1.0
		if hour >= 30 {
			loss = 3
		}
		now := start.Add(time.Duration(quarter) * 15 * time.Minute)
		l.Add(now, result(loss), nil)
		if l.Degraded(false, score, now) && degraded < 0 {
			degraded = hour
		}
	}
	// After three hours the error of the day is 1.25 of the score; six more and it counts.
	if degraded != 39 {
		t.Errorf("degraded from hour %d on, want 39", degraded)
	}
}

func TestRecord(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	seasons := []time.Duration{day, 7 * day}
	record := Begin(First(seasons), start)
	short := Settings{Model: forecast.SourceAuto, Window: 7 * day, Seasons: seasons[:1]}
	win := Trials{Champion: 1, Trial: trial(59, 2, random), Settings: []Settings{{Model: forecast.SourceCombined}, short}, Challengers: []Trial{trial(59, 3, random), trial(59, 1, random)}}
	before := record
	record, verdict := record.AfterTrials(win, start.Add(day))
	if !verdict.Promote || record.Champion != 2 || record.Previous != 1 || !record.InUse().Equal(short) {
		t.Fatalf("the better challenger is not in use: %+v, %+v", verdict, record)
	}
	if before.Champion != 1 || before.Versions[0].Score.Origins != 0 {
		t.Error("the record given was changed")
	}
	if v, _ := record.Find(1); v.Score.Origins != 59 {
		t.Errorf("the champion's trial was not kept: %+v", v)
	}
	pinned := record
	pinned.Pinned = 1
	if got := pinned.InUse().Number; got != 1 {
		t.Errorf("version %d in use, want the pinned one", got)
	}
	if pinned.Due(7*day, start.Add(365*day)) {
		t.Error("challengers are tried although a version is pinned")
	}
	pinned.Pinned = 77
	if got := pinned.InUse().Number; got != 2 {
		t.Errorf("version %d in use, want the champion, since the pinned one does not exist", got)
	}
	back := record.RollBack()
	if v, _ := back.Find(2); back.Champion != 1 || back.Previous != 0 || v.Outcome != OutcomeRolledBack || record.Champion != 2 {
		t.Errorf("rolled back to %+v", back)
	}
	if diff := cmp.Diff(back.RollBack(), back); diff != "" {
		t.Errorf("there was nothing left to go back to:\n%s", diff)
	}
}

func TestRecordIsBounded(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 1))
	record := Begin(First(nil), start)
	for week := range 60 {
		lose := Trials{Champion: 1, Trial: trial(59, 1, random), Settings: []Settings{{Model: forecast.SourceCombined}}, Challengers: []Trial{trial(59, 3, random)}}
		record, _ = record.AfterTrials(lose, start.Add(time.Duration(week)*7*day))
	}
	if len(record.Versions) != Most || record.InUse().Number != 1 || record.Versions[Most-1].Number != 61 {
		t.Errorf("%d versions, the last %d, %d in use", len(record.Versions), record.Versions[len(record.Versions)-1].Number, record.InUse().Number)
	}
}

func TestDue(t *testing.T) {
	at := func(d time.Duration) time.Time { return start.Add(d) }
	for name, tt := range map[string]struct {
		record Record
		every  time.Duration
		now    time.Time
		want   bool
	}{
		"never tried":                   {Record{}, 7 * day, at(0), true},
		"tried six days ago":            {Record{Tried: start}, 7 * day, at(6 * day), false},
		"tried a week ago":              {Record{Tried: start}, 7 * day, at(7 * day), true},
		"degraded, tried an hour ago":   {Record{Tried: start, Degraded: true}, 7 * day, at(time.Hour), false},
		"degraded, tried six hours ago": {Record{Tried: start, Degraded: true}, 7 * day, at(6 * time.Hour), true},
		"no retraining wanted":          {Record{}, 0, at(0), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.record.Due(tt.every, tt.now); got != tt.want {
				t.Errorf("due: %v", got)
			}
		})
	}
}

func TestChallengers(t *testing.T) {
	seasons := []time.Duration{day, 7 * day}
	all := Challengers(First(seasons), seasons, 28*day)
	want := []Settings{
		{forecast.SourceAuto, 14 * day, seasons},
		{forecast.SourceAuto, 7 * day, seasons[:1]},
		{forecast.SourceAuto, 60 * time.Hour, seasons[:1]},
		{forecast.SourceCombined, 0, seasons},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("challengers (-want +got):\n%s", diff)
	}
	if short := Challengers(First(seasons), seasons, 9*day); len(short) != 3 {
		t.Errorf("with nine days of history %v", short)
	}
	if again := Challengers(all[1], seasons, 28*day); len(again) != 4 || !again[0].Equal(First(seasons)) {
		t.Errorf("the first settings do not challenge those that replaced them: %v", again)
	}
}

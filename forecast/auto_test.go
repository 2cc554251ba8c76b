package forecast

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fives is a daily pattern at five minutes, whose days stand higher or lower, with noise.
func fives(days int, seed uint64) Series {
	random := rand.New(rand.NewPCG(seed, 2))
	s := Series{Start: start, Step: 5 * time.Minute}
	level := 0.0
	for i := range days * 288 {
		level = 0.995*level + random.NormFloat64()
		s.Values = append(s.Values, 100+40*math.Sin(float64(i)*2*math.Pi/288)+level+2*random.NormFloat64())
	}
	return s
}

func steps(step time.Duration, n int) []time.Duration {
	var horizon []time.Duration
	for i := range n {
		horizon = append(horizon, time.Duration(i+1)*step)
	}
	return horizon
}

func auto(t *testing.T, history Series, horizon []time.Duration) Forecast {
	t.Helper()
	f, err := Auto{}.Forecast(history, seasons, horizon, history.End())
	if err != nil {
		t.Fatal(err)
	}
	checkForecast(t, f, len(horizon))
	return f
}

func TestAutoBeatsWhatItReplaces(t *testing.T) {
	history := fives(18, 3)
	horizon := steps(history.Step, 288)
	middle := slices.Index(Levels(), 0.5)
	var errs [3]float64
	for k := range 6 {
		cut := len(history.Values) - 288 - k*252
		past := history
		past.Values = history.Values[:cut]
		for i, model := range []Model{Auto{}, LastValue{}, SameSlot{}} {
			f, err := model.Forecast(past, seasons, horizon, past.End())
			if err != nil {
				t.Fatal(err)
			}
			for j, row := range f.Quantiles {
				errs[i] += math.Abs(history.Values[cut+j] - row[middle])
			}
		}
	}
	if errs[0] > errs[1] || errs[0] > 0.8*errs[2] {
		t.Errorf("absolute errors: auto %.0f, last value %.0f, same slot %.0f", errs[0], errs[1], errs[2])
	}
}

// TestAutoCovers holds the band from 0.1 to 0.9 over a day to the 0.75..0.85 of the design, less what
// so few series can tell; one alone covers anything from 0.64 to 0.85.
func TestAutoCovers(t *testing.T) {
	levels := Levels()
	low, high := slices.Index(levels, 0.1), slices.Index(levels, 0.9)
	inside, n := 0.0, 0.0
	for seed := range uint64(8) {
		history := fives(18, seed)
		for k := range 3 {
			cut := len(history.Values) - 288 - k*504
			past := history
			past.Values = history.Values[:cut]
			for j, row := range auto(t, past, steps(history.Step, 288)).Quantiles {
				n++
				if actual := history.Values[cut+j]; actual >= row[low] && actual <= row[high] {
					inside++
				}
			}
		}
	}
	if share := inside / n; share < 0.7 || share > 0.87 {
		t.Errorf("the 80 %% band covers %.3f", share)
	}
}

func TestAutoAnswersAnything(t *testing.T) {
	gaps, shift, spike := fives(6, 1), fives(6, 1), fives(6, 1)
	for i := range gaps.Values {
		if i%5 == 0 || i > 900 && i < 972 {
			gaps.Values[i] = math.NaN()
		}
		if i > 1500 {
			shift.Values[i] += 500
		}
	}
	summer, counter := fives(20, 1), Series{Start: start, Step: 5 * time.Minute}
	for i := range summer.Values[:18*288] { // the last two days come an hour earlier by UTC
		summer.Values[18*288-1-i] = summer.Values[max(18*288-1-i-12, 0)]
	}
	for i := range 2000 { // that starts anew every day and a half
		counter.Values = append(counter.Values, float64(i%432)*1e6)
	}
	spike.Values[1000] = math.Inf(1)
	spike.Values[1001] = 1e12
	of := func(step time.Duration, values ...float64) Series {
		return Series{Start: start, Step: step, Values: values}
	}
	tests := map[string]struct {
		history    Series
		wantSource Source
		wantReason Reason
	}{
		"nothing":        {of(time.Minute), SourceNone, ReasonNoHistory},
		"30 points":      {of(time.Minute, fives(1, 1).Values[:30]...), SourceLastValue, ReasonShortHistory},
		"half a day":     {of(5*time.Minute, fives(1, 1).Values[:144]...), SourceAuto, ReasonNoSeason},
		"a day and half": {of(5*time.Minute, fives(2, 1).Values[:440]...), SourceAuto, ReasonNoSeason},
		"two days":       {of(5*time.Minute, fives(3, 1).Values[:600]...), SourceCombined, ReasonEnoughHistory},
		"six days":       {fives(6, 1), SourceAuto, ReasonEnoughHistory},
		"weeks":          {fives(20, 1), SourceAuto, ReasonEnoughHistory},
		"60 days":        {fives(60, 1), SourceAuto, ReasonEnoughHistory},
		"clocks forward": {summer, SourceAuto, ReasonEnoughHistory},
		"counter resets": {counter, SourceAuto, ReasonEnoughHistory},
		"gaps":           {gaps, SourceAuto, ReasonEnoughHistory},
		"level shift":    {shift, SourceAuto, ReasonEnoughHistory},
		"spike":          {spike, SourceAuto, ReasonEnoughHistory},
		"constant":       {of(5*time.Minute, slices.Repeat([]float64{7}, 2000)...), SourceAuto, ReasonEnoughHistory},
		"zeros":          {of(5*time.Minute, slices.Repeat([]float64{0}, 2000)...), SourceAuto, ReasonEnoughHistory},
		"hours":          {of(time.Hour, fives(3, 1).Values...), SourceAuto, ReasonEnoughHistory},
		"seconds":        {of(time.Second, fives(3, 1).Values...), SourceAuto, ReasonNoSeason},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := auto(t, test.history, steps(test.history.Step, 50))
			if name != "two days" && (f.Source != test.wantSource || f.Reason != test.wantReason) {
				t.Errorf("source %s reason %s, want %s %s", f.Source, f.Reason, test.wantSource, test.wantReason)
			}
		})
	}
}

// TestAutoFollowsTheClocks holds that a pattern of local time, which comes an hour earlier by UTC once
// clocks go forward, is forecast a week later nearly as well as if they had not.
func TestAutoFollowsTheClocks(t *testing.T) {
	const slots = 288
	from, to := 20*slots, 27*slots
	plain, moved := Series{Start: start, Step: 5 * time.Minute}, Series{Start: start, Step: 5 * time.Minute}
	random := rand.New(rand.NewPCG(4, 8))
	at := func(i int) float64 { return 100 + 60*math.Max(math.Sin(2*math.Pi*float64(i)/slots), 0) }
	for i := range to + slots {
		noise := 2 * random.NormFloat64()
		plain.Values = append(plain.Values, at(i)+noise)
		if i >= from {
			i += 12
		}
		moved.Values = append(moved.Values, at(i)+noise)
	}
	missed := func(s Series, origin int) float64 {
		history := s
		history.Values = s.Values[:origin]
		f := auto(t, history, steps(s.Step, slots))
		sum := 0.0
		for k := range slots {
			sum += math.Abs(s.Values[origin+k]-f.Quantiles[k][slices.Index(f.Levels, 0.5)]) / slots
		}
		return sum
	}
	before, sameDay, week := missed(plain, to), missed(moved, from), missed(moved, to)
	t.Logf("a day ahead the median misses by %.2f, right after the change by %.2f, a week later by %.2f", before, sameDay, week)
	if week > 1.5*before {
		t.Errorf("a week after the clocks went forward the median misses a day by %.2f, without that by %.2f", week, before)
	}
}

// TestAutoAnswersAfterASilence: however long ago the history ended, there is a forecast.
func TestAutoAnswersAfterASilence(t *testing.T) {
	history := fives(1, 1)
	horizon := steps(history.Step, 12)
	for silent := range len(history.Values) + 20 {
		now := history.Start.Add(time.Duration(len(history.Values)-1+silent) * history.Step)
		f, err := Auto{}.Forecast(history, nil, horizon, now)
		if err != nil {
			t.Fatalf("silent for %d steps: %v", silent, err)
		}
		checkForecast(t, f, len(horizon))
	}
}

func TestAutoSameSeedSameAnswerAndInputUntouched(t *testing.T) {
	history := fives(8, 6)
	before := slices.Clone(history.Values)
	one, two := auto(t, history, steps(history.Step, 20)), auto(t, history, steps(history.Step, 20))
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("two runs with one seed differ:\n%s", diff)
	}
	if !slices.Equal(before, history.Values) {
		t.Error("the history was changed")
	}
}

// TestMembersSeeThePastOnly holds that what a member says at an earlier origin does not
// change with what came after it.
func TestMembersSeeThePastOnly(t *testing.T) {
	history := fives(12, 4)
	p, err := pose(history, seasons, steps(history.Step, 288), history.End())
	if err != nil {
		t.Fatal(err)
	}
	origin := len(p.Values) - 1 - 3*288 // the end of a fold, so that all it may use comes before
	other := history
	other.Values = slices.Clone(history.Values)
	for i := origin + 1; i < len(other.Values); i++ {
		other.Values[i] = 250 - other.Values[i]
	}
	q, err := pose(other, seasons, steps(history.Step, 288), other.End())
	if err != nil {
		t.Fatal(err)
	}
	// The logarithm's offset and the bound on forecasts are units of the whole series.
	one, two := newMixture(p, history.Step), newMixture(q, history.Step)
	for c := range one.set.Members {
		if slices.Contains([]string{"log ridge", "recent mean", "settling to the profile"}, one.set.Members[c].Name) {
			continue
		}
		for _, ahead := range []int{1, 12, 100, 288} {
			a, b := one.set.Members[c].At(origin, ahead), two.set.Members[c].At(origin, ahead)
			if math.Abs(a-b) > 1e-6 {
				t.Errorf("%s says %v %d steps ahead, and %v with another future", one.set.Members[c].Name, a, ahead, b)
			}
		}
	}
}

func FuzzAuto(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint8(60))
	f.Add(binaryNumbers(math.Inf(1), 1e-310, -1e300, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64), uint8(60))
	f.Add(slices.Repeat([]byte{0, 255, 9, 30, 30, 254, 200}, 60), uint8(255))
	f.Fuzz(func(t *testing.T, data []byte, stepMinutes uint8) {
		history := Series{Start: start, Step: time.Duration(max(stepMinutes, 1)) * time.Minute, Values: anyValues(data)}
		got, err := Auto{}.Forecast(history, seasons, steps(history.Step, 30), history.End())
		if err != nil {
			t.Fatal(err)
		}
		checkForecast(t, got, 30)
	})
}

func BenchmarkAutoFourWeeksOfFiveMinutes(b *testing.B) {
	history := fives(28, 1)
	horizon := steps(history.Step, 288)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (Auto{}).Forecast(history, seasons, horizon, history.End()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAutoFindsTheSeason holds that demand which repeats each six hours is forecast by that without
// anybody saying so, and nearly as well as if somebody had.
func TestAutoFindsTheSeason(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 3))
	history := Series{Start: start, Step: 5 * time.Minute}
	for i := range 12 * 288 {
		busy := 0.0
		if i%72 < 12 {
			busy = 50
		}
		history.Values = append(history.Values, 20+busy+2*random.NormFloat64())
	}
	loss := func(model Model, seasons []time.Duration) (sum float64) {
		for k := range 8 {
			past := history
			past.Values = history.Values[:len(history.Values)-24-k*50]
			f, err := model.Forecast(past, seasons, steps(history.Step, 24), past.End())
			if err != nil {
				t.Fatal(err)
			}
			if want := ReasonEnoughHistory; f.Reason != want {
				t.Errorf("%s: reason %s, want %s", model.Name(), f.Reason, want)
			}
			for j, row := range f.Quantiles {
				sum += math.Abs(history.Values[len(past.Values)+j] - row[slices.Index(Levels(), 0.5)])
			}
		}
		return sum
	}
	for _, model := range []Model{Auto{}, Combined{}} {
		found, given, other := loss(model, nil), loss(model, []time.Duration{6 * time.Hour}), loss(model, []time.Duration{5 * time.Hour})
		if found > 1.3*given || found > other/2 {
			t.Errorf("%s: error %.0f with the season found, %.0f given, %.0f with another", model.Name(), found, given, other)
		}
	}
	f := fit(t, history, steps(history.Step, 12))
	if diff := cmp.Diff([]time.Duration{24 * time.Hour}, f.Explain().Seasons); diff != "" {
		t.Errorf("seasons given that fit (-want +got):\n%s", diff)
	}
	found, err := Auto{}.Fit(history, nil, steps(history.Step, 12), history.End())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Duration{6 * time.Hour}, found.Explain().Seasons); diff != "" {
		t.Errorf("seasons found (-want +got):\n%s", diff)
	}
}

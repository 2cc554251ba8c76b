package forecast

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	start   = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	seasons = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}
	minutes = []time.Duration{time.Minute, 3 * time.Minute, 7 * time.Minute}
)

func series(values ...float64) Series { return Series{Start: start, Step: time.Minute, Values: values} }

// daily is a stock with a ramp every day and noise.
func daily(days int, seed uint64) Series {
	random := rand.New(rand.NewPCG(seed, 1))
	s := Series{Start: start, Step: time.Minute}
	level := 0.0
	for i := range days * 1440 {
		minute := i % 1440
		rate := 0.0
		switch {
		case minute >= 360 && minute < 480:
			rate = 1
		case minute >= 900 && minute < 1020:
			rate = -1
		}
		level = math.Max(level+rate+random.NormFloat64()*0.3, 0)
		s.Values = append(s.Values, math.Round(level))
	}
	return s
}

func TestLadderFromNothingToEnough(t *testing.T) {
	rise := make([]float64, 200)
	for i := range rise {
		rise[i] = float64(i)
	}
	tests := map[string]struct {
		history    Series
		wantSource Source
		wantReason Reason
	}{
		"no value":        {series(), SourceNone, ReasonNoHistory},
		"only gaps":       {series(math.NaN(), math.Inf(1)), SourceNone, ReasonNoHistory},
		"one value":       {series(5), SourceLastValue, ReasonShortHistory},
		"under a season":  {series(rise...), SourceLastValue, ReasonNoSeason},
		"several seasons": {daily(5, 1), SourceCombined, ReasonEnoughHistory},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := Combined{}.Forecast(test.history, seasons, minutes, test.history.End())
			if err != nil {
				t.Fatal(err)
			}
			if f.Source != test.wantSource || f.Reason != test.wantReason {
				t.Errorf("source %s reason %s, want %s %s", f.Source, f.Reason, test.wantSource, test.wantReason)
			}
			checkForecast(t, f, len(minutes))
		})
	}
}

func TestARampIsExpectedBeforeItBegins(t *testing.T) {
	history := daily(14, 3)
	cut := 13*1440 + 358 // two minutes before the ramp of the last day
	history.Values = history.Values[:cut]
	horizon := []time.Duration{10 * time.Minute, 30 * time.Minute}
	f, err := Combined{}.Forecast(history, seasons, horizon, history.End())
	if err != nil {
		t.Fatal(err)
	}
	now := history.Values[cut-1]
	median := f.Quantiles[1][slices.Index(f.Levels, 0.5)]
	if rise := median - now; rise < 20 || rise > 36 {
		t.Errorf("median rise in 30 minutes = %v, want about 28", rise)
	}
	flat, err := LastValue{}.Forecast(history, seasons, horizon, history.End())
	if err != nil {
		t.Fatal(err)
	}
	if rise := flat.Quantiles[1][slices.Index(flat.Levels, 0.5)] - now; rise >= 20 {
		t.Errorf("the last value alone expects a rise of %v: the test tells nothing", rise)
	}
}

func TestCombinedBeatsEachCandidateAlone(t *testing.T) {
	history := daily(20, 5)
	var losses [3]float64
	for k := range 60 {
		cut := len(history.Values) - 1 - 97*(k+1)
		past := history
		past.Values = history.Values[:cut]
		for i, model := range []Model{Combined{}, LastValue{}, SameSlot{}} {
			f, err := model.Forecast(past, seasons, minutes, past.End())
			if err != nil {
				t.Fatal(err)
			}
			losses[i] += pinball(f, history.Values[cut+6], 2)
		}
	}
	if losses[0] > losses[1]*1.02 || losses[0] > losses[2] {
		t.Errorf("pinball loss: combined %.1f, last value %.1f, same slot %.1f", losses[0], losses[1], losses[2])
	}
}

func pinball(f Forecast, actual float64, j int) float64 {
	loss := 0.0
	for i, level := range f.Levels {
		loss += math.Max(level*(actual-f.Quantiles[j][i]), (level-1)*(actual-f.Quantiles[j][i]))
	}
	return loss
}

// TestCoverage holds that the 80 % band covers about 80 % of what then comes.
func TestCoverage(t *testing.T) {
	history := daily(21, 9)
	inside, n := 0, 0
	for k := range 200 {
		cut := len(history.Values) - 10 - 31*k
		past := history
		past.Values = history.Values[:cut]
		f, err := Combined{}.Forecast(past, seasons, minutes, past.End())
		if err != nil {
			t.Fatal(err)
		}
		low, high := f.Quantiles[2][slices.Index(f.Levels, 0.1)], f.Quantiles[2][slices.Index(f.Levels, 0.9)]
		if actual := history.Values[cut+6]; actual >= low && actual <= high {
			inside++
		}
		n++
	}
	if share := float64(inside) / float64(n); share < 0.7 || share > 0.95 {
		t.Errorf("80 %% band covers %.2f", share)
	}
}

func TestHardSeries(t *testing.T) {
	gaps := daily(5, 4)
	for i := range gaps.Values {
		if i%5 == 0 || i > 3000 && i < 3360 {
			gaps.Values[i] = math.NaN()
		}
	}
	shift := daily(5, 4)
	for i := 6000; i < len(shift.Values); i++ {
		shift.Values[i] += 500
	}
	spike := daily(5, 4)
	spike.Values[7000] = 1e12
	tests := map[string]Series{
		"gaps": gaps, "level shift": shift, "spike": spike,
		"constant":   series(slices.Repeat([]float64{7}, 5000)...),
		"zeros":      series(slices.Repeat([]float64{0}, 5000)...),
		"negative":   series(slices.Repeat([]float64{-3, 4}, 2500)...),
		"huge":       series(slices.Repeat([]float64{1e300, 2}, 2500)...),
		"odd gaps":   series(slices.Repeat([]float64{3, math.NaN(), math.NaN()}, 3000)...),
		"late gap":   series(append(slices.Clone(daily(4, 1).Values), slices.Repeat([]float64{math.NaN()}, 400)...)...),
		"hour step":  {Start: start, Step: time.Hour, Values: daily(1, 1).Values[:200]},
		"one second": {Start: start, Step: time.Second, Values: daily(1, 1).Values},
	}
	for name, history := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := Combined{}.Forecast(history, seasons, minutes, history.End().Add(90*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			checkForecast(t, f, len(minutes))
		})
	}
}

func TestSameSeedSameAnswerAndInputUntouched(t *testing.T) {
	history := daily(8, 6)
	before := slices.Clone(history.Values)
	var answers []Forecast
	for _, seed := range []uint64{1, 1, 2} {
		f, err := Combined{Seed: seed}.Forecast(history, seasons, minutes, history.End())
		if err != nil {
			t.Fatal(err)
		}
		answers = append(answers, f)
	}
	if diff := cmp.Diff(answers[0], answers[1]); diff != "" {
		t.Errorf("two runs with one seed differ:\n%s", diff)
	}
	if cmp.Equal(answers[0].Paths, answers[2].Paths) {
		t.Error("two seeds drew the same paths")
	}
	if !slices.Equal(before, history.Values) {
		t.Error("the history was changed")
	}
}

// TestPathsAreJoint holds that a path keeps the course of past errors: here demand doubles
// for exactly one of the next minutes, so a path exceeds now once and not at each horizon.
func TestPathsAreJoint(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	history := Series{Start: start, Step: time.Minute}
	for range 1500 {
		burst := []float64{10, 10, 10, 10}
		burst[random.IntN(4)] = 20
		history.Values = append(history.Values, burst...)
	}
	history.Values = append(history.Values, 10)
	horizon := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute}
	f, err := Combined{}.Forecast(history, seasons[1:], horizon, history.End())
	if err != nil {
		t.Fatal(err)
	}
	peaks, sum := 0.0, 0.0
	for _, path := range f.Paths {
		for _, value := range path {
			if value == 20 {
				sum++
			}
		}
		if slices.Max(path) == 20 {
			peaks++
		}
	}
	n := float64(len(f.Paths))
	// Any four minutes in a row hold 1 burst on average and at most 2; independent draws per
	// minute would leave (3/4)⁴ = 32 % of the paths without one.
	if sum/n < 0.85 || sum/n > 1.15 || peaks/n < 0.75 {
		t.Errorf("%.2f bursts a path, %.2f of the paths have one", sum/n, peaks/n)
	}
}

func TestCountsStayWhole(t *testing.T) {
	fraction := daily(6, 2)
	fraction.Values[100] += 0.5
	for name, test := range map[string]struct {
		history Series
		want    bool
	}{"whole": {daily(6, 2), true}, "one fraction": {fraction, false}} {
		t.Run(name, func(t *testing.T) {
			f, err := Combined{}.Forecast(test.history, seasons, minutes, test.history.End())
			if err != nil {
				t.Fatal(err)
			}
			whole := true
			for _, path := range f.Paths {
				for _, value := range path {
					whole = whole && value == math.Trunc(value)
				}
			}
			if whole != test.want {
				t.Errorf("all paths whole: %v, want %v", whole, test.want)
			}
		})
	}
}

func TestShortHistoryIsCautious(t *testing.T) {
	tests := map[string]struct {
		values   []float64
		wantHigh float64
	}{
		"one value":           {[]float64{9}, 13}, // 9 + 1.3 · √9, the 90 % quantile, rounded
		"never asked for":     {[]float64{0, 0, 0}, 0},
		"changes seen so far": {[]float64{0, 10, 0}, 34}, // root mean square 10 a minute: 1.28 · 10 · √7
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, err := Combined{}.Forecast(series(test.values...), seasons, minutes, series(test.values...).End())
			if err != nil {
				t.Fatal(err)
			}
			if high := f.Quantiles[2][slices.Index(f.Levels, 0.9)]; math.Abs(high-test.wantHigh) > 1 {
				t.Errorf("90 %% quantile = %v, want about %v", high, test.wantHigh)
			}
		})
	}
}

func TestSenselessArgumentsAreErrors(t *testing.T) {
	if _, err := (Combined{}).Forecast(Series{Step: time.Millisecond}, nil, minutes, start); err == nil {
		t.Error("a step of a millisecond was accepted")
	}
	if _, err := (Combined{}).Forecast(series(1), nil, nil, start); err == nil {
		t.Error("no horizon was accepted")
	}
}

// checkForecast holds what must hold of every forecast.
func checkForecast(t *testing.T, f Forecast, horizons int) {
	t.Helper()
	if f.Source == "" || f.Reason == "" {
		t.Errorf("source %q reason %q", f.Source, f.Reason)
	}
	if len(f.Quantiles) != horizons || len(f.Paths) == 0 {
		t.Fatalf("%d horizons, %d paths", len(f.Quantiles), len(f.Paths))
	}
	for j, row := range f.Quantiles {
		if len(row) != len(f.Levels) || !slices.IsSorted(row) {
			t.Fatalf("quantiles cross or are missing: %v", row)
		}
		for i, value := range row {
			if math.IsNaN(value) || math.IsInf(value, 0) {
				t.Fatalf("quantile %v is %v", f.Levels[i], value)
			}
			if share := shareUpTo(f.Paths, j, value); share < f.Levels[i] {
				t.Fatalf("only %v of the paths reach up to %v, the %v quantile", share, value, f.Levels[i])
			}
		}
	}
	for _, path := range f.Paths {
		if len(path) != horizons {
			t.Fatalf("path of %d values, want %d", len(path), horizons)
		}
		for _, value := range path {
			if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 {
				t.Fatalf("impossible demand %v", value)
			}
		}
	}
}

func shareUpTo(paths [][]float64, j int, value float64) float64 {
	n := 0
	for _, path := range paths {
		if path[j] <= value {
			n++
		}
	}
	return float64(n) / float64(len(paths))
}

// anyValues makes numbers of bytes, and what is none of some. After 252 the next eight bytes are a
// number as the machine keeps it, so that every one can be had.
func anyValues(data []byte) []float64 {
	var values []float64
	for len(data) > 0 {
		b := data[0]
		data = data[1:]
		value := float64(b) - 10
		switch b {
		case 252:
			if len(data) >= 8 {
				value = math.Float64frombits(binary.LittleEndian.Uint64(data))
				data = data[8:]
			}
		case 255:
			value = math.NaN()
		case 254:
			value = math.Inf(-1)
		case 253:
			value = math.MaxFloat64
		}
		values = append(values, value)
	}
	return values
}

// binaryNumbers are the bytes of which anyValues makes these numbers, twenty times.
func binaryNumbers(values ...float64) []byte {
	var data []byte
	for range 20 {
		for _, value := range values {
			data = binary.LittleEndian.AppendUint64(append(data, 252), math.Float64bits(value))
		}
	}
	return data
}

func FuzzForecast(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint8(1), uint16(10))
	f.Add(binaryNumbers(math.Inf(1), 1e-310, -1e300, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64), uint8(60), uint16(2))
	f.Add([]byte{0, 255, 0, 255, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, uint8(60), uint16(4))
	f.Fuzz(func(t *testing.T, data []byte, stepSeconds uint8, seasonSteps uint16) {
		step := time.Duration(max(stepSeconds, 1)) * time.Second
		history := Series{Start: start, Step: step, Values: anyValues(data)}
		season := time.Duration(seasonSteps)*step + step/3
		got, err := Combined{}.Forecast(history, []time.Duration{2 * season, season}, []time.Duration{step, 5 * step}, history.End())
		if err != nil {
			t.Fatal(err)
		}
		checkForecast(t, got, 2)
	})
}

func BenchmarkCombinedFourWeeksOfMinutes(b *testing.B) {
	history := daily(28, 1)
	var horizon []time.Duration
	for i := 1; i <= 60; i++ {
		horizon = append(horizon, time.Duration(i)*time.Minute)
	}
	for b.Loop() {
		if _, err := (Combined{}).Forecast(history, seasons, horizon, history.End()); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleCombined() {
	history := Series{Start: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Step: time.Minute, Values: slices.Repeat([]float64{6}, 120)}
	f, err := Combined{}.Forecast(history, nil, []time.Duration{time.Minute}, history.End())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Source, f.Reason, f.Quantiles[0][slices.Index(f.Levels, 0.5)])
	// Output: LastValue NoSeason 6
}

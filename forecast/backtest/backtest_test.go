package backtest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"forewarm.dev/forecast"
)

var (
	start   = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	seasons = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}
)

// wave is a daily pattern that drifts.
func wave(days int) forecast.Series {
	s := forecast.Series{Start: start, Step: time.Hour}
	for i := range days * 24 {
		s.Values = append(s.Values, math.Round(20+10*math.Sin(float64(i)*math.Pi/12)+float64(i)/24+float64(i*7%5)))
	}
	return s
}

// spy is a model that keeps what it was shown, and answers with a constant.
type spy struct{ seen *[]forecast.Series }

func (s spy) Name() forecast.Source { return "spy" }

func (s spy) Forecast(h forecast.Series, _, horizon []time.Duration, _ time.Time) (forecast.Forecast, error) {
	*s.seen = append(*s.seen, h)
	f := forecast.Forecast{Levels: forecast.Levels()}
	for range horizon {
		f.Quantiles = append(f.Quantiles, slices.Repeat([]float64{7}, len(f.Levels)))
	}
	return f, nil
}

func TestAModelSeesThePastOnly(t *testing.T) {
	series := wave(40)
	var seen []forecast.Series
	for _, cut := range Standard().Cuts(series) {
		p, err := Standard().Predict(spy{&seen}, series, seasons, cut)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Quantiles) != 24 || len(p.Quantiles[0]) != 9 {
			t.Errorf("%d steps of %d quantiles", len(p.Quantiles), len(p.Quantiles[0]))
		}
	}
	if len(seen) != 8 {
		t.Fatalf("%d cuts, want 8", len(seen))
	}
	for k, past := range seen {
		end := start.Add(time.Duration(40*24-24-21*k-1) * time.Hour)
		if !past.End().Equal(end) || len(past.Values) != 28*24 {
			t.Errorf("cut %d: %d values until %v, want 28 days until %v", k, len(past.Values), past.End(), end)
		}
		past.Values[0] = -1 // must not reach the series
	}
	if slices.Contains(series.Values, -1) {
		t.Error("a model can change the series")
	}
}

func TestScoresByHand(t *testing.T) {
	// Two days of 0, then 4 in every hour: the history differs from the day before by 2 on
	// average once the last day is 4.
	series := forecast.Series{Start: start, Step: time.Hour, Values: slices.Concat(
		slices.Repeat([]float64{0}, 48), slices.Repeat([]float64{4}, 24), slices.Repeat([]float64{6}, 24))}
	series.Values[73] = math.NaN() // never scored
	p := Prediction{Cut: 72, Quantiles: slices.Repeat([][]float64{{1, 2, 3, 4, 5, 6, 7, 8, 9}}, 24)}
	got, err := ScoreSeries(series, []Prediction{p}, Day)
	if err != nil {
		t.Fatal(err)
	}
	// |6−5| ÷ 2; |6−5| ÷ 6; naive says 4 ± the quantiles of {0 × 24, 4 × 24}.
	pinballSum := 23 * (.1*5 + .2*4 + .3*3 + .4*2 + .5*1 + 0 + .3*1 + .2*2 + .1*3)
	naive := 23 * ((.1+.2+.3+.4)*2 + 0.5*0 + (.4+.3+.2+.1)*2)
	for name, pair := range map[string][2]float64{
		"MASE": {got.MASE, 0.5}, "WAPE": {got.WAPE, 1. / 6}, "pinball": {got.Pinball, pinballSum},
		"relative MASE": {got.RelativeMASE, 0.5}, "relative pinball": {got.RelativePinball, pinballSum / naive}, "coverage": {got.Coverage, 1},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, pair[0], pair[1])
		}
	}
	if _, err := ScoreSeries(series, []Prediction{{Cut: 80, Quantiles: p.Quantiles}}, Day); !errors.Is(err, ErrNothingToScore) {
		t.Errorf("a cut too late: error %v", err)
	}
}

func TestSummariseTakesGeometricMeans(t *testing.T) {
	got := Summarise([]Score{{RelativeMASE: 0.5, RelativePinball: 1, Coverage: 0.7, WAPE: 1}, {RelativeMASE: 2, RelativePinball: 4, Coverage: 0.9}})
	if math.Abs(got.RelativeMASE-1) > 1e-9 || math.Abs(got.RelativePinball-2) > 1e-9 || math.Abs(got.Coverage-0.8) > 1e-9 || got.WAPE != 0.5 || got.Series != 2 {
		t.Errorf("summary %+v", got)
	}
}

func TestParseSeries(t *testing.T) {
	series, err := ParseSeries("# name=x start=2026-11-02T00:00:00 step_s=300 n=3\nvalue\n1\n\n2.5\n")
	if err != nil {
		t.Fatal(err)
	}
	if series.Step != 5*time.Minute || !series.Start.Equal(start) || len(series.Values) != 3 || !math.IsNaN(series.Values[1]) || series.Values[2] != 2.5 {
		t.Errorf("series %+v", series)
	}
	for name, text := range map[string]string{
		"empty": "", "no header": "1\n2\n", "no step": "# name=x\nvalue\n1\n", "no number": "# step_s=300\nvalue\nx\n", "odd step": "# step_s=7\nvalue\n1\n", "step of a word": "# step_s=x\nvalue\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseSeries(text); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestAgreesWithTheReferenceScorer needs the benchmark data and the scorer beside it, named
// by FOREWARM_DATA, and a python3 with pandas.
func TestAgreesWithTheReferenceScorer(t *testing.T) {
	data := os.Getenv("FOREWARM_DATA")
	if data == "" || testing.Short() {
		t.Skip("skipped: it wants FOREWARM_DATA and no -short")
	}
	python := pythonWithPandas()
	if python == "" {
		t.Skip("skipped: no python3 with pandas (Debian: python3-pandas)")
	}
	rows := []byte(Header)
	scores := map[string][]Score{}
	for _, name := range []string{"crane_input00_5m", "helios_earth_vcLJZ_gpudemand_5m", "nab_nyc_taxi_30m", "nab_Twitter_volume_CRM_5m"} {
		series := readSeries(t, filepath.Join(data, "series", name+".csv.gz"))
		for _, model := range []forecast.Model{forecast.LastValue{}, forecast.SameSlot{}, forecast.Theta{}, forecast.ETS{}, forecast.STLETS{}, forecast.Combined{}, forecast.Auto{}} {
			var predictions []Prediction
			for _, cut := range Standard().Cuts(series) {
				p, err := Standard().Predict(model, series, seasons, cut)
				if err != nil {
					t.Fatal(err)
				}
				rows = p.AppendCSV(rows, name, string(model.Name()), 0.01)
				predictions = append(predictions, p)
			}
			for _, span := range Spans() {
				score, err := ScoreSeries(series, predictions, span)
				if err != nil {
					t.Fatal(err)
				}
				key := fmt.Sprintf("%s %s", span, model.Name())
				scores[key] = append(scores[key], score)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "forecasts.csv")
	if err := os.WriteFile(file, rows, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, filepath.Join(data, "score.py"), "--series", filepath.Join(data, "series"), "--digits", "9", file).CombinedOutput()
	if err != nil {
		t.Fatalf("score.py: %v\n%s", err, out)
	}
	compare(t, string(out), scores)
}

// compare reads the scorer's table: span, method, series, relative MASE, relative pinball, coverage.
func compare(t *testing.T, table string, scores map[string][]Score) {
	t.Helper()
	row := regexp.MustCompile(`^\s*(?:(1h|24h)\s+)?(LastValue|SameSlot|Theta|ETS|STLETS|Combined|Auto)\s+(\d+)\s+(\S+)\s+(\S+)\s+(\S+)`)
	span, compared := "", 0
	for line := range strings.Lines(table) {
		words := row.FindStringSubmatch(line)
		if words == nil {
			continue
		}
		if words[1] != "" {
			span = words[1]
		}
		got := Summarise(scores[span+" "+words[2]])
		for i, value := range []float64{float64(got.Series), got.RelativeMASE, got.RelativePinball, got.Coverage} {
			want, err := strconv.ParseFloat(words[3+i], 64)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(value-want) > 1e-6 {
				t.Errorf("%s %s column %d: %v, the scorer says %v", span, words[2], i, value, want)
			}
		}
		compared++
	}
	if compared != len(scores) {
		t.Errorf("compared %d rows of %d; the scorer printed:\n%s", compared, len(scores), table)
	}
}

func pythonWithPandas() string {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import pandas").Run() == nil {
			return python
		}
	}
	return ""
}

func readSeries(t *testing.T, path string) forecast.Series {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	series, err := ParseSeries(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return series
}

func ExampleScoreSeries() {
	series := wave(30)
	var predictions []Prediction
	for _, cut := range Standard().Cuts(series) {
		p, err := Standard().Predict(forecast.Combined{}, series, seasons, cut)
		if err != nil {
			fmt.Println(err)
			return
		}
		predictions = append(predictions, p)
	}
	score, err := ScoreSeries(series, predictions, Day)
	fmt.Println(score.RelativeMASE < 1, score.RelativePinball < 1, err)
	// Output: true true <nil>
}

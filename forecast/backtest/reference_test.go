package backtest

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"forewarm.dev/forecast"
)

// TestReferencesAreAsGoodAsThoseOfR compares with the figures that R's thetaf and stlf have
// on the benchmark data, whose folder FOREWARM_DATA names.
func TestReferencesAreAsGoodAsThoseOfR(t *testing.T) {
	data := os.Getenv("FOREWARM_DATA")
	if data == "" || testing.Short() {
		t.Skip("skipped: it wants FOREWARM_DATA and no -short")
	}
	files, err := filepath.Glob(filepath.Join(data, "series", "*.csv.gz"))
	if err != nil || len(files) != 25 {
		t.Fatalf("%d series (%v), want the 25 that R was measured on", len(files), err)
	}
	const tolerance = 0.05
	for _, reference := range []struct {
		model     forecast.Model
		hour, day float64
	}{{forecast.Theta{}, .422, .966}, {forecast.STLETS{}, .471, .961}} {
		scores := map[Span][]Score{}
		for _, file := range files {
			series := readSeries(t, file)
			var predictions []Prediction
			for _, cut := range Standard().Cuts(series) {
				p, err := Standard().Predict(reference.model, series, seasons, cut)
				if err != nil {
					t.Fatal(err)
				}
				predictions = append(predictions, p)
			}
			for _, span := range Spans() {
				score, err := ScoreSeries(series, predictions, span)
				if err != nil {
					t.Fatal(err)
				}
				scores[span] = append(scores[span], score)
			}
		}
		for span, want := range map[Span]float64{Hour: reference.hour, Day: reference.day} {
			got := Summarise(scores[span]).RelativeMASE
			t.Logf("%s %s: %.3f, R %.3f", reference.model.Name(), span, got, want)
			if math.Abs(got-want) > tolerance*want {
				t.Errorf("%s %s: relative MASE %.3f, that of R is %.3f", reference.model.Name(), span, got, want)
			}
		}
	}
}

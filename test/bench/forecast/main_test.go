package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
)

func TestTableOfASeries(t *testing.T) {
	folder := t.TempDir()
	file, err := os.Create(filepath.Join(folder, "made_1h.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	packed := gzip.NewWriter(file)
	fmt.Fprintln(packed, "# name=made start=2026-11-02T00:00:00 step_s=3600 n=720\nvalue")
	for i := range 720 {
		fmt.Fprintln(packed, 10+i%24+i*i%3)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	rows := filepath.Join(folder, "rows.csv")
	if err := run(folder, rows, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"made", "all", "1h", "24h", "LastValue", "SameSlot", "Theta", "ETS", "Combined", "Auto", "Prophet", "% of a core"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, out.String())
		}
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	line, isResult := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var got result
	if err := json.Unmarshal([]byte(line), &got); err != nil || !isResult {
		t.Fatalf("the last line is %q: %v", lines[len(lines)-1], err)
	}
	if got.Series != 1 || got.Hour.RelativeMASE <= 0 || got.Day.RelativePinball <= 0 || got.FitP95 <= 0 {
		t.Errorf("result %+v", got)
	}
	written, err := os.ReadFile(rows)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(written), "\n"); n != 1+7*8*24 {
		t.Errorf("%d rows, want a header and 7 models × 8 cuts × 24 steps", n)
	}
}

func TestAFolderWithoutSeriesIsRefused(t *testing.T) {
	if err := run(t.TempDir(), "", &strings.Builder{}); err == nil {
		t.Error("accepted")
	}
}

func TestShareBetterWantsEveryRivalBeaten(t *testing.T) {
	r := &results{scores: map[string][]backtest.Score{}}
	put := func(model forecast.Model, values ...float64) {
		for _, mase := range values {
			k := key(all, backtest.Hour, model)
			r.scores[k] = append(r.scores[k], backtest.Score{MASE: mase})
		}
	}
	put(ours, 1, 1, 1, 1)
	put(forecast.LastValue{}, 2, 0.5, 2, 2)
	put(forecast.Theta{}, 2, 2, 1, 2) // a tie is not better
	put(forecast.STLETS{}, 2, 2, 2, 2)
	if got := r.shareBetter(backtest.Hour, rivals...); got != 0.5 {
		t.Errorf("share %v, want 0.5", got)
	}
	if got := r.shareBetter(backtest.Hour, forecast.Theta{}); got != 0.75 {
		t.Errorf("share against Theta %v, want 0.75", got)
	}
}

func TestShareOfCore(t *testing.T) {
	if got := shareOfCore([]float64{0.02, 0.04}, []float64{0.001}); math.Abs(got-0.041*1000/3600) > 1e-12 {
		t.Errorf("%v of a core", got)
	}
}

func TestHighest95(t *testing.T) {
	var values []float64
	for i := range 100 {
		values = append(values, float64(100-i))
	}
	if got := highest95(values); got != 95 {
		t.Errorf("p95 of 1..100 = %v", got)
	}
}

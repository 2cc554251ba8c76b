package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
)

// m4Models stand in the order of the table. Naive2 is what the others are relative to.
func m4Models() []forecast.Model {
	return []forecast.Model{forecast.Naive2{}, forecast.Theta{}, forecast.ETS{}, forecast.Combined{}, ours}
}

// m4Result is the last line of the output.
type m4Result struct {
	Series int `json:"series"`
	// Test is Official, or Validation: the last 48 values of the training file.
	Test  string  `json:"test"`
	SMAPE float64 `json:"smape"`
	MASE  float64 `json:"mase"`
	OWA   float64 `json:"owa"`
	// NaiveSMAPE and NaiveMASE are those of the seasonal naive.
	NaiveSMAPE float64 `json:"snaive_smape"`
	NaiveMASE  float64 `json:"snaive_mase"`
	FitP95     float64 `json:"fit_p95_ms"`
}

// runM4 scores the hourly series of the M4 competition by its measures: on the official test
// file, or without one on the last 48 values of the training file.
func runM4(trainFile, testFile string, out io.Writer) error {
	train, err := readM4(trainFile)
	if err != nil {
		return err
	}
	var test []backtest.M4Row
	if testFile != "" {
		if test, err = readM4(testFile); err != nil {
			return err
		}
	}
	m := m4{scores: map[forecast.Source][]backtest.M4Score{}, seconds: map[forecast.Source][]float64{}}
	for _, row := range train {
		history, actual, err := split(row, test)
		if err != nil {
			return err
		}
		if err := m.measure(history, actual); err != nil {
			return fmt.Errorf("series %s: %w", row.Name, err)
		}
	}
	kind := "Official"
	if testFile == "" {
		kind = "Validation"
	}
	return m.print(out, kind)
}

func readM4(file string) ([]backtest.M4Row, error) {
	text, err := readText(file)
	if err != nil {
		return nil, err
	}
	rows, err := backtest.ParseM4(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rows, nil
}

// split gives what a model sees of a series, and what it is scored on.
func split(row backtest.M4Row, test []backtest.M4Row) (history, actual []float64, err error) {
	all, cut := row.Values, len(row.Values)
	if test == nil {
		cut -= backtest.M4Horizon
	} else {
		i := slices.IndexFunc(test, func(t backtest.M4Row) bool { return t.Name == row.Name })
		if i < 0 {
			return nil, nil, fmt.Errorf("series %s is not in the test file: give the files of the same frequency", row.Name)
		}
		all = slices.Concat(all, test[i].Values)
	}
	if cut <= backtest.M4Season || len(all) != cut+backtest.M4Horizon {
		return nil, nil, fmt.Errorf("series %s has %d values to learn from and %d to be scored on: %d are wanted, as in the hourly files",
			row.Name, max(cut, 0), len(all)-cut, backtest.M4Horizon)
	}
	return all[:cut], all[cut:], nil
}

// m4 are the scores and seconds by model.
type m4 struct {
	naive   []backtest.M4Score
	scores  map[forecast.Source][]backtest.M4Score
	seconds map[forecast.Source][]float64
}

func (m *m4) measure(history, actual []float64) error {
	m.naive = append(m.naive, backtest.ScoreM4(history, actual, backtest.SeasonalNaiveM4(history)))
	series := forecast.Series{Start: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), Step: time.Hour, Values: history}
	seasons := []time.Duration{backtest.M4Season * time.Hour, 7 * backtest.M4Season * time.Hour}
	horizon := make([]time.Duration, backtest.M4Horizon)
	for i := range horizon {
		horizon[i] = time.Duration(i+1) * time.Hour
	}
	for _, model := range m4Models() {
		started := time.Now()
		f, err := model.Forecast(series, seasons, horizon, series.End())
		if err != nil {
			return err
		}
		m.seconds[model.Name()] = append(m.seconds[model.Name()], time.Since(started).Seconds())
		median := slices.Index(f.Levels, 0.5)
		points := make([]float64, len(horizon))
		for i := range points {
			points[i] = f.Quantiles[i][median]
		}
		m.scores[model.Name()] = append(m.scores[model.Name()], backtest.ScoreM4(history, actual, points))
	}
	return nil
}

func (m *m4) print(out io.Writer, kind string) error {
	naive2 := backtest.MeanM4(m.scores[forecast.SourceNaive2])
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "model\tsMAPE\tMASE\tOWA\tms p95\t")
	naive := backtest.MeanM4(m.naive)
	fmt.Fprintf(table, "seasonal naive\t%.3f\t%.3f\t%.3f\t\t\n", naive.SMAPE, naive.MASE, naive.OWA(naive2))
	for _, model := range m4Models() {
		s := backtest.MeanM4(m.scores[model.Name()])
		fmt.Fprintf(table, "%s\t%.3f\t%.3f\t%.3f\t%.1f\t\n", model.Name(), s.SMAPE, s.MASE, s.OWA(naive2), 1000*highest95(m.seconds[model.Name()]))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	s := backtest.MeanM4(m.scores[ours.Name()])
	line, err := json.Marshal(m4Result{
		Series: len(m.naive), Test: kind, SMAPE: rounded(s.SMAPE), MASE: rounded(s.MASE), OWA: rounded(s.OWA(naive2)),
		NaiveSMAPE: rounded(naive.SMAPE), NaiveMASE: rounded(naive.MASE), FitP95: rounded(1000 * highest95(m.seconds[ours.Name()])),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", line)
	return err
}

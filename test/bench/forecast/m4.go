package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
	"forewarm.dev/forecast/backtest/trial"
	"forewarm.dev/forecast/seriesfile"
)

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
	report, err := trial.RunM4(context.Background(), train, test, trial.Options{Methods: m4Methods(), Clock: time.Now})
	if err != nil {
		return err
	}
	if err := trial.Print(out, report.Sheets()); err != nil {
		return err
	}
	return concludeM4(report, out)
}

// m4Methods are those of forewarmctl, and what Auto answers a short history by.
func m4Methods() []trial.Method {
	return append(trial.M4Methods(), trial.Method{Name: "combined", Model: forecast.Combined{}})
}

func readM4(file string) ([]backtest.M4Row, error) {
	text, err := seriesfile.ReadText(file)
	if err != nil {
		return nil, err
	}
	rows, err := backtest.ParseM4(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return rows, nil
}

// concludeM4 prints the result.
func concludeM4(report *trial.M4Report, out io.Writer) error {
	i := slices.IndexFunc(report.Results, func(r trial.M4Result) bool { return r.Method == trial.Ours })
	s, naive := report.Results[i], report.Naive
	result := m4Result{
		Series: report.Series, Test: "Validation", SMAPE: rounded(s.SMAPE), MASE: rounded(s.MASE), OWA: rounded(s.OWA),
		NaiveSMAPE: rounded(naive.SMAPE), NaiveMASE: rounded(naive.MASE), FitP95: rounded(1000 * s.SecondsP95),
	}
	if report.Official {
		result.Test = "Official"
	}
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", line)
	return err
}

package main

import (
	"fmt"
	"io"

	"forewarm.dev/forecast/backtest"
)

// coverage prints how often the 80 % band of ours covers what came, with an interval, from origins
// every three hours of the last 14 days.
func coverage(samples []sample, out io.Writer) error {
	inside := map[backtest.Span][][]backtest.Band{}
	for _, s := range samples {
		var predictions []backtest.Prediction
		for _, cut := range backtest.Dense().Cuts(s.series) {
			p, err := backtest.Dense().Predict(ours, s.series, nil, cut)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			predictions = append(predictions, p)
		}
		for _, span := range backtest.Spans() {
			inside[span] = append(inside[span], backtest.InsideOf(s.series, predictions, span))
		}
	}
	for _, span := range backtest.Spans() {
		share, low, high := backtest.Interval(inside[span], 1)
		is := "inside"
		if low > 0.8 || high < 0.8 {
			is = "outside"
		}
		fmt.Fprintf(out, "%s: the 80 %% band covers %.3f of what came, %.3f to %.3f in 95 %% of bootstrap samples (blocks of two days, %d series): 0.8 is %s\n",
			span, share, low, high, len(samples), is)
	}
	return nil
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
)

// ours is the model whose figures are the result, and rivals are what it has to beat: of the two
// that smooth exponentially the one that is as good as R's.
var (
	ours   = forecast.Auto{}
	rivals = []forecast.Model{forecast.LastValue{}, forecast.Theta{}, forecast.STLETS{}}
)

// result is the last line of the output.
type result struct {
	Series int        `json:"series"`
	Hour   spanResult `json:"1h"`
	Day    spanResult `json:"24h"`
	// FitP95 is of a fit and a forecast of 24 hours, in milliseconds.
	FitP95 float64 `json:"fit_p95_ms"`
	// PredictP95 is of a forecast of 24 hours by a model that was fitted before.
	PredictP95 float64 `json:"predict_p95_ms"`
}

type spanResult struct {
	RelativeMASE    float64 `json:"rel_mase"`
	RelativePinball float64 `json:"rel_pinball"`
	Coverage        float64 `json:"coverage80"`
	// ShareBetter is the share of series with a lower MASE than every rival.
	ShareBetter float64 `json:"share_better"`
}

// conclude prints how often ours is better, how long it takes, and the result.
func (r *results) conclude(out io.Writer) error {
	for _, span := range backtest.Spans() {
		fmt.Fprintf(out, "%s: the MASE of %s is lower than that of", span, ours.Name())
		for _, rival := range rivals {
			fmt.Fprintf(out, " %s on %.0f %%,", rival.Name(), 100*r.shareBetter(span, rival))
		}
		fmt.Fprintf(out, " all three on %.0f %%, and these and %s on %.0f %% of %d series\n", 100*r.shareBetter(span, rivals...),
			forecast.SourceETS, 100*r.shareBetter(span, append([]forecast.Model{forecast.ETS{}}, rivals...)...), len(r.scores[key(all, span, ours)]))
	}
	fit := 1000 * highest95(r.seconds[ours.Name()])
	predict := 1000 * highest95(r.predictions)
	fmt.Fprintf(out, "fit and forecast of 24 h with %s, on one core: p95 %.1f ms of %d; forecast alone p95 %.2f ms\n", ours.Name(), fit, len(r.seconds[ours.Name()]), predict)
	if err := r.printCost(out); err != nil {
		return err
	}
	line, err := json.Marshal(result{
		Series: len(r.scores[key(all, backtest.Hour, ours)]),
		Hour:   r.span(backtest.Hour), Day: r.span(backtest.Day), FitP95: rounded(fit), PredictP95: rounded(predict),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", line)
	return err
}

func (r *results) span(span backtest.Span) spanResult {
	s := backtest.Summarise(r.scores[key(all, span, ours)])
	return spanResult{rounded(s.RelativeMASE), rounded(s.RelativePinball), rounded(s.Coverage), rounded(r.shareBetter(span, rivals...))}
}

// shareBetter is the share of series on which ours has a lower MASE than each of some models.
func (r *results) shareBetter(span backtest.Span, than ...forecast.Model) float64 {
	scores, better := r.scores[key(all, span, ours)], 0.0
	for i, score := range scores {
		if !slices.ContainsFunc(than, func(m forecast.Model) bool { return r.scores[key(all, span, m)][i].MASE <= score.MASE }) {
			better++
		}
	}
	return better / float64(len(scores))
}

// highest95 is the smallest of the values that at least 95 % of them do not exceed.
func highest95(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(0.95*float64(len(sorted))))-1]
}

func rounded(value float64) float64 { return math.Round(value*1e4) / 1e4 }

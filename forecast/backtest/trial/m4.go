package trial

import (
	"context"
	"fmt"
	"slices"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
)

// M4Report is how the methods did on the hourly series of the M4 competition.
type M4Report struct {
	Series int `json:"series"`
	// Official is false where the last 48 values of the training file were scored instead.
	Official bool `json:"official"`
	// Naive is the seasonal naive forecast, as the competition defines it.
	Naive M4Result `json:"naive"`
	// Results has a row per method.
	Results []M4Result `json:"results"`
}

// M4Result is how one method did by the measures of the competition.
type M4Result struct {
	Method string `json:"method"`
	backtest.M4Score
	OWA float64 `json:"owa"`
	// SecondsP95 is of a fit and a forecast.
	SecondsP95 float64 `json:"secondsP95"`
}

// naive2 is what the other methods are relative to.
const naive2 = "naive2"

// M4Methods are those of Methods that are not another name for the competition's own
// seasonal naive, and what OWA is relative to.
func M4Methods() []Method {
	methods := []Method{{naive2, forecast.Naive2{}}}
	for _, m := range Methods() {
		if m.Name != "seasonal-naive" {
			methods = append(methods, m)
		}
	}
	return methods
}

// RunM4 scores the hourly series of the competition: on the official test rows, or without
// any on the last 48 values of the training rows. Rows of Options is not used.
func RunM4(ctx context.Context, train, test []backtest.M4Row, o Options) (*M4Report, error) {
	var naive []backtest.M4Score
	scores, seconds := map[string][]backtest.M4Score{}, map[string][]float64{}
	for i, row := range train {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		history, actual, err := SplitM4(row, test)
		if err != nil {
			return nil, err
		}
		naive = append(naive, backtest.ScoreM4(history, actual, backtest.SeasonalNaiveM4(history)))
		for _, method := range o.Methods {
			started := o.Clock()
			points, err := medians(method.Model, history)
			if err != nil {
				return nil, fmt.Errorf("series %s: %w", row.Name, err)
			}
			seconds[method.Name] = append(seconds[method.Name], o.Clock().Sub(started).Seconds())
			scores[method.Name] = append(scores[method.Name], backtest.ScoreM4(history, actual, points))
		}
		if o.Progress != nil {
			o.Progress(i+1, len(train), row.Name)
		}
	}
	base := backtest.MeanM4(scores[naive2])
	mean := backtest.MeanM4(naive)
	report := &M4Report{Series: len(train), Official: test != nil, Naive: M4Result{"seasonal-naive", mean, mean.OWA(base), 0}}
	for _, method := range o.Methods {
		mean := backtest.MeanM4(scores[method.Name])
		report.Results = append(report.Results, M4Result{method.Name, mean, mean.OWA(base), rank(seconds[method.Name], 0.95)})
	}
	return report, nil
}

// SplitM4 gives what a model sees of a series, and what it is scored on.
func SplitM4(row backtest.M4Row, test []backtest.M4Row) (history, actual []float64, err error) {
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

// medians are the point forecasts of a model. The competition gives no usable times, so all
// series start on a Monday.
func medians(model forecast.Model, history []float64) ([]float64, error) {
	series := forecast.Series{Start: time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), Step: time.Hour, Values: history}
	seasons := []time.Duration{backtest.M4Season * time.Hour, 7 * backtest.M4Season * time.Hour}
	horizon := make([]time.Duration, backtest.M4Horizon)
	for i := range horizon {
		horizon[i] = time.Duration(i+1) * time.Hour
	}
	f, err := model.Forecast(series, seasons, horizon, series.End())
	if err != nil {
		return nil, err
	}
	median := slices.Index(f.Levels, 0.5)
	points := make([]float64, len(horizon))
	for i := range points {
		points[i] = f.Quantiles[i][median]
	}
	return points, nil
}

// Sheets is a table by method.
func (r *M4Report) Sheets() []Sheet {
	sheet := Sheet{Columns: []string{"Method", "sMAPE", "MASE", "OWA", "ms p95"}}
	sheet.Rows = append(sheet.Rows, []any{r.Naive.Method, thousandth(r.Naive.SMAPE), thousandth(r.Naive.MASE), thousandth(r.Naive.OWA), "-"})
	for _, row := range r.Results {
		sheet.Rows = append(sheet.Rows, []any{row.Method, thousandth(row.SMAPE), thousandth(row.MASE), thousandth(row.OWA), tenth(1000 * row.SecondsP95)})
	}
	scored := "the last 48 values of the training file"
	if r.Official {
		scored = "the test file"
	}
	sheet.Says = fmt.Sprintf("M4 Hourly, %d series, scored on %s", r.Series, scored)
	return []Sheet{sheet}
}

package trial

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"forewarm.dev/forecast/backtest"
)

// Sheet is a table of a report: the names of its columns, of which one that begins with "+" may be
// left out where there is little room, a cell for each in every row, and what is said of it.
type Sheet struct {
	Columns []string
	Rows    [][]any
	Says    string
}

// Print writes the sheets of a report as text.
func Print(out io.Writer, sheets []Sheet) error {
	for i, sheet := range sheets {
		if i > 0 {
			fmt.Fprintln(out)
		}
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, column := range sheet.Columns {
			fmt.Fprint(table, strings.TrimPrefix(column, "+"), "\t")
		}
		fmt.Fprintln(table)
		for _, row := range sheet.Rows {
			for _, cell := range row {
				fmt.Fprint(table, cell, "\t")
			}
			fmt.Fprintln(table)
		}
		if err := table.Flush(); err != nil {
			return err
		}
		if sheet.Says != "" {
			fmt.Fprintln(out, sheet.Says)
		}
	}
	return nil
}

// Sheets are a table by class of series, and where our band holds: by how far ahead, and by the hour.
func (r *Report) Sheets() []Sheet {
	scores := Sheet{Columns: []string{"Class", "Series", "+Span", "Method", "MASE ÷ naive", "Pinball ÷ naive", "+MASE", "+WAPE", "+MAPE", "Cover 80 %", "Forewarm better", "ms p50", "+ms p95"}}
	for _, row := range r.Results {
		better := fmt.Sprintf("%.0f %%", 100*row.ShareOursBetter)
		if row.Method == Ours {
			better = "-"
		}
		scores.Rows = append(scores.Rows, []any{
			row.Class, row.Series, row.Span, row.Method, thousandth(row.RelativeMASE), thousandth(row.RelativePinball), thousandth(row.MASE), thousandth(row.WAPE),
			percent(row.MAPE), thousandth(row.Coverage), better, tenth(1000 * row.SecondsP50), tenth(1000 * row.SecondsP95),
		})
	}
	if len(r.Short) > 0 {
		scores.Says = fmt.Sprintf("too short to be scored: %v", r.Short)
	}
	ahead := Sheet{Columns: []string{"Ahead", "Within the 80 % band"}}
	for i, band := range r.Coverage.Horizon {
		ahead.Rows = append(ahead.Rows, []any{fmt.Sprintf("≤ %gh", backtest.Horizons()[i].Hours()), percent(band.Share())})
	}
	hours := Sheet{Columns: []string{"Within it at UTC"}}
	for hour := range perRow {
		hours.Columns = append(hours.Columns, fmt.Sprintf("%d h on", hour))
	}
	for from := 0; from < len(r.Coverage.Hour); from += perRow {
		row := []any{fmt.Sprintf("%02d:00", from)}
		for hour := from; hour < from+perRow; hour++ {
			row = append(row, percent(r.Coverage.Hour[hour].Share()))
		}
		hours.Rows = append(hours.Rows, row)
	}
	return []Sheet{scores, ahead, hours}
}

// perRow is how many hours of the day a row has.
const perRow = 8

func thousandth(value float64) string { return fmt.Sprintf("%.3f", value) }

func tenth(value float64) string { return fmt.Sprintf("%.1f", value) }

func percent(share float64) string {
	if math.IsNaN(share) {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// jsonResult is a Result for machines.
type jsonResult struct {
	Class           string        `json:"class"`
	Span            backtest.Span `json:"span"`
	Method          string        `json:"method"`
	Series          int           `json:"series"`
	RelativeMASE    float64       `json:"relMase"`
	RelativePinball float64       `json:"relPinball"`
	MASE            float64       `json:"mase"`
	Pinball         float64       `json:"pinball"`
	WAPE            float64       `json:"wape"`
	MAPE            *float64      `json:"mape"`
	MAPEBelow15     float64       `json:"mapeBelow15"`
	Coverage        float64       `json:"coverage80"`
	SecondsP50      float64       `json:"secondsP50"`
	SecondsP95      float64       `json:"secondsP95"`
	ShareOursBetter float64       `json:"shareForewarmBetter"`
}

// jsonBand is the coverage of a part of the horizon, or of an hour of the day.
type jsonBand struct {
	Hours    float64  `json:"hours"`
	Scored   int      `json:"scored"`
	Coverage *float64 `json:"coverage80"`
}

// Whole is the report for machines, figures in full.
func (r *Report) Whole() any {
	written := struct {
		Results   []jsonResult `json:"results"`
		ByHorizon []jsonBand   `json:"byHorizon"`
		ByHour    []jsonBand   `json:"byHourOfDay"`
		Short     []string     `json:"tooShort,omitempty"`
	}{Short: r.Short}
	for _, row := range r.Results {
		written.Results = append(written.Results, jsonResult{
			row.Class, row.Span, row.Method, row.Series, row.RelativeMASE, row.RelativePinball, row.MASE, row.Pinball, row.WAPE,
			orNull(row.MAPE), row.MAPEBelow15, row.Coverage, row.SecondsP50, row.SecondsP95, row.ShareOursBetter,
		})
	}
	for i, band := range r.Coverage.Horizon {
		written.ByHorizon = append(written.ByHorizon, jsonBand{backtest.Horizons()[i].Hours(), band.Scored, orNull(band.Share())})
	}
	for hour, band := range r.Coverage.Hour {
		written.ByHour = append(written.ByHour, jsonBand{float64(hour), band.Scored, orNull(band.Share())})
	}
	return written
}

func orNull(value float64) *float64 {
	if math.IsNaN(value) {
		return nil
	}
	return &value
}

// rank is the smallest of the values that at least a share of them do not exceed.
func rank(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Ceil(share*float64(len(sorted))))-1]
}

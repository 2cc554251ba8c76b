package trial

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"forewarm.dev/forecast/backtest"
)

// Print writes the report as text: a table by class of series, and where our band holds.
func (r *Report) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "class\tseries\tspan\tmethod\tMASE ÷ naive\tpinball ÷ naive\tMASE\tWAPE\tMAPE\tcover 80 %\tforewarm better\tms p50\tms p95\t")
	for _, row := range r.Results {
		better := fmt.Sprintf("%.0f %%", 100*row.ShareOursBetter)
		if row.Method == Ours {
			better = "-"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%s\t%.3f\t%s\t%.1f\t%.1f\t\n", row.Class, row.Series, row.Span, row.Method,
			row.RelativeMASE, row.RelativePinball, row.MASE, row.WAPE, percent(row.MAPE), row.Coverage, better, 1000*row.SecondsP50, 1000*row.SecondsP95)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(r.Short) > 0 {
		fmt.Fprintf(out, "too short to be scored: %v\n", r.Short)
	}
	return r.printCoverage(out)
}

func percent(share float64) string {
	if math.IsNaN(share) {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

func (r *Report) printCoverage(out io.Writer) error {
	fmt.Fprintf(out, "\n%s, share of values within the 80 %% band\n", Ours)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "ahead\t")
	for _, end := range backtest.Horizons() {
		fmt.Fprintf(table, "≤ %gh\t", end.Hours())
	}
	fmt.Fprint(table, "\n\t")
	for _, band := range r.Coverage.Horizon {
		fmt.Fprintf(table, "%s\t", percent(band.Share()))
	}
	fmt.Fprintln(table)
	const perRow = 8
	for from := 0; from < len(r.Coverage.Hour); from += perRow {
		fmt.Fprint(table, "hour UTC\t")
		for hour := from; hour < from+perRow; hour++ {
			fmt.Fprintf(table, "%02d\t", hour)
		}
		fmt.Fprint(table, "\n\t")
		for hour := from; hour < from+perRow; hour++ {
			fmt.Fprintf(table, "%s\t", percent(r.Coverage.Hour[hour].Share()))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
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

// PrintJSON writes the report for machines, figures in full.
func (r *Report) PrintJSON(out io.Writer) error {
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
	lines := json.NewEncoder(out)
	lines.SetIndent("", "  ")
	return lines.Encode(written)
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

package series

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/forecast"
)

// forecasted is a series and what is expected of it from a time on.
type forecasted struct {
	demand
	from time.Time
	forecast.Forecast
}

// csvFormat is the format that only a forecast has.
const csvFormat = "csv"

func printForecasts(out io.Writer, format *output.Format, results []forecasted) error {
	if format.String() == csvFormat {
		return printForecastCSV(out, results)
	}
	return format.Print(out, wholeForecasts(results), func(p *output.Page) {
		for i, r := range results {
			if i > 0 {
				p.Line(output.Plain, "")
			}
			forecastPage(p, r)
		}
	})
}

// tableRows is how many times ahead a table shows, evenly spread; a wide one shows all.
const tableRows = 24

func forecastPage(p *output.Page, r forecasted) {
	p.Line(output.Plain, "%s: %d values every %v until %s; %s (%s)", r.name, observed(r.series), r.series.Step, r.series.End().UTC().Format(time.RFC3339), r.Source, r.Reason)
	shown := columnsOf(r.Levels, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99)
	columns := []string{"Ahead", "At"}
	for i, level := range r.Levels {
		name := fmt.Sprintf("P%.3g", 100*level)
		if !slices.Contains(shown, i) {
			name = "+" + name
		}
		columns = append(columns, name)
	}
	table := output.NewRows(columns...)
	rows := len(r.Horizon)
	if !p.Wide {
		rows = min(tableRows, rows)
	}
	for row := range rows {
		at := (row+1)*len(r.Horizon)/rows - 1
		cells := []any{r.Horizon[at], r.from.Add(r.Horizon[at]).UTC().Format("2006-01-02 15:04:05")}
		for _, q := range r.Quantiles[at] {
			cells = append(cells, fmt.Sprintf("%.4g", q))
		}
		table.Add(output.Plain, cells...)
	}
	p.Table(table, "")
}

// observed counts the values that are not missing.
func observed(series forecast.Series) int {
	n := 0
	for _, value := range series.Values {
		if !math.IsNaN(value) {
			n++
		}
	}
	return n
}

// columnsOf are the places of those of some levels that a forecast has.
func columnsOf(levels []float64, wanted ...float64) []int {
	var columns []int
	for i, level := range levels {
		if slices.ContainsFunc(wanted, func(w float64) bool { return math.Abs(w-level) < 1e-9 }) {
			columns = append(columns, i)
		}
	}
	return columns
}

func printForecastCSV(out io.Writer, results []forecasted) error {
	rows := csv.NewWriter(out)
	for i, r := range results {
		if i == 0 {
			header := []string{"series", "timestamp", "ahead_seconds"}
			for _, level := range r.Levels {
				header = append(header, "q"+strconv.FormatFloat(level, 'g', -1, 64))
			}
			if err := rows.Write(header); err != nil {
				return err
			}
		}
		for j, horizon := range r.Horizon {
			row := []string{r.name, r.from.Add(horizon).UTC().Format(time.RFC3339), strconv.FormatFloat(horizon.Seconds(), 'g', -1, 64)}
			for _, q := range r.Quantiles[j] {
				row = append(row, strconv.FormatFloat(q, 'g', -1, 64))
			}
			if err := rows.Write(row); err != nil {
				return err
			}
		}
	}
	rows.Flush()
	return rows.Error()
}

// jsonForecast is a forecast for machines.
type jsonForecast struct {
	Series      string          `json:"series"`
	From        time.Time       `json:"from"`
	StepSeconds float64         `json:"stepSeconds"`
	Source      forecast.Source `json:"source"`
	Reason      forecast.Reason `json:"reason"`
	Levels      []float64       `json:"levels"`
	Steps       []jsonStep      `json:"steps"`
}

type jsonStep struct {
	At           time.Time          `json:"at"`
	AheadSeconds float64            `json:"aheadSeconds"`
	Quantiles    forecast.Quantiles `json:"quantiles"`
}

func wholeForecasts(results []forecasted) []jsonForecast {
	written := []jsonForecast{}
	for _, r := range results {
		row := jsonForecast{
			Series: r.name, From: r.from.UTC(), StepSeconds: r.series.Step.Seconds(),
			Source: r.Source, Reason: r.Reason, Levels: r.Levels,
		}
		for j, horizon := range r.Horizon {
			row.Steps = append(row.Steps, jsonStep{r.from.Add(horizon).UTC(), horizon.Seconds(), r.Quantiles[j]})
		}
		written = append(written, row)
	}
	return written
}

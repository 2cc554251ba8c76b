package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"forewarm.dev/forecast"
)

// forecasted is a series and what is expected of it from a time on.
type forecasted struct {
	demand
	from time.Time
	forecast.Forecast
}

func printerFor(format string) (func(io.Writer, []forecasted) error, error) {
	switch format {
	case "table":
		return printForecastTable, nil
	case "json":
		return printForecastJSON, nil
	case "csv":
		return printForecastCSV, nil
	default:
		return nil, fmt.Errorf("unknown output format %q: write -o table, -o json or -o csv", format)
	}
}

// tableRows is how many times ahead a table shows, evenly spread.
const tableRows = 24

func printForecastTable(output io.Writer, results []forecasted) error {
	for i, r := range results {
		if i > 0 {
			fmt.Fprintln(output)
		}
		fmt.Fprintf(output, "%s: %d values every %v until %s; %s (%s)\n", r.name, observed(r.series), r.series.Step, r.series.End().UTC().Format(time.RFC3339), r.Source, r.Reason)
		table := tabwriter.NewWriter(output, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(table, "ahead\tat\t")
		columns := columnsOf(r.Levels, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99)
		for _, column := range columns {
			fmt.Fprintf(table, "P%.0f\t", 100*r.Levels[column])
		}
		fmt.Fprintln(table)
		rows := min(tableRows, len(r.Horizon))
		for row := range rows {
			at := (row+1)*len(r.Horizon)/rows - 1
			fmt.Fprintf(table, "%v\t%s\t", r.Horizon[at], r.from.Add(r.Horizon[at]).UTC().Format("2006-01-02 15:04:05"))
			for _, column := range columns {
				fmt.Fprintf(table, "%.4g\t", r.Quantiles[at][column])
			}
			fmt.Fprintln(table)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
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

func printForecastCSV(output io.Writer, results []forecasted) error {
	rows := csv.NewWriter(output)
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

func printForecastJSON(output io.Writer, results []forecasted) error {
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
	lines := json.NewEncoder(output)
	lines.SetIndent("", "  ")
	return lines.Encode(written)
}

// Package series is the commands that look at demand series: of files, and recorded ones of pools.
package series

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/cmd/forewarmctl/progress"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/chart"
	"forewarm.dev/forecast/seriesfile"
)

// Commands are forecast, backtest and history.
func Commands() []*cobra.Command {
	return []*cobra.Command{forecastCommand(), backtestCommand(), historyCommand()}
}

// forecastFlags are what the command is told.
type forecastFlags struct {
	recorded recordedFrom
	format   output.Format
	chart    string
	// events is the path of a file of known events.
	events        string
	horizon, step time.Duration
}

func forecastCommand() *cobra.Command {
	var flags forecastFlags
	c := &cobra.Command{
		Use:   "forecast FILE | --pool NAME",
		Short: "Forecast a series in a file, or the demand of a pool",
		Long: `Forecast a demand series and print its quantiles: from a CSV file with a time and a value per
row, from the end of the file on; or the recorded demand of a WarmPool, from now on.

A file may be gzipped. Its columns are found by name (timestamp and value); without a header
there are two. Times without a zone are in UTC. A file of the benchmark data, with a first
line "# step_s=", is read too.

Known events are a YAML list of name, from and to, with a factor by which demand is multiplied, or
none to have it learned from earlier events of the name; or with freeze: true, while which nothing
is deployed: demand stays as it is, and teaches nothing.`,
		Example: `  forewarmctl forecast demand.csv
  forewarmctl forecast demand.csv.gz --horizon 6h --chart fan.svg
  forewarmctl forecast demand.csv --events sales.yaml
  forewarmctl forecast --pool a100 --chunk single -o csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			all, from, err := flags.series(c, args)
			if err != nil {
				return err
			}
			return flags.run(c.Context(), c.OutOrStdout(), all, from)
		},
	}
	flags.recorded.addFlags(c)
	c.Flags().DurationVar(&flags.horizon, "horizon", 24*time.Hour, "how far to forecast")
	c.Flags().DurationVar(&flags.step, "step", 0, "step of the series of a file; 0 means as its times show")
	output.Add(c, &flags.format, "csv")
	c.Flags().StringVar(&flags.events, "events", "", "file of known events, past and to come")
	c.Flags().StringVar(&flags.chart, "chart", "", "also draw a fan chart to this file, *.png or *.svg")
	return c
}

// series reads the series, and says what the forecasts are counted from; zero means the end
// of the series.
func (f *forecastFlags) series(c *cobra.Command, args []string) ([]demand, time.Time, error) {
	switch {
	case (len(args) == 1) == (f.recorded.pool != ""):
		return nil, time.Time{}, errors.New("give either a file or --pool NAME")
	case f.recorded.pool != "":
		all, err := f.recorded.read(c)
		return all, time.Now().UTC(), err
	default:
		file, err := seriesfile.ReadPath(args[0], f.step)
		return []demand{{seriesfile.NameOf(args[0]), file.Series, nil}}, time.Time{}, err
	}
}

func (f *forecastFlags) run(ctx context.Context, out io.Writer, all []demand, from time.Time) error {
	events, err := readEvents(f.events)
	if err != nil {
		return err
	}
	model := forecast.Informed{Model: forecast.Auto{}, Events: events}
	var results []forecasted
	for _, d := range all {
		progress.At(ctx, "forecasting %s", d.name)
		at := from
		if at.IsZero() {
			at = d.series.End()
		}
		horizon, err := horizonsOf(d.series.Step, f.horizon)
		if err != nil {
			return err
		}
		answer, err := model.Forecast(d.series, d.seasons, horizon, at)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		results = append(results, forecasted{d, at, answer})
	}
	if f.chart != "" {
		if err := draw(f.chart, results); err != nil {
			return err
		}
	}
	return printForecasts(out, &f.format, results)
}

// mostHorizons bounds how many times ahead are forecast; further apart where there are more.
const mostHorizons = 1440

// horizonsOf are the times ahead, step by step.
func horizonsOf(step, until time.Duration) ([]time.Duration, error) {
	if until < step || until > 31*24*time.Hour {
		return nil, fmt.Errorf("--horizon %v: give a duration from one step of the series, %v, to 744h", until, step)
	}
	return forecast.Horizons(step, until, mostHorizons), nil
}

func draw(path string, results []forecasted) error {
	if len(results) != 1 {
		return errors.New("--chart draws one series: say which with --chunk")
	}
	format, err := chart.FormatOf(path)
	if err != nil {
		return err
	}
	r := results[0]
	title := fmt.Sprintf("%s from %s (%s)", r.name, r.from.UTC().Format("2006-01-02 15:04"), r.Source)
	var image bytes.Buffer
	fan := chart.Fan{Title: title, History: r.series, Forecast: r.Forecast, From: r.from}
	if err := fan.Draw(&image, format); err != nil {
		return err
	}
	return os.WriteFile(path, image.Bytes(), 0o644)
}

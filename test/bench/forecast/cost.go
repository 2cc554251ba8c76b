package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"gonum.org/v1/gonum/stat"
)

// elsewhere are the seconds per fit and forecast that others took on the 25 public series, where
// those were measured (docs/benchmarks.md): another machine, shared and noisy.
var elsewhere = []struct {
	name    string
	seconds float64
}{{"Theta in R (thetaf)", 0.055}, {"STL+ETS in R (stlf)", 0.28}, {"Prophet 1.0 in R", 6.6}}

const (
	// many series are fitted each hour, and forecast from their fits each five minutes.
	many             = 1000
	forecastsPerHour = 12
)

// printCost prints the seconds of each model, those of others beside them, and what many series take
// of one core.
func (r *results) printCost(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "fit and forecast of 24 h\tseconds, mean\t")
	for _, model := range models() {
		fmt.Fprintf(table, "%s\t%.4f\t\n", model.Name(), stat.Mean(r.seconds[model.Name()], nil))
	}
	for _, other := range elsewhere {
		fmt.Fprintf(table, "%s, elsewhere\t%.4f\t\n", other.name, other.seconds)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%d series, fitted hourly and forecast each five minutes with %s: %.1f %% of a core\n",
		many, ours.Name(), 100*shareOfCore(r.seconds[ours.Name()], r.predictions))
	return err
}

// shareOfCore is what many series take of one core, by the seconds of fits and of forecasts from
// them; a fit makes one forecast.
func shareOfCore(fits, predictions []float64) float64 {
	const hour = 3600
	return many * (stat.Mean(fits, nil) + (forecastsPerHour-1)*stat.Mean(predictions, nil)) / hour
}

// Command forecast measures the forecast models on a folder of demand series, or on made ones,
// by the standard protocol: a table per class of series, and a line RESULT for machines.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
	"forewarm.dev/forecast/seriesfile"
	"forewarm.dev/test/bench/series"
)

func main() {
	data := flag.String("data", "", "folder of series (*.csv.gz), or a folder that has them in series/; without it, made series")
	rows := flag.String("csv", "", "also write the forecasts to this file, for the reference scorer")
	m4Train := flag.String("m4", "", "instead score the M4 competition: its hourly training file, as CSV or gzipped CSV")
	covered := flag.Bool("coverage", false, "instead print the coverage of the 80 % band with its interval, from 112 origins a series: minutes")
	m4Test := flag.String("m4-test", "", "the official test file; without it, the last 48 values of the training file are scored")
	flag.Parse()
	runtime.GOMAXPROCS(1) // what a fit takes is stated for one core
	var err error
	if *m4Train != "" {
		err = runM4(*m4Train, *m4Test, os.Stdout)
	} else if *covered {
		err = runCoverage(*data, os.Stdout)
	} else {
		err = run(*data, *rows, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-forecast:", err)
		os.Exit(1)
	}
}

// models stand in the order of the table: the naive ones are what is to be beaten.
func models() []forecast.Model {
	return []forecast.Model{forecast.LastValue{}, forecast.SameSlot{}, forecast.Theta{}, forecast.ETS{}, forecast.STLETS{}, forecast.Combined{}, forecast.Auto{}}
}

// results are the scores by class, span and model, and the seconds that forecasts took.
type results struct {
	scores  map[string][]backtest.Score
	classes []string
	seconds map[forecast.Source][]float64
	// predictions are the seconds that ours took to forecast once it was fitted.
	predictions []float64
	rows        []byte
}

func runCoverage(data string, out io.Writer) error {
	samples, err := samplesOf(data)
	if err != nil {
		return err
	}
	return coverage(samples, out)
}

// samplesOf are the series of a folder, or made ones without one.
func samplesOf(data string) ([]sample, error) {
	if data != "" {
		return samplesIn(data)
	}
	var samples []sample
	for _, made := range series.Make() {
		samples = append(samples, sample{made.Name, made.Series})
	}
	return samples, nil
}

func run(data, rows string, out io.Writer) error {
	samples, err := samplesOf(data)
	if err != nil {
		return err
	}
	r := results{scores: map[string][]backtest.Score{}, seconds: map[forecast.Source][]float64{}, rows: []byte(backtest.Header)}
	for _, sample := range samples {
		if err := r.measure(sample); err != nil {
			return fmt.Errorf("%s: %w", sample.name, err)
		}
	}
	if rows != "" {
		if err := os.WriteFile(rows, r.rows, 0o644); err != nil {
			return fmt.Errorf("write forecasts: %w", err)
		}
	}
	if err := r.print(out); err != nil {
		return err
	}
	return r.conclude(out)
}

// sample is a series to measure on. Its class is the first word of its name.
type sample struct {
	name   string
	series forecast.Series
}

func samplesIn(data string) ([]sample, error) {
	all, err := seriesfile.ReadFolder(data)
	var samples []sample
	for _, named := range all {
		samples = append(samples, sample{named.Name, named.Series})
	}
	return samples, err
}

// measure scores every model on one series.
func (r *results) measure(s sample) error {
	series := s.series
	class, _, _ := strings.Cut(s.name, "_")
	protocol := backtest.Standard()
	for _, model := range models() {
		if model == ours {
			model = apart{&r.predictions}
		}
		var predictions []backtest.Prediction
		for _, cut := range protocol.Cuts(series) {
			started := time.Now()
			p, err := protocol.Predict(model, series, nil, cut)
			if err != nil {
				return err
			}
			seconds := time.Since(started).Seconds()
			r.seconds[model.Name()] = append(r.seconds[model.Name()], seconds)
			r.rows = p.AppendCSV(r.rows, s.name, string(model.Name()), seconds)
			predictions = append(predictions, p)
		}
		for _, span := range backtest.Spans() {
			score, err := backtest.ScoreSeries(series, predictions, span)
			if err != nil {
				return err
			}
			for _, group := range []string{class, all} {
				r.scores[key(group, span, model)] = append(r.scores[key(group, span, model)], score)
			}
		}
	}
	if !slices.Contains(r.classes, class) {
		r.classes = append(r.classes, class)
	}
	return nil
}

// apart is ours, fitted and asked apart, so that the seconds of the asking are known.
type apart struct{ seconds *[]float64 }

// Name implements forecast.Model.
func (apart) Name() forecast.Source { return ours.Name() }

// Forecast implements forecast.Model.
func (a apart) Forecast(history forecast.Series, seasons, horizon []time.Duration, now time.Time) (forecast.Forecast, error) {
	f, err := ours.Fit(history, seasons, horizon, now)
	if err != nil {
		return forecast.Forecast{}, err
	}
	started := time.Now()
	answer, err := f.Forecast(now)
	*a.seconds = append(*a.seconds, time.Since(started).Seconds())
	return answer, err
}

// all is the class of all series.
const all = "all"

func key(class string, span backtest.Span, model forecast.Model) string {
	return fmt.Sprint(class, " ", span, " ", model.Name())
}

func (r *results) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "class\tseries\tspan\tmodel\tMASE ÷ naive\tpinball ÷ naive\tWAPE\tcover 80 %\tseconds p50\t")
	for _, class := range append(r.classes, all) {
		for _, span := range backtest.Spans() {
			for _, model := range models() {
				s := backtest.Summarise(r.scores[key(class, span, model)])
				fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.4f\t\n",
					class, s.Series, span, model.Name(), s.RelativeMASE, s.RelativePinball, s.WAPE, s.Coverage, middle(r.seconds[model.Name()]))
			}
		}
	}
	return table.Flush()
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

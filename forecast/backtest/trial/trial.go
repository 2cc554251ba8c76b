// Package trial runs forecast methods over demand series by the standard protocol, and tells
// how each did by class of series, beside the plain methods that a forecast has to beat.
package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/backtest"
)

// Ours is the name of our own method.
const Ours = "forewarm"

// Method is a model under the name that tables and files use.
type Method struct {
	Name  string
	Model forecast.Model
}

// Methods are ours and what always stands beside it, in the order of tables.
func Methods() []Method {
	return []Method{
		{"last-value", forecast.LastValue{}},
		{"seasonal-naive", forecast.SameSlot{}},
		{"theta", forecast.Theta{}},
		{"ets", forecast.ETS{}},
		{Ours, forecast.Auto{}},
	}
}

// Subject is a series to forecast.
type Subject struct {
	Name, Class string
	Series      forecast.Series
}

// ClassOf is the class of a series by its name: the first word of it.
func ClassOf(name string) string {
	class, _, _ := strings.Cut(name, "_")
	return class
}

// All is the class of all series.
const All = "all"

// Options say how a trial runs.
type Options struct {
	Methods []Method
	// Seasons are the season lengths, shortest first; without any they are found.
	Seasons []time.Duration
	// Rows, if not nil, takes every forecast as the rows that the reference scorer reads.
	Rows io.Writer
	// Progress, if not nil, is called as each method is done with each series.
	Progress func(done, total int, name string)
	// Clock times the forecasts.
	Clock func() time.Time
}

// Report is how the methods did.
type Report struct {
	// Results has a row per class, span and method, in that order.
	Results []Result
	// Coverage is that of our band of 80 %; empty if ours was not asked.
	Coverage backtest.Coverage
	// Short are the series too short to be cut once.
	Short []string
}

// Result is how one method did on one class of series.
type Result struct {
	Class  string
	Span   backtest.Span
	Method string
	backtest.Summary
	// SecondsP50 and SecondsP95 are of a fit and a forecast of the horizon.
	SecondsP50, SecondsP95 float64
	// ShareOursBetter is the share of series on which our MASE is lower; zero for ours.
	ShareOursBetter float64
}

// ErrTooShort says that no series could be cut.
var ErrTooShort = errors.New("no series has more than two days: give longer ones, since a day is forecast and one before it is compared with")

// Run forecasts every subject with every method at every cut. It stops between two series
// when the context ends.
func Run(ctx context.Context, subjects []Subject, o Options) (*Report, error) {
	t := tally{Options: o, scores: map[cell][]backtest.Score{}, seconds: map[string][]float64{}}
	if o.Rows != nil {
		if _, err := io.WriteString(o.Rows, backtest.Header); err != nil {
			return nil, fmt.Errorf("write forecasts: %w", err)
		}
	}
	var short []string
	for i, subject := range subjects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		told := func(method int) {
			if o.Progress != nil {
				o.Progress(i*len(o.Methods)+method+1, len(subjects)*len(o.Methods), subject.Name)
			}
		}
		switch err := t.measure(subject, told); {
		case errors.Is(err, backtest.ErrNothingToScore):
			short = append(short, subject.Name)
		case err != nil:
			return nil, fmt.Errorf("%s: %w", subject.Name, err)
		}
	}
	if len(t.classes) == 0 {
		return nil, ErrTooShort
	}
	return &Report{Results: t.results(), Coverage: t.coverage, Short: short}, nil
}

// tally is what has been measured so far.
type tally struct {
	Options
	classes  []string
	scores   map[cell][]backtest.Score
	seconds  map[string][]float64
	coverage backtest.Coverage
}

// cell is a row of the report.
type cell struct {
	class  string
	span   backtest.Span
	method string
}

// measure scores every method on a series, and calls told as each is done.
func (t *tally) measure(s Subject, told func(method int)) error {
	cuts := backtest.Standard().Cuts(s.Series)
	if len(cuts) == 0 {
		return backtest.ErrNothingToScore
	}
	for i, method := range t.Methods {
		predictions, err := t.predict(s, method, cuts)
		if err != nil {
			return err
		}
		for _, span := range backtest.Spans() {
			score, err := backtest.ScoreSeries(s.Series, predictions, span)
			if err != nil {
				return err
			}
			for _, class := range []string{s.Class, All} {
				at := cell{class, span, method.Name}
				t.scores[at] = append(t.scores[at], score)
			}
		}
		if method.Name == Ours {
			t.coverage.Add(s.Series, predictions)
		}
		told(i)
	}
	if !slices.Contains(t.classes, s.Class) {
		t.classes = append(t.classes, s.Class)
	}
	return nil
}

func (t *tally) predict(s Subject, method Method, cuts []int) ([]backtest.Prediction, error) {
	var predictions []backtest.Prediction
	var rows []byte
	for _, cut := range cuts {
		started := t.Clock()
		p, err := backtest.Standard().Predict(method.Model, s.Series, t.Seasons, cut)
		if err != nil {
			return nil, err
		}
		seconds := t.Clock().Sub(started).Seconds()
		t.seconds[method.Name] = append(t.seconds[method.Name], seconds)
		rows = p.AppendCSV(rows, s.Name, method.Name, seconds)
		predictions = append(predictions, p)
	}
	if t.Rows == nil {
		return predictions, nil
	}
	if _, err := t.Rows.Write(rows); err != nil {
		return nil, fmt.Errorf("write forecasts: %w", err)
	}
	return predictions, nil
}

func (t *tally) results() []Result {
	var results []Result
	for _, class := range append(t.classes, All) {
		for _, span := range backtest.Spans() {
			for _, method := range t.Methods {
				at := cell{class, span, method.Name}
				results = append(results, Result{
					Class: class, Span: span, Method: method.Name,
					Summary:    backtest.Summarise(t.scores[at]),
					SecondsP50: rank(t.seconds[method.Name], 0.5), SecondsP95: rank(t.seconds[method.Name], 0.95),
					ShareOursBetter: t.shareBetter(at),
				})
			}
		}
	}
	return results
}

// shareBetter is the share of series of a class on which ours has a lower MASE than a method.
func (t *tally) shareBetter(at cell) float64 {
	ours := t.scores[cell{at.class, at.span, Ours}]
	better := 0.0
	for i, score := range t.scores[at] {
		if len(ours) > i && ours[i].MASE < score.MASE {
			better++
		}
	}
	return better / float64(len(t.scores[at]))
}

package series

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/cmd/forewarmctl/progress"
	"forewarm.dev/forecast/backtest"
	"forewarm.dev/forecast/backtest/trial"
	"forewarm.dev/forecast/seriesfile"
)

// backtestFlags are what the command is told.
type backtestFlags struct {
	recorded  recordedFrom
	data, out string
	format    output.Format
	m4        bool
}

func backtestCommand() *cobra.Command {
	var flags backtestFlags
	c := &cobra.Command{
		Use:   "backtest --data DIR | --pool NAME | --m4 TRAIN [TEST]",
		Short: "Score Forewarm's forecast and plain methods on past demand",
		Long: `Cut each series at eight times of its last week, forecast the next 24 hours from what was
known then, and score the forecasts against what came: Forewarm's beside last value, seasonal
naive, Theta and ETS, by class of series. The class is the first word of a file's name,
before the first underscore.

With --m4, score the hourly series of the M4 competition by its own measures: on the official
test file, or without it on the last 48 values of the training file.`,
		Example: `  forewarmctl backtest --data demand/
  forewarmctl backtest --pool a100 --out forecasts.csv
  forewarmctl backtest --m4 Hourly-train.csv Hourly-test.csv`,
		Args: func(_ *cobra.Command, args []string) error {
			if flags.m4 && (len(args) < 1 || len(args) > 2) {
				return errors.New("--m4 takes the training file and, if you have it, the test file")
			}
			if !flags.m4 && len(args) > 0 {
				return fmt.Errorf("%q is not expected: name the folder with --data", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if flags.m4 {
				return flags.runM4(c, args)
			}
			return flags.run(c)
		},
	}
	c.Flags().StringVar(&flags.data, "data", "", "folder of series, *.csv or *.csv.gz, or one that has them in series/")
	flags.recorded.addFlags(c)
	c.Flags().BoolVar(&flags.m4, "m4", false, "score M4 Hourly, whose files are the arguments")
	c.Flags().StringVar(&flags.out, "out", "", "also write every forecast to this CSV file: series,method,origin,step,seconds,q0.1..q0.9")
	output.Add(c, &flags.format)
	c.MarkFlagsMutuallyExclusive("data", "pool", "m4")
	c.MarkFlagsMutuallyExclusive("out", "m4")
	c.MarkFlagsOneRequired("data", "pool", "m4")
	return c
}

func (f *backtestFlags) run(c *cobra.Command) error {
	subjects, seasons, err := f.subjects(c)
	if err != nil {
		return err
	}
	options := trial.Options{Methods: trial.Methods(), Seasons: seasons, Progress: progressTo(c.Context()), Clock: time.Now}
	report, err := runTo(c.Context(), f.out, subjects, options)
	if err != nil {
		return err
	}
	return f.print(c, report.Whole(), report.Sheets())
}

// print prints the tables of a report, or the whole of it.
func (f *backtestFlags) print(c *cobra.Command, whole any, sheets []trial.Sheet) error {
	return f.format.Print(c.OutOrStdout(), whole, func(p *output.Page) {
		for i, sheet := range sheets {
			if i > 0 {
				p.Line(output.Plain, "")
			}
			table := output.NewRows(sheet.Columns...)
			for _, row := range sheet.Rows {
				table.Add(output.Plain, row...)
			}
			p.Table(table, "")
			if sheet.Says != "" {
				p.Line(output.Plain, "%s", sheet.Says)
			}
		}
	})
}

// runTo runs with the forecasts written to a file, if it has a name.
func runTo(ctx context.Context, path string, subjects []trial.Subject, o trial.Options) (*trial.Report, error) {
	if path == "" {
		return trial.Run(ctx, subjects, o)
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	defer file.Close()
	rows := bufio.NewWriter(file)
	o.Rows = rows
	report, err := trial.Run(ctx, subjects, o)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(rows.Flush(), file.Close()); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return report, nil
}

func (f *backtestFlags) subjects(c *cobra.Command) ([]trial.Subject, []time.Duration, error) {
	var subjects []trial.Subject
	if f.data != "" {
		all, err := seriesfile.ReadFolder(f.data)
		for _, named := range all {
			subjects = append(subjects, trial.Subject{Name: named.Name, Class: trial.ClassOf(named.Name), Series: named.Series})
		}
		return subjects, nil, err
	}
	all, err := f.recorded.read(c)
	var seasons []time.Duration
	for _, d := range all {
		subjects = append(subjects, trial.Subject{Name: d.name, Class: f.recorded.pool, Series: d.series})
		seasons = d.seasons
	}
	return subjects, seasons, err
}

func (f *backtestFlags) runM4(c *cobra.Command, files []string) error {
	var parts [2][]backtest.M4Row
	for i, file := range files {
		text, err := seriesfile.ReadText(file)
		if err != nil {
			return err
		}
		if parts[i], err = backtest.ParseM4(text); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	report, err := trial.RunM4(c.Context(), parts[0], parts[1], trial.Options{
		Methods: trial.M4Methods(), Progress: progressTo(c.Context()), Clock: time.Now,
	})
	if err != nil {
		return err
	}
	return f.print(c, report, report.Sheets())
}

// progressTo tells how far a command is.
func progressTo(ctx context.Context) func(done, total int, name string) {
	return func(done, total int, name string) { progress.At(ctx, "%d of %d: %s", done, total, name) }
}

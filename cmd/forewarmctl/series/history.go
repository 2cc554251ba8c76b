package series

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/forecast/history"
	"forewarm.dev/forecast/seriesfile"
)

func historyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "Import and export the recorded demand of a pool",
		Example: `  forewarmctl history import demand.csv.gz --pool a100 --chunk single
  forewarmctl history export --pool a100 --chunk single --out demand.csv.gz`,
	}
	c.AddCommand(importCommand(), exportCommand())
	return c
}

func importCommand() *cobra.Command {
	var pool, chunk string
	c := &cobra.Command{
		Use:   "import FILE --pool NAME",
		Short: "Record past demand from a CSV file",
		Long: `Record past demand of a chunk of a WarmPool from a CSV file with a time and a demand, in
chunks, per row; so that its forecast need not start from nothing. The file may be gzipped.

What is recorded already stays. What is older than spec.forecast.history is left out. It
writes DemandHistory objects with your own rights. The reserver reads them with the first
value of the next day (UTC), or when it next starts to lead: restart it to use them now.`,
		Example: `  forewarmctl history import demand.csv.gz --pool a100 --chunk single`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return importFile(c, args[0], pool, chunk)
		},
	}
	poolAndChunk(c, &pool, &chunk)
	return c
}

func exportCommand() *cobra.Command {
	var pool, chunk, out string
	c := &cobra.Command{
		Use:   "export --pool NAME",
		Short: "Write the recorded demand of a chunk as CSV",
		Long: `Write the recorded demand of a chunk of a WarmPool as CSV with a time and a demand, in chunks,
per row: what import and forecast read.`,
		Example: `  forewarmctl history export --pool a100 --chunk single --out demand.csv.gz`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return export(c, pool, chunk, out)
		},
	}
	poolAndChunk(c, &pool, &chunk)
	c.Flags().StringVar(&out, "out", "", "file to write, gzipped if it ends in .gz; empty means the standard output")
	return c
}

func poolAndChunk(c *cobra.Command, pool, chunk *string) {
	c.Flags().StringVar(pool, "pool", "", "WarmPool")
	c.Flags().StringVar(chunk, "chunk", "", "chunk of the pool; may be left out where there is one")
	_ = c.MarkFlagRequired("pool") // the flag is there
	_ = c.RegisterFlagCompletionFunc("pool", connection.CompleteNames("WarmPool", 0))
}

// recorded is the history of one chunk of a pool.
type recorded struct {
	store *history.Store
	key   history.Key
	// keep is how much of it is kept.
	keep time.Duration
}

func recordedOf(c *cobra.Command, pool, chunk string) (recorded, error) {
	from, err := connection.Of(c)
	if err != nil {
		return recorded{}, err
	}
	p, err := connection.Pool(c.Context(), from, pool)
	if err != nil {
		return recorded{}, err
	}
	if chunk, err = oneChunk(p, chunk); err != nil {
		return recorded{}, err
	}
	return recorded{
		history.NewStore(from),
		history.Key{Pool: p.Name, PoolUID: p.UID, Chunk: chunk},
		p.Spec.Forecast.History.Duration,
	}, nil
}

func importFile(c *cobra.Command, path, pool, chunk string) error {
	file, err := seriesfile.ReadPath(path, 0)
	if err != nil {
		return err
	}
	r, err := recordedOf(c, pool, chunk)
	if err != nil {
		return err
	}
	samples, old, err := history.Importable(file.Samples, r.keep, time.Now())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(samples) == 0 {
		return fmt.Errorf("%s: all %d values are older than spec.forecast.history of WarmPool %s, %v: nothing to import", path, old, pool, r.keep)
	}
	if err := r.write(c.Context(), samples, progressTo(c.Context())); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "imported %d values from %s to %s for pool %s chunk %s; left out %d that are older than %v\n",
		len(samples), samples[0].At.Format(time.RFC3339), samples[len(samples)-1].At.Format(time.RFC3339), r.key.Pool, r.key.Chunk, old, r.keep)
	return err
}

// write imports day by day, so that progress shows and an interrupt ends it between two.
func (r recorded) write(ctx context.Context, samples []history.Sample, progress func(done, total int, name string)) error {
	done := 0
	for some := range history.ByDay(samples) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("imported %d of %d values: %w", done, len(samples), err)
		}
		if err := r.store.Import(ctx, r.key, some); err != nil {
			return err
		}
		done += len(some)
		progress(done, len(samples), some[0].At.Format(time.DateOnly))
	}
	return nil
}

func export(c *cobra.Command, pool, chunk, out string) error {
	r, err := recordedOf(c, pool, chunk)
	if err != nil {
		return err
	}
	samples, err := r.store.Samples(c.Context(), r.key, time.Now().Add(-r.keep))
	if errors.Is(err, history.ErrUnreadable) {
		fmt.Fprintln(c.ErrOrStderr(), "forewarmctl:", err)
	} else if err != nil {
		return err
	}
	if len(samples) == 0 {
		return fmt.Errorf("nothing is recorded of pool %s chunk %s", r.key.Pool, r.key.Chunk)
	}
	if out == "" {
		return seriesfile.Write(c.OutOrStdout(), samples)
	}
	return writeFile(out, samples)
}

func writeFile(path string, samples []history.Sample) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	defer file.Close()
	rows := bufio.NewWriter(file)
	if err := packed(rows, filepath.Ext(path) == ".gz", samples); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return errors.Join(rows.Flush(), file.Close())
}

func packed(w io.Writer, zip bool, samples []history.Sample) error {
	if !zip {
		return seriesfile.Write(w, samples)
	}
	zipped := gzip.NewWriter(w)
	return errors.Join(seriesfile.Write(zipped, samples), zipped.Close())
}

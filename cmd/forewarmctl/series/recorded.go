package series

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/config"
)

// demand is a series with what it is called, and the seasons to use on it; none means that they
// are found.
type demand struct {
	name    string
	series  forecast.Series
	seasons []time.Duration
}

// recordedFrom says which recorded demand of a pool is meant, and where it is.
type recordedFrom struct {
	pool, chunk string
	// prometheus is the URL of a server to query instead of reading DemandHistory objects.
	prometheus, query string
}

func (r *recordedFrom) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&r.pool, "pool", "", "WarmPool whose recorded demand is read")
	_ = c.RegisterFlagCompletionFunc("pool", connection.CompleteNames("WarmPool", 0)) // the flag is there
	c.Flags().StringVar(&r.chunk, "chunk", "", "chunk of the pool; empty means all")
	c.Flags().StringVar(&r.prometheus, "prometheus", "", "URL of a Prometheus to read the pool's demand from; empty means DemandHistory objects")
	c.PreRunE = func(*cobra.Command, []string) error {
		if r.pool == "" && (r.prometheus != "" || r.chunk != "") {
			return errors.New("--chunk and --prometheus are about a pool: say which with --pool")
		}
		return nil
	}
	c.Flags().StringVar(&r.query, "query", config.Default().Reserver.History.Prometheus.Query, "PromQL to read it by, with --prometheus")
}

// loader reads one recorded series.
type loader interface {
	Load(ctx context.Context, key history.Key, since time.Time, step time.Duration) (forecast.Series, error)
}

func (r *recordedFrom) loader(from client.Client) (loader, error) {
	if r.prometheus == "" {
		return history.NewStore(from), nil
	}
	defaults := config.Default().Reserver.History.Prometheus
	return history.NewPrometheus(history.PrometheusOptions{
		URL: r.prometheus, Query: r.query, MaxInFlight: defaults.MaxInFlight, Timeout: defaults.Timeout.Duration, Now: time.Now,
	})
}

// read reads the recorded demand, a series per chunk. What cannot be read is told and left out.
func (r *recordedFrom) read(c *cobra.Command) ([]demand, error) {
	ctx := c.Context()
	from, err := connection.Of(c)
	if err != nil {
		return nil, err
	}
	pool, err := connection.Pool(ctx, from, r.pool)
	if err != nil {
		return nil, err
	}
	chunks, err := chunksOf(pool, r.chunk)
	if err != nil {
		return nil, err
	}
	store, err := r.loader(from)
	if err != nil {
		return nil, err
	}
	settings := pool.Spec.Forecast
	var seasons []time.Duration
	for _, season := range settings.Seasons {
		seasons = append(seasons, season.Duration)
	}
	var all []demand
	for _, chunk := range chunks {
		series, err := store.Load(ctx, history.Key{Pool: r.pool, Chunk: chunk}, time.Now().Add(-settings.History.Duration), settings.Interval.Duration)
		switch {
		case errors.Is(err, history.ErrUnreadable):
			fmt.Fprintln(c.ErrOrStderr(), "forewarmctl:", err)
		case err != nil:
			return nil, err
		}
		all = append(all, demand{r.pool + "/" + chunk, series.SinceFirst(), seasons})
	}
	return all, nil
}

// chunksOf are the names of the chunks of a pool: the one asked for, or all.
func chunksOf(pool v1alpha1.WarmPool, asked string) ([]string, error) {
	var names []string
	for _, chunk := range pool.Spec.Chunks {
		if chunk.Name == asked {
			return []string{asked}, nil
		}
		names = append(names, chunk.Name)
	}
	if asked != "" {
		return nil, fmt.Errorf("WarmPool %s has no chunk %q; there are: %s", pool.Name, asked, strings.Join(names, ", "))
	}
	return names, nil
}

// oneChunk is the chunk asked for, or the only one.
func oneChunk(pool v1alpha1.WarmPool, asked string) (string, error) {
	names, err := chunksOf(pool, asked)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", fmt.Errorf("WarmPool %s has %d chunks: say which with --chunk: %s", pool.Name, len(names), strings.Join(names, ", "))
	}
	return names[0], nil
}

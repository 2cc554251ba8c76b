package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
)

// demand is a series with what it is called, and the seasons to use on it.
type demand struct {
	name    string
	series  forecast.Series
	seasons []time.Duration
}

// daily are the seasons of a series whose own nobody has said.
var daily = []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}

// demandOf reads the recorded demand of a pool: of one chunk, or of all if chunk is empty.
// What cannot be read is told to complaints and left out.
func demandOf(ctx context.Context, kubeconfig, name, chunk string, complaints io.Writer) ([]demand, error) {
	pool, err := readPool(ctx, kubeconfig, name)
	if err != nil {
		return nil, err
	}
	chunks, err := chunksOf(pool, chunk)
	if err != nil {
		return nil, err
	}
	c, err := clientFor(kubeconfig)
	if err != nil {
		return nil, err
	}
	store, settings := history.NewStore(c), pool.Spec.Forecast
	var seasons []time.Duration
	for _, season := range settings.Seasons {
		seasons = append(seasons, season.Duration)
	}
	var all []demand
	for _, chunk := range chunks {
		series, err := store.Load(ctx, history.Key{Pool: name, Chunk: chunk}, time.Now().Add(-settings.History.Duration), settings.Interval.Duration)
		switch {
		case errors.Is(err, history.ErrUnreadable):
			fmt.Fprintln(complaints, "forewarmctl:", err)
		case err != nil:
			return nil, err
		}
		all = append(all, demand{name + "/" + chunk, sinceFirst(series), seasons})
	}
	return all, nil
}

// sinceFirst leaves out the time before the first observation.
func sinceFirst(series forecast.Series) forecast.Series {
	first := slices.IndexFunc(series.Values, func(value float64) bool { return !math.IsNaN(value) })
	if first > 0 {
		series.Start, series.Values = series.Start.Add(time.Duration(first)*series.Step), series.Values[first:]
	}
	return series
}

func readPool(ctx context.Context, kubeconfig, name string) (v1alpha1.WarmPool, error) {
	pools, err := readPools(ctx, kubeconfig, []string{name})
	if err != nil {
		return v1alpha1.WarmPool{}, err
	}
	return pools[0], nil
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

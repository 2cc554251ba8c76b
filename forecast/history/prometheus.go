package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"forewarm.dev/forecast"
)

// PrometheusOptions say where recorded demand is queried.
type PrometheusOptions struct {
	// URL is the root of Prometheus' HTTP API, or of Thanos', Mimir's or VictoriaMetrics'.
	URL string
	// Query is PromQL for the demand of one chunk, in chunks: one series, whose value at a
	// time is the highest of the $step before it. $pool and $chunk are the names.
	Query string
	// Transport carries the requests, with credentials; nil means plain HTTP.
	Transport http.RoundTripper
	// MaxInFlight bounds the queries at a time.
	MaxInFlight int
	// Timeout bounds one query.
	Timeout time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Prometheus reads recorded demand from a server that scrapes it, and so records nothing by
// itself. It is safe for concurrent use.
type Prometheus struct {
	options PrometheusOptions
	// shown is the URL without its password, for messages.
	shown string
	api   promv1.API
	// slots hold a place for each query in flight.
	slots   chan struct{}
	breaker breaker
}

// NewPrometheus makes a store. It does not ask the server anything yet.
func NewPrometheus(o PrometheusOptions) (*Prometheus, error) {
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	root, err := url.Parse(o.URL)
	if err != nil || root.Host == "" {
		return nil, errors.New("the URL of Prometheus is not one: write the root of its API, such as http://prometheus.monitoring:9090")
	}
	client, err := api.NewClient(api.Config{Address: o.URL, RoundTripper: refusals{o.Transport}})
	if err != nil {
		return nil, fmt.Errorf("query history at %s: %w", root.Redacted(), err)
	}
	return &Prometheus{options: o, shown: root.Redacted(), api: promv1.NewAPI(client), slots: make(chan struct{}, o.MaxInFlight)}, nil
}

// Append records nothing: the server scrapes demand from the reserver's metrics.
func (p *Prometheus) Append(context.Context, Key, ...Sample) error { return nil }

// Prune drops nothing: the server has a retention of its own.
func (p *Prometheus) Prune(context.Context, Key, time.Time) error { return nil }

// pointsPerQuery keeps a query below the 11,000 points that Prometheus answers at most.
const pointsPerQuery = 10_000

// Load returns the series of key since a time on a grid of step, until now, NaN where there
// is nothing. An answer that is empty, or that the server itself calls incomplete, comes with
// an error that is ErrUnreadable.
func (p *Prometheus) Load(ctx context.Context, key Key, since time.Time, step time.Duration) (forecast.Series, error) {
	since = since.Truncate(step)
	series := forecast.Series{Start: since, Step: step}
	query, now := p.query(key, step), p.options.Now()
	steps := int(now.Sub(since)/step) + 1
	var warnings []string
	for first := 0; first < steps; first += pointsPerQuery {
		last := min(first+pointsPerQuery, steps) - 1
		values, warned, err := p.values(ctx, query, series, first, last)
		if err != nil {
			return forecast.Series{Start: since, Step: step}, fmt.Errorf("pool %s chunk %s: %w", key.Pool, key.Chunk, err)
		}
		series.Values = append(series.Values, values...)
		warnings = append(warnings, warned...)
	}
	for n := len(series.Values); n > 0 && math.IsNaN(series.Values[n-1]); n-- {
		series.Values = series.Values[:n-1]
	}
	switch {
	case len(series.Values) == 0:
		return series, incompleteError(fmt.Sprintf("pool %s chunk %s: %s returns nothing for the query %s since %s: "+
			"correct reserver.history.prometheus.query, or wait until demand has been scraped", key.Pool, key.Chunk, p.shown, query, since.Format(time.RFC3339)))
	case len(warnings) > 0:
		return series, incompleteError(fmt.Sprintf("pool %s chunk %s: %s says of the query %s: %s", key.Pool, key.Chunk, p.shown, query, strings.Join(warnings, "; ")))
	}
	return series, nil
}

// incompleteError says what is missing in a history that is used nevertheless.
type incompleteError string

// Error implements error.
func (e incompleteError) Error() string { return string(e) }

// Is makes it an ErrUnreadable.
func (e incompleteError) Is(target error) bool { return target == ErrUnreadable }

// query fills in the names, which are written as PromQL strings are.
func (p *Prometheus) query(key Key, step time.Duration) string {
	quoted := func(name string) string {
		name = strconv.Quote(name)
		return name[1 : len(name)-1]
	}
	return strings.NewReplacer(
		"$pool", quoted(key.Pool), "$chunk", quoted(key.Chunk), "$step", fmt.Sprintf("%ds", int(step.Seconds())),
	).Replace(p.options.Query)
}

// values asks for some steps of a series.
func (p *Prometheus) values(ctx context.Context, query string, series forecast.Series, first, last int) ([]float64, []string, error) {
	// What is of a step is seen at its end; a millisecond earlier, since the start of the next
	// step is no part of it.
	ends := series.Start.Add(series.Step - time.Millisecond)
	matrix, warnings, err := p.ask(ctx, query, promv1.Range{
		Start: ends.Add(time.Duration(first) * series.Step), End: ends.Add(time.Duration(last) * series.Step), Step: series.Step,
	})
	if err != nil {
		return nil, nil, err
	}
	if len(matrix) > 1 {
		return nil, nil, fmt.Errorf("the query %s returns %d series, such as %s and %s, and must return one: aggregate in reserver.history.prometheus.query, for example with max(...)",
			query, len(matrix), matrix[0].Metric, matrix[1].Metric)
	}
	values := make([]float64, last-first+1)
	for i := range values {
		values[i] = math.NaN()
	}
	for _, stream := range matrix {
		for _, sample := range stream.Values {
			index := int(sample.Timestamp.Time().Sub(series.Start)/series.Step) - first
			if value := float64(sample.Value); index >= 0 && index < len(values) && !math.IsInf(value, 0) {
				values[index] = value
			}
		}
	}
	return values, warnings, nil
}

// ask makes one query, again where the server could not answer.
func (p *Prometheus) ask(ctx context.Context, query string, r promv1.Range) (model.Matrix, []string, error) {
	if err := p.breaker.check(p.options.Now()); err != nil {
		return nil, nil, err
	}
	var value model.Value
	var warnings promv1.Warnings
	err := patiently(ctx, func() error {
		select {
		case p.slots <- struct{}{}:
			defer func() { <-p.slots }()
		case <-ctx.Done():
			return ctx.Err()
		}
		asking, cancel := context.WithTimeout(ctx, p.options.Timeout)
		defer cancel()
		var err error
		value, warnings, _, err = p.api.QueryRange(asking, query, r, promv1.WithTimeout(p.options.Timeout))
		return err
	})
	if err != nil {
		return nil, nil, p.failed(ctx, query, err)
	}
	p.breaker.close()
	matrix, isMatrix := value.(model.Matrix)
	if !isMatrix {
		return nil, nil, fmt.Errorf("%s answers the range query %s with a %s: check reserver.history.prometheus.url", p.shown, query, value.Type())
	}
	return matrix, warnings, nil
}

// failed says what to do about a query that failed, and has the server left alone if it was
// not there.
func (p *Prometheus) failed(ctx context.Context, query string, err error) error {
	refused, isRefused := errors.AsType[*promv1.Error](err)
	switch {
	case isRefused && (refused.Type == promv1.ErrBadData || refused.Type == promv1.ErrExec):
		return fmt.Errorf("%s refuses the query %s: %s: correct reserver.history.prometheus.query", p.shown, query, refused.Msg)
	case isRefused:
		return fmt.Errorf("query %s: %s %s: check reserver.history.prometheus", p.shown, refused.Msg, brief(refused.Detail))
	case ctx.Err() == nil:
		p.breaker.trip(p.options.Now(), err)
	}
	return fmt.Errorf("query %s: %w", p.shown, err)
}

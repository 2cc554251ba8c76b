// Package declared reads what DemandEvents declare.
package declared

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
)

// List are the DemandEvents of a pool; none where their CRD is not installed.
func List(ctx context.Context, c client.Reader, pool string) ([]v1alpha1.DemandEvent, error) {
	var list v1alpha1.DemandEventList
	if err := c.List(ctx, &list); meta.IsNoMatchError(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list DemandEvents: %w", err)
	}
	var events []v1alpha1.DemandEvent
	for _, event := range list.Items {
		if event.Spec.Pool == pool {
			events = append(events, event)
		}
	}
	return events, nil
}

// Of is what events that have not ended declare of a chunk. Percents are of the demand at the start, until then
// of the demand of now. The past is copied only for that.
func Of(events []v1alpha1.DemandEvent, chunk string, current float64, past func() forecast.Series, now time.Time) []capacity.Declared {
	var out []capacity.Declared
	for _, event := range events {
		if !concerns(event, chunk) || event.Spec.Freeze {
			continue
		}
		in := event.Spec.Start.Sub(now)
		d := capacity.Declared{In: in, Until: in + event.Spec.Duration.Duration}
		if d.Until <= 0 {
			continue
		}
		if event.Spec.Demand != nil {
			d.Level = float64(*event.Spec.Demand)
		} else if event.Spec.Percent != nil {
			d.Level = demandAt(past, event.Spec.Start.Time, current, now) * (1 + float64(*event.Spec.Percent)/100)
		}
		out = append(out, d)
	}
	return out
}

// Told is what the forecast of a chunk is told of events: when they were and will be. What one did to
// demand it learns from that one, once it has begun; what is declared for later is known without it.
func Told(events []v1alpha1.DemandEvent, chunk string) []forecast.Event {
	var told []forecast.Event
	for _, event := range events {
		if concerns(event, chunk) {
			from := event.Spec.Start.Time
			told = append(told, forecast.Event{Name: event.Name, From: from, To: from.Add(event.Spec.Duration.Duration), Freeze: event.Spec.Freeze})
		}
	}
	slices.SortFunc(told, func(a, b forecast.Event) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Name, b.Name)) })
	return told
}

// Running tells that an event of a chunk has begun, or begins within a time, and has not ended.
func Running(declared []capacity.Declared, within time.Duration) bool {
	return slices.ContainsFunc(declared, func(d capacity.Declared) bool { return d.In <= within && d.Until > 0 })
}

func concerns(event v1alpha1.DemandEvent, chunk string) bool {
	return event.Spec.Chunk == "" || event.Spec.Chunk == chunk
}

// demandAt is the demand of the interval before a time. Where that was not recorded it is the last value before, else
// the first after: never what demand has come to since, as long as any is recorded.
func demandAt(past func() forecast.Series, at time.Time, current float64, now time.Time) float64 {
	if at.After(now) {
		return current
	}
	series := past()
	if series.Step <= 0 {
		return current
	}
	recorded := func(v float64) bool { return !math.IsNaN(v) }
	until := min(max(int(at.Sub(series.Start)/series.Step), 0), len(series.Values))
	for i := until - 1; i >= 0; i-- {
		if recorded(series.Values[i]) {
			return series.Values[i]
		}
	}
	if i := slices.IndexFunc(series.Values[until:], recorded); i >= 0 {
		return series.Values[until+i]
	}
	return current
}

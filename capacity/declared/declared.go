// Package declared reads what DemandEvents declare.
package declared

import (
	"context"
	"fmt"
	"math"
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

// Of is what events that have not ended declare of a chunk. Percents are of the demand at the start;
// until then, and where that was not recorded, of the demand of now. The past is copied only for that.
func Of(events []v1alpha1.DemandEvent, chunk string, current float64, past func() forecast.Series, now time.Time) []capacity.Declared {
	var out []capacity.Declared
	for _, event := range events {
		if event.Spec.Chunk != "" && event.Spec.Chunk != chunk {
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

// demandAt is the demand of the interval before a time.
func demandAt(past func() forecast.Series, at time.Time, current float64, now time.Time) float64 {
	if at.After(now) {
		return current
	}
	series := past()
	if series.Step <= 0 {
		return current
	}
	i := int(at.Sub(series.Start)/series.Step) - 1
	if i < 0 || i >= len(series.Values) || math.IsNaN(series.Values[i]) {
		return current
	}
	return series.Values[i]
}

// Package status says in the status of a WarmPool what there is and what is wanted.
package status

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
)

// Seen is what is known of one chunk.
type Seen struct {
	Plan    capacity.ChunkPlan
	Demand  float64
	State   capacity.ChunkState
	PerNode int64
	Zones   []string
	// Refused are why placeholders get no node, by their names.
	Refused  map[string]string
	Forecast forecaster.Answer
	Policy   chooser.Answer
	Price    *v1alpha1.PriceStatus
}

// Chunk is the row of a chunk.
func Chunk(s Seen) v1alpha1.ChunkStatus {
	f, plan := s.Forecast, s.Plan
	row := v1alpha1.ChunkStatus{
		Name:   plan.Name,
		Demand: Decimal(s.Demand),
		Forecast: &v1alpha1.ChunkForecast{
			P50: Decimal(plan.P50), P90: Decimal(plan.P90), Level: Decimal(plan.Level),
			Source: string(f.Source), Reason: string(f.Reason), Version: f.Version,
			Tau: Decimal(plan.Tau), Sizing: string(plan.Reason),
			Seasons:  durations(f.Explanation.Seasons),
			Members:  shares(f.Explanation.Members),
			Features: shares(f.Explanation.Features[:min(3, len(f.Explanation.Features))]),
		},
		Policy:  chooser.Status(s.Policy),
		Price:   s.Price,
		PerNode: int32(s.PerNode),
		Free:    int32(s.State.Free),
		Wanted:  int32(plan.Wanted),
		Limited: int32(min(plan.Limited, 1<<30)),
	}
	row.Zones = inZones(s.Zones, s.State.Placeholders)
	for _, p := range s.State.Placeholders {
		switch p.Stage {
		case capacity.Gated:
			row.Gated++
		case capacity.Pending, capacity.Overdue:
			row.Pending++
			if why, refused := s.Refused[p.Name]; refused {
				row.Infeasible++
				row.Message = why
			}
		case capacity.Reserved:
			row.Reserved++
		case capacity.Finished, capacity.Lost:
		}
	}
	return row
}

// inZones counts placeholders by zone.
func inZones(names []string, placeholders []capacity.Placeholder) []v1alpha1.ZoneStatus {
	var told []v1alpha1.ZoneStatus
	for _, name := range names {
		zone := v1alpha1.ZoneStatus{Name: name}
		for _, p := range placeholders {
			switch {
			case p.Zone != name:
			case p.Stage == capacity.Reserved:
				zone.Reserved++
			case p.Stage == capacity.Overdue:
				zone.Overdue++
				zone.Pending++
			case p.Stage == capacity.Pending:
				zone.Pending++
			}
		}
		told = append(told, zone)
	}
	return told
}

func durations(of []time.Duration) []metav1.Duration {
	var told []metav1.Duration
	for _, d := range of {
		told = append(told, metav1.Duration{Duration: d})
	}
	return told
}

func shares(of []forecast.Share) []v1alpha1.ForecastShare {
	var told []v1alpha1.ForecastShare
	for _, s := range of {
		told = append(told, v1alpha1.ForecastShare{Name: s.Name, Share: strconv.FormatFloat(s.Share, 'f', 2, 64)})
	}
	return told
}

// Decimal is a number with at most two digits after the point.
func Decimal(value float64) string {
	return strconv.FormatFloat(float64(int64(value*100+0.5))/100, 'f', -1, 64)
}

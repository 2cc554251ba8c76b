package declared

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
)

func TestOf(t *testing.T) {
	now := time.Date(2026, 11, 29, 14, 45, 0, 0, time.UTC)
	past := forecast.Series{Start: now.Add(-30 * time.Minute), Step: time.Minute, Values: make([]float64, 30)}
	past.Values[14] = 5 // at 14:29
	event := func(start time.Duration, chunk string, percent, demand *int32) v1alpha1.DemandEvent {
		return v1alpha1.DemandEvent{Spec: v1alpha1.DemandEventSpec{
			Pool: "a100", Chunk: chunk, Start: metav1.NewTime(now.Add(start)), Duration: metav1.Duration{Duration: time.Hour}, Percent: percent, Demand: demand,
		}}
	}
	for name, c := range map[string]struct {
		event v1alpha1.DemandEvent
		want  []capacity.Declared
	}{
		"so much":                       {event(time.Minute, "single", nil, new(int32(12))), []capacity.Declared{{In: time.Minute, Until: 61 * time.Minute, Level: 12}}},
		"of another chunk":              {event(time.Minute, "node", nil, new(int32(12))), nil},
		"+300 % of now":                 {event(time.Minute, "", new(int32(300)), nil), []capacity.Declared{{In: time.Minute, Until: 61 * time.Minute, Level: 8}}},
		"+300 % of then, once it began": {event(-15*time.Minute, "", new(int32(300)), nil), []capacity.Declared{{In: -15 * time.Minute, Until: 45 * time.Minute, Level: 20}}},
		"ended":                         {event(-time.Hour, "", nil, new(int32(12))), nil},
		"began before all history":      {event(-40*time.Minute, "", new(int32(300)), nil), []capacity.Declared{{In: -40 * time.Minute, Until: 20 * time.Minute, Level: 8}}},
	} {
		if diff := cmp.Diff(c.want, Of([]v1alpha1.DemandEvent{c.event}, "single", 2, func() forecast.Series { return past }, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

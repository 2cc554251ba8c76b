package status

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
)

func TestChunk(t *testing.T) {
	var placeholders []capacity.Placeholder
	placeholders = append(placeholders, capacity.Placeholder{Name: "refused", Stage: capacity.Pending, Zone: "c"}, capacity.Placeholder{Name: "not any more", Stage: capacity.Reserved, Zone: "c"})
	for stage, n := range map[capacity.Stage]int{capacity.Gated: 2, capacity.Pending: 1, capacity.Overdue: 1, capacity.Reserved: 3, capacity.Finished: 1, capacity.Lost: 1} {
		for range n {
			placeholders = append(placeholders, capacity.Placeholder{Stage: stage, Zone: "a"})
		}
	}
	features := []forecast.Share{{Name: "a", Share: 0.5}, {Name: "b", Share: 0.25}, {Name: "c", Share: -0.125}, {Name: "d", Share: 0.1}}
	price := &v1alpha1.PriceStatus{}
	got := Chunk(Seen{
		Plan:   capacity.ChunkPlan{Name: "single", Tau: 0.923, P50: 1, P90: 2.005, Level: 2, Wanted: 5, Limited: 1 << 40, Reason: capacity.ReasonForecast},
		Demand: 2.5, State: capacity.ChunkState{Free: 4, Placeholders: placeholders}, PerNode: 8, Price: price, Zones: []string{"a", "b"},
		Refused:  map[string]string{"refused": "no stock", "not any more": "no stock", "gone": "no stock"},
		Forecast: forecaster.Answer{Explanation: forecast.Explanation{Features: features}, Version: 3},
	})
	want := v1alpha1.ChunkStatus{
		Name: "single", Demand: "2.5", PerNode: 8, Price: price, Free: 4, Wanted: 5, Limited: 1 << 30, Gated: 2, Pending: 3, Reserved: 4,
		Infeasible: 1, Message: "no stock",
		Forecast: &v1alpha1.ChunkForecast{
			P50: "1", P90: "2.01", Level: "2", Tau: "0.92", Version: 3, Sizing: "ForecastDemand",
			Features: []v1alpha1.ForecastShare{{Name: "a", Share: "0.50"}, {Name: "b", Share: "0.25"}, {Name: "c", Share: "-0.12"}},
		},
		Zones:  []v1alpha1.ZoneStatus{{Name: "a", Reserved: 3, Pending: 2, Overdue: 1}, {Name: "b"}},
		Policy: got.Policy, // the chooser's own tests
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

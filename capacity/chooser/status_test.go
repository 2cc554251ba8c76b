package chooser

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/policy"
)

// TestThePolicySurvivesTheLeader: what status tells reads back as what was in use.
func TestThePolicySurvivesTheLeader(t *testing.T) {
	static := capacity.Policy{Kind: capacity.Static, Share: 1.0 / 3, Most: 13}
	want := Answer{At: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC), Choice: policy.Choice{
		Policy: static, Reason: policy.ReasonMissed,
		Tried: map[capacity.PolicyKind]policy.Tried{
			capacity.Forecast: {Policy: capacity.Policy{Kind: capacity.Forecast, Margin: -2.0 / 7}, Score: policy.Score{Cost: 3.5, HitRate: 0.99, Idle: 1.5}},
			capacity.Static:   {Policy: static, Score: policy.Score{Cost: 4.5, HitRate: 0.98, Idle: 2.5}},
			capacity.Reactive: {Policy: capacity.Policy{Kind: capacity.Reactive}, Score: policy.Score{Cost: 40, HitRate: 0}},
		},
	}}
	pool := &v1alpha1.WarmPool{Status: v1alpha1.WarmPoolStatus{Chunks: []v1alpha1.ChunkStatus{{Name: "single", Policy: Status(want)}}}}
	if diff := cmp.Diff(want, Known(pool, "single")); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	var kinds []string
	for _, tried := range pool.Status.Chunks[0].Policy.Tried {
		kinds = append(kinds, tried.Kind)
	}
	if diff := cmp.Diff([]string{"Forecast", "Static", "Reactive"}, kinds); diff != "" {
		t.Errorf("the cheapest first (-want +got):\n%s", diff)
	}
	if got := Known(pool, "node"); got.Policy.Kind != "" || !got.At.IsZero() {
		t.Errorf("a chunk without a policy: %+v", got)
	}
}

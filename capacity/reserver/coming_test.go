package reserver

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/coming"
	"forewarm.dev/capacity/zones"
)

// TestNothingIsGivenBackWhileWhatComesIsNotKnown: a look at CronJobs or Workloads that failed is no news that
// nothing comes.
func TestNothingIsGivenBackWhileWhatComesIsNotKnown(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Name = "a100"
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "node", Requests: corev1.ResourceList{gpu: resource.MustParse("8")}}}
	pool.Spec.Sizing.Hold.Duration, pool.Spec.Forecast.Interval.Duration = time.Minute, time.Minute
	r, now := takeoverReserver(t), time.Unix(1_000_000, 0)
	w := world{placeholders: map[string][]*corev1.Pod{pool.Name: {takeoverNode("a", false)[1].(*corev1.Pod)}}}
	none := capacity.ChunkDemand{Horizon: []time.Duration{time.Minute}, Paths: [][]float64{{0}}}
	limits := capacity.Limits{Chunks: []capacity.Chunk{{Name: "node", Max: 4}}, Hold: time.Minute, Interval: time.Minute, MaxChanges: 10}
	r.memoryOf(pool, now)
	now = now.Add(time.Hour)
	for stale, want := range map[bool]int{true: 0, false: 1} {
		w.coming = coming.Future{Stale: stale}
		plan := capacity.Plan(capacity.Demand{Chunks: []capacity.ChunkDemand{none}}, r.stateOf(w, pool, zones.Zones{}, now), limits, now)
		gone := 0
		for _, step := range plan.Steps {
			if step.Action == capacity.Delete {
				gone++
			}
		}
		if gone != want {
			t.Errorf("stale %t: %d given back, want %d of 1", stale, gone, want)
		}
	}
}

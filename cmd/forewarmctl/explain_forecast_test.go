package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/output"
)

func TestExplainForecast(t *testing.T) {
	pool := v1alpha1.WarmPool{}
	pool.Name = "a100"
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single"}}
	pool.Status.Chunks = []v1alpha1.ChunkStatus{{
		Name: "single", Demand: "20", Wanted: 7, Free: 5,
		Forecast: &v1alpha1.ChunkForecast{
			P50: "27", P90: "31", Level: "32", Tau: "0.92", Sizing: "ForecastDemand", Source: "Auto", Reason: "EnoughHistory", Version: 3,
			Seasons:  []metav1.Duration{{Duration: 24 * time.Hour}, {Duration: 168 * time.Hour}},
			Members:  []v1alpha1.ForecastShare{{Name: "ridge", Share: "0.62"}, {Name: "last value", Share: "0.38"}},
			Features: []v1alpha1.ForecastShare{{Name: "now", Share: "0.45"}, {Name: "usual rise", Share: "-0.20"}},
		},
	}}
	want := `a100, chunk single
  demand    20 now; within the lead time at most 27 (half), 31 (nine of ten)
  quantile  32 at level 0.92, which the costs ask for
  wanted    7, ForecastDemand; free room for 5
  source    Auto, EnoughHistory; version 3 of ForecastModel a100.single
  repeats   every 24 h, every 168 h
  weights   ridge 62 %, last value 38 %
  moved by  now 45 %, usual rise -20 %
`
	var got strings.Builder
	if err := explainForecast(&got, pool, &output.Format{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	pool.Status.Chunks = nil
	got.Reset()
	if err := explainForecast(&got, pool, &output.Format{}); err != nil || !strings.Contains(got.String(), "is the reserver running?") {
		t.Errorf("of a pool that nobody has seen: %q, %v", got.String(), err)
	}
}

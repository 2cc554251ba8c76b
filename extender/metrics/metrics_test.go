package metrics

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

type index struct{}

func (index) Holds() int  { return 3 }
func (index) Silent() int { return 1 }

// TestMetrics: each is counted where it belongs, and what has not happened is zero.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := New(index{}, registry)
	m.Observe(t.Context(), "filter", "behind", time.Millisecond)
	m.Repaired("node", "gone")
	m.Audited("pod", 500)
	m.Touched(nil)
	m.Took(errors.New("conflict"))
	m.Cleared(nil)
	m.AnotherScheduler()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got, series := map[string]float64{}, 0
	for _, f := range families {
		for _, one := range f.GetMetric() {
			series++
			labels := ""
			for _, l := range one.GetLabel() {
				labels += " " + l.GetValue()
			}
			if n := one.GetCounter().GetValue() + one.GetGauge().GetValue() + float64(one.GetHistogram().GetSampleCount()); n > 0 {
				got[f.GetName()+labels] = n
			}
		}
	}
	want := map[string]float64{
		"forewarm_extender_requests_total behind filter": 1, "forewarm_extender_request_duration_seconds filter": 1,
		"forewarm_extender_repairs_total gone node": 1, "forewarm_extender_audited_objects_total pod": 500, "forewarm_extender_pokes_total ok": 1,
		"forewarm_extender_placeholders_deleted_total failed": 1, "forewarm_extender_placeholders_cleared_total ok": 1,
		"forewarm_extender_scheduler_changes_total": 1, "forewarm_extender_tentative_holds": 3, "forewarm_extender_silent_pools": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if zeros := series - len(got); zeros < 3*7-1+3*4-1 {
		t.Errorf("%d series are zero before anything has happened", zeros)
	}
}

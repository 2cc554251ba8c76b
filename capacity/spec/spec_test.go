package spec

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

const gpu = "nvidia.com/gpu"

func TestAChunkOfNothingIsToldByItsField(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Demand.Resource = gpu
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single", Requests: corev1.ResourceList{gpu: resource.MustParse("0.0")}, WaitCostPerHour: "1", IdleCostPerHour: "1"}}
	if _, err := Chunks(pool); err == nil || err.Error() != "spec.chunks[0].requests: "+gpu+" must be greater than zero" {
		t.Errorf("got %v", err)
	}
}

// TestASimulationKeepsTheBudget: what is simulated is limited like what is done.
func TestASimulationKeepsTheBudget(t *testing.T) {
	pool := &v1alpha1.WarmPool{Spec: v1alpha1.WarmPoolSpec{Sizing: v1alpha1.SizingSpec{
		IdleBudgetPerHour: "25.5", MinBilling: metav1.Duration{Duration: time.Hour},
	}}}
	limits, err := Simulated(pool, time.Minute)
	if err != nil || limits.IdleBudgetPerHour == nil || *limits.IdleBudgetPerHour != 25.5 || limits.MinBilling != time.Hour {
		t.Errorf("%+v, %v", limits, err)
	}
	pool.Spec.Sizing.IdleBudgetPerHour = "much"
	if _, err := Simulated(pool, time.Minute); err == nil || !strings.Contains(err.Error(), "spec.sizing.idleBudgetPerHour") {
		t.Errorf("%v, want the field named", err)
	}
}

func TestLimitedSaysHowManyAndWhatLiftsIt(t *testing.T) {
	type condition struct {
		Is              bool
		Reason, Message string
	}
	for name, c := range map[string]struct {
		chunks []capacity.ChunkPlan
		want   condition
	}{
		"no limit": {[]capacity.ChunkPlan{{Name: "single", Wanted: 8}}, condition{false, "WithinLimits", ""}},
		"two limits": {
			[]capacity.ChunkPlan{{Name: "node"}, {Name: "single", Wanted: 5, Limited: 3, LimitedBy: []capacity.Reason{capacity.ReasonMax, capacity.ReasonIdleBudget}}},
			condition{true, "LimitedByMax", "single 5 of 8, limited by spec.chunks[].max; spec.sizing.idleBudgetPerHour"},
		},
	} {
		var got condition
		got.Is, got.Reason, got.Message = Limited(capacity.Result{Chunks: c.chunks})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

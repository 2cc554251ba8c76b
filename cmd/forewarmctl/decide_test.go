package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/capacity/replay"
	"forewarm.dev/internal/quantity"
)

// decide FILE MODE writes a list of Decisions of the pool a100, as the reserver keeps it: of a plan that
// wants three placeholders where one stands, at most two without an approval. DECISION names it.
func decide(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: decide FILE MODE")
	}
	scheme := runtime.NewScheme()
	ts.Check(v1alpha1.AddToScheme(scheme))
	kept := fake.NewClientBuilder().WithScheme(scheme).Build()
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", UID: "a100-uid"}}
	input := planInput()
	result := input.Plan()
	record, err := replay.NewRecord(input, result)
	ts.Check(err)
	mode := v1alpha1.Mode(args[1])
	spec := v1alpha1.DecisionSpec{Pool: pool.Name, Mode: mode, At: metav1.NewMicroTime(input.Now), Reason: "single 2 ForecastDemand"}
	for _, step := range result.Steps {
		switch step.Action {
		case capacity.Create:
			spec.Create++
		case capacity.Ungate:
			spec.Ungate++
		case capacity.Delete:
			spec.Delete++
		}
	}
	for _, chunk := range result.Chunks {
		row := v1alpha1.DecidedChunk{Name: chunk.Name, Demand: "4", Level: "8", Source: "Auto", Policy: "Forecast", Wanted: int32(chunk.Wanted), Reason: string(chunk.Reason)}
		for _, by := range chunk.LimitedBy {
			row.LimitedBy = append(row.LimitedBy, string(by))
		}
		spec.Chunks = append(spec.Chunks, row)
	}
	log := decisions.New(decisions.Options{Live: kept, Writer: kept, Keep: 9})
	decided, err := log.Decide(context.Background(), pool, spec, record)
	ts.Check(err)
	ts.Check(log.Conclude(context.Background(), decided, ""))
	list := &v1alpha1.DecisionList{}
	ts.Check(kept.List(context.Background(), list))
	ts.Setenv("DECISION", list.Items[0].Name)
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DecisionList"))
	text, err := yaml.Marshal(list)
	ts.Check(err)
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, text, 0o644))
}

// planInput is a pool whose demand is sure to rise from 4 to 8, with free room for 5.
func planInput() replay.Input {
	at := time.Date(2026, 11, 29, 10, 15, 0, 0, time.UTC)
	demand := capacity.ChunkDemand{Now: 4, Policy: capacity.Policy{Kind: capacity.Forecast}}
	path := []float64{}
	for minute := range 12 {
		demand.Horizon = append(demand.Horizon, time.Duration(minute+1)*time.Minute)
		path = append(path, 8)
	}
	demand.Paths = [][]float64{path, path, path}
	limits := capacity.Limits{
		Chunks:   []capacity.Chunk{{Name: "single", Requests: quantity.Vector{"nvidia.com/gpu": 1}, WaitCostPerHour: 60, IdleCostPerHour: 3, Max: 16, PerNode: 8}},
		LeadTime: 7 * time.Minute, Hold: 10 * time.Minute, Interval: time.Minute, GateAge: 40 * time.Second, MaxChanges: 20,
		Approval: &capacity.Approval{Levels: []int64{2}},
	}
	state := capacity.State{Chunks: []capacity.ChunkState{{Free: 1, Placeholders: []capacity.Placeholder{
		{Name: "forewarm-a100-single-a", Stage: capacity.Reserved, Created: at.Add(-time.Hour), Node: "n1"},
		{Name: "forewarm-a100-single-b", Stage: capacity.Gated, Created: at.Add(-time.Minute)},
	}}}}
	return replay.NewInput(capacity.Demand{Chunks: []capacity.ChunkDemand{demand}}, state, limits, at)
}

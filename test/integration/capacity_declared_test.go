package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// capacityDeclared: seven nodes are always kept, and somebody announces eight.
func capacityDeclared(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	e.patch(t, loopName, `{"spec":{"mode":"Enforce","chunks":[{"name":"single","requests":{"nvidia.com/gpu":"8"},"waitCostPerHour":"0","idleCostPerHour":"3","min":7,"max":8}]}}`)
	capacityReserved(t, e, 7)
	event := func(edit func(*v1alpha1.DemandEventSpec)) *v1alpha1.DemandEvent {
		o := &v1alpha1.DemandEvent{ObjectMeta: metav1.ObjectMeta{Name: "launch"}, Spec: v1alpha1.DemandEventSpec{
			Pool: loopName, Chunk: "single", Start: metav1.NewTime(time.Now().Add(8 * time.Second)), Duration: metav1.Duration{Duration: time.Hour}, Demand: new(int32(8)),
		}}
		edit(&o.Spec)
		return o
	}
	for says, edit := range map[string]func(*v1alpha1.DemandEventSpec){
		"write one of percent, demand and":     func(s *v1alpha1.DemandEventSpec) { s.Percent = new(int32(300)) },
		"name it in spec.chunk":                func(s *v1alpha1.DemandEventSpec) { s.Chunk = "" },
		"more than 0s and at most 168h":        func(s *v1alpha1.DemandEventSpec) { s.Duration.Duration = 0 },
		"should be greater than or equal to 1": func(s *v1alpha1.DemandEventSpec) { s.Demand = new(int32(0)) },
	} {
		if err := e.Client.Create(ctx, event(edit)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want a refusal that says %q", err, says)
		}
	}
	declared := event(func(*v1alpha1.DemandEventSpec) {})
	e.create(t, declared)
	freeze := event(func(s *v1alpha1.DemandEventSpec) { s.Chunk, s.Demand, s.Freeze = "", nil, true })
	freeze.Name = "freeze"
	freeze.Spec.Start.Time = freeze.Spec.Start.Add(2 * time.Hour) // a freeze asks for nothing, and keeps nothing back
	e.create(t, freeze)
	cluster.Eventually(t, loopWait, func() error {
		pool, chunk, err := e.status(ctx, loopName)
		if err == nil && (chunk.Wanted != 8 || chunk.Reserved != 8) {
			err = fmt.Errorf("%+v, want eight, because of %+v", chunk, declared.Spec)
		}
		if err == nil && !strings.Contains(pool.Status.LastPlan.Reason, "DeclaredDemand") {
			err = fmt.Errorf("last plan %+v, want the reason DeclaredDemand", pool.Status.LastPlan)
		}
		return err
	})
}

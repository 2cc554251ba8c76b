package main

import (
	"testing"
	"time"

	"forewarm.dev/capacity/simulate"
	"forewarm.dev/test/demo/arrivals"
)

func TestMatchIdleFindsTheNumberBack(t *testing.T) {
	w := arrivals.Workload{Window: time.Hour}
	for i := range 120 {
		w.Jobs = append(w.Jobs, arrivals.Job{At: time.Duration(i) * 30 * time.Second, Run: 3 * time.Hour, GPUs: 1})
	}
	o := simulation(w)
	with, err := simulate.Run(constant(o, 17))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := matchIdle(o, with.IdleGPUHours()); err != nil || n < 15 || n > 19 {
		t.Errorf("matched %d (%v), want about 17", n, err)
	}
	if alone, err := simulate.Run(o); err != nil || alone.Wait(0.95) <= with.Wait(0.95) {
		t.Errorf("p95 alone %v, with placeholders %v (%v); want placeholders to shorten it", alone.Wait(0.95), with.Wait(0.95), err)
	}
}

package packing

import (
	"testing"
	"time"

	"forewarm.dev/test/demo/arrivals"
)

func job(at time.Duration, gpus int) arrivals.Job {
	return arrivals.Job{At: at, Run: time.Hour, GPUs: gpus}
}

// TestMeasure knows the answers: two jobs of one GPU on two nodes, then one of a whole node.
func TestMeasure(t *testing.T) {
	jobs := []arrivals.Job{job(0, 1), job(time.Minute, 1), job(2*time.Minute, 8)}
	if got := Nodes(jobs); got != 2 {
		t.Errorf("%d nodes, want 2", got)
	}
	for _, policy := range Policies() {
		// One minute with 7 of 15 free GPUs beside work, one with 6 of 14, or, spread, all.
		want := Result{Jobs: 3, BeforeMisfit: 3, Fragmentation: (7./15 + 6./14) / 2}
		if policy.Name == "LeastAllocated" {
			want = Result{Refused: 1, Jobs: 3, BeforeMisfit: 2, Fragmentation: (7./15 + 1) / 2}
		}
		got := Measure(jobs, 2, 1, policy)
		if d := got.Fragmentation - want.Fragmentation; d > 1e-9 || d < -1e-9 {
			t.Errorf("%s: fragmentation %v, want %v", policy.Name, got.Fragmentation, want.Fragmentation)
		}
		got.Fragmentation, want.Fragmentation = 0, 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", policy.Name, got, want)
		}
	}
}

// TestAJobOfSeveralNodesStartsWholeOrNot leaves nothing behind where it does not fit.
func TestAJobOfSeveralNodesStartsWholeOrNot(t *testing.T) {
	jobs := []arrivals.Job{job(0, 16), job(time.Minute, 32), job(2*time.Minute, 8)}
	for _, policy := range Policies() {
		if got := Measure(jobs, 3, 1, policy); got.Refused != 1 {
			t.Errorf("%s: %d refused, want the one of four nodes", policy.Name, got.Refused)
		}
	}
}

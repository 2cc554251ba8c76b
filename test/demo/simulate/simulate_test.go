package simulate

import (
	"testing"
	"time"

	"forewarm.dev/test/demo/arrivals"
)

func ramp() Options {
	w := arrivals.Workload{Window: time.Hour}
	for i := range 120 {
		w.Jobs = append(w.Jobs, arrivals.Job{At: time.Duration(i) * 30 * time.Second, Run: 3 * time.Hour, GPUs: 1})
	}
	return Options{Workload: w, PreRoll: 10 * time.Minute, Boot: 6 * time.Minute, ConsolidateAfter: 10 * time.Minute}
}

func p95(o Outcome) time.Duration { return o.Waits[len(o.Waits)*95/100] }

func TestPlaceholdersTradeIdleForWaiting(t *testing.T) {
	o := ramp()
	alone := Run(o)
	o.Constant = 24
	constant := Run(o)
	oracle := Oracle(o)
	if len(alone.Waits) != 120 || len(constant.Waits) != 120 {
		t.Fatalf("%d and %d waits, want all 120", len(alone.Waits), len(constant.Waits))
	}
	if got := alone.Waits[119]; got != 6*time.Minute {
		t.Errorf("longest wait of a job that needs a node %v, want the boot time", got)
	}
	if p95(constant) > Tick || p95(alone) < 3*time.Minute || p95(oracle) > Tick {
		t.Errorf("p95: alone %v, constant %v, oracle %v", p95(alone), p95(constant), p95(oracle))
	}
	if !(oracle.IdleGPUHours <= alone.IdleGPUHours+8 && alone.IdleGPUHours < constant.IdleGPUHours) {
		t.Errorf("idle: oracle %.1f, alone %.1f, constant %.1f", oracle.IdleGPUHours, alone.IdleGPUHours, constant.IdleGPUHours)
	}
	if used := alone.GPUHours - alone.IdleGPUHours; used <= 0 || used > 60 {
		t.Errorf("%.1f GPU-hours used, want at most those of 120 jobs in one hour", used)
	}
}

func TestAnEmptyNodeIsGivenBack(t *testing.T) {
	o := ramp()
	o.Workload.Jobs = []arrivals.Job{{At: -time.Hour, Run: 55 * time.Minute, GPUs: 8}}
	got := Run(o) // ends 5 minutes before the window; the node goes 5 minutes into it
	if got.GPUHours < 8*4.5/60 || got.GPUHours > 8*5.5/60 {
		t.Errorf("%.2f GPU-hours, want those of 8 GPUs for 5 minutes", got.GPUHours)
	}
}

func TestMatchIdleFindsTheNumberBack(t *testing.T) {
	o := ramp()
	o.Constant = 17
	target := Run(o).IdleGPUHours
	if n := MatchIdle(o, target); n < 15 || n > 19 {
		t.Errorf("matched %d, want about 17", n)
	}
}

func TestAGangWaitsForItsLastPod(t *testing.T) {
	o := ramp()
	o.Workload.Jobs = []arrivals.Job{{At: time.Minute, Run: time.Hour, GPUs: 16}}
	if got := Run(o).Waits; len(got) != 1 || got[0] != 6*time.Minute {
		t.Errorf("waits %v, want one of 6 minutes", got)
	}
}

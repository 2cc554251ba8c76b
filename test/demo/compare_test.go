package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
)

// TestForewarmIsSimulatedOnTheSameHour: history and pool are before it, the hour is the same.
func TestForewarmIsSimulatedOnTheSameHour(t *testing.T) {
	w := arrivals.Workload{Start: time.Date(2026, 11, 4, 6, 30, 0, 0, time.UTC), Window: time.Hour}
	for at := -6 * time.Hour; at < time.Hour; at += time.Minute {
		w.Jobs = append(w.Jobs, arrivals.Job{At: at, Run: 40 * time.Minute, GPUs: 1 + int(at/time.Minute+1000)%2*7})
	}
	c, err := forewarmed(w)
	if err != nil {
		t.Fatal(err)
	}
	if c.Trace.Start.Add(c.Score) != w.Start || c.Until-c.Score != w.Window || c.Limits.Chunks[1].PerNode != arrivals.NodeGPUs {
		t.Errorf("scored from %v for %v with %d single chunks per node", c.Trace.Start.Add(c.Score), c.Until-c.Score, c.Limits.Chunks[1].PerNode)
	}
	alone, err := simulate.Run(simulation(w))
	if err != nil {
		t.Fatal(err)
	}
	moved, err := simulate.Run(c.Options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alone, moved); diff != "" {
		t.Errorf("Karpenter alone, and on the hour that Forewarm gets:\n%s", diff)
	}
	ours, chosen := c.Forewarmed()
	got, err := simulate.Run(ours)
	if err != nil || len(got.Waits) != len(alone.Waits) || chosen.Total() == 0 || chosen[capacity.Forecast] == 0 && chosen[capacity.Static] == 0 && chosen[capacity.Reactive] == 0 {
		t.Errorf("%d waits with policies %v, %v; want %d", len(got.Waits), chosen, err, len(alone.Waits))
	}
}

func TestDelaysAreThoseThatWereMeasured(t *testing.T) {
	d := delaysOf(map[play.Arm]play.Measured{
		play.Autoscaler: {Start: time.Minute, Overhead: 12 * time.Second}, // its jobs wait for room
		play.Constant:   {Start: time.Second, Takeover: 5 * time.Second},
		play.Forewarm:   {Start: 2 * time.Second, Takeover: 4 * time.Second, Overhead: time.Minute},
	})
	got := delayed(simulation(arrivals.Workload{}), d, 20).Pool
	// Karpenter waits 200 ms for more, 4 s uncompressed; a node takes what is left of the 12 s.
	if got.Start != time.Second || got.Takeover != 3*time.Second || got.Autoscaler.Batch != 4*time.Second || got.Lead.P50 != times().Boot+7*time.Second {
		t.Errorf("start %v, takeover %v, batch %v, lead %v", got.Start, got.Takeover, got.Autoscaler.Batch, got.Lead.P50)
	}
}

func TestSeedsArePooledByTheirJobs(t *testing.T) {
	o := outcome{arms: map[play.Arm]play.Measured{}, simulated: map[play.Arm]simulate.Outcome{}, pooled: map[play.Arm]*compared{}}
	for _, arm := range []play.Arm{play.Autoscaler, play.Constant, play.Forewarm} {
		o.pooled[arm] = &compared{}
		o.pooled[arm].add(play.Measured{Waits: waits(10, 20, 30)}, simulate.Outcome{Waits: waits(10, 20, 24)})
		o.pooled[arm].add(play.Measured{Waits: waits(40)}, simulate.Outcome{Waits: waits(26)})
	}
	if got := *o.pooled[play.Forewarm]; got != (compared{Measured: 25, Simulated: 20, Ratio: 0.8, Jobs: 4}) {
		t.Errorf("pooled %+v", got)
	}
	var out bytes.Buffer
	if err := comparison(&out, o); err != nil || strings.Count(out.String(), "25.0 | 20.0 s ") != 3 || strings.Count(out.String(), " 0.80") != 3 {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

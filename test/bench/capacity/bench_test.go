package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"forewarm.dev/capacity/simulate"
	"forewarm.dev/forecast"
)

// reached is an outcome with a hit rate and an idle share.
func reached(hit int, idle float64) simulate.Outcome {
	return simulate.Outcome{ArrivedGPUs: 100, ReadyGPUs: hit, GPUHours: 100 * (1 + idle), UsedGPUHours: 100, DemandGPUHours: 100}
}

func TestFrontiersAreComparedAtTheSameHitRate(t *testing.T) {
	ours := frontier{reached(80, 0.1), reached(90, 0.2), reached(88, 0.5), reached(98, 0.6)} // the third is worse than the second
	theirs := frontier{reached(85, 0.3), reached(95, 0.8), reached(100, 2)}
	// At 90 %: 0.2 against 0.55. At 95 %: 0.45 against 0.8.
	want := math.Sqrt(0.2 / 0.55 * 0.45 / 0.8)
	if got := ratio(ours, theirs, []float64{0.8, 0.9, 0.95, 0.99}); got == nil || math.Abs(*got-want) > 1e-3 {
		t.Errorf("ratio %v, want %.4f", text(got), want)
	}
	if got := ratio(ours, theirs, []float64{0.99}); got != nil {
		t.Errorf("ratio %v at a hit rate that ours does not reach", *got)
	}
	if got := ratio(ours, frontier{reached(30, 0.1), reached(50, 0.2)}, []float64{0.5, 0.9}); got != nil {
		t.Errorf("ratio %v of frontiers that have nothing in common", *got)
	}
}

func TestPlaceholdersAreInterpolatedAtTheSameIdle(t *testing.T) {
	got := between(armResult{300, 0.1, 0.5}, armResult{100, 0.3, 0.9}, 0.15)
	if want := (armResult{250, 0.15, 0.6}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// days is a series of n days of 5 minutes with a pattern of the day.
func days(n int) forecast.Series {
	s := forecast.Series{Start: time.Date(2026, 9, 7, 0, 0, 0, 0, time.UTC), Step: 5 * time.Minute}
	for i := range n * 288 {
		s.Values = append(s.Values, math.Round(20+10*math.Sin(2*math.Pi*float64(i)/288)))
	}
	return s
}

// TestTheEndIsLeftOut: nothing of the last week is left in the trace.
func TestTheEndIsLeftOut(t *testing.T) {
	whole := seriesTrace("days", days(16))
	short := whole.without(7 * 24 * time.Hour)
	want := seriesTrace("days", days(9)).Demand(newCase(whole, nil, leads()[0]).Pool, whole.step)[0].Now
	got := short.Demand(newCase(short, nil, leads()[0]).Pool, short.step)[0].Now
	if n := len(want); len(got) != n || got[n-1] != want[n-1] {
		t.Errorf("%d values, want %d, the last of them the %v at the end of the ninth day", len(got), n, want[n-1])
	}
	if last := short.Jobs[len(short.Jobs)-1]; last.At > short.Length || whole.Length-short.Length != 7*24*time.Hour {
		t.Errorf("a job at %v in a trace of %v", last.At, short.Length)
	}
}

func TestMeasureATrace(t *testing.T) {
	trace := seriesTrace("days", days(23))
	seen, err := foresee(trace, 6*time.Hour, func(int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	if !daily(seen) {
		t.Error("the pattern of the day is not seen")
	}
	got, err := measure(trace, seen, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ours, alone, perfect := got.Arms[simulate.Forewarm], got.Arms[simulate.Alone], got.Arms[simulate.Perfect]
	if perfect.WaitP95 != 0 || perfect.HitRate != 1 || alone.WaitP95 != 901 || ours.WaitP95 > 90 || ours.HitRate < 0.9 {
		t.Errorf("oracle %+v, alone %+v, forewarm %+v; want p95 of 0, 901 and at most 90 s", perfect, alone, ours)
	}
	if !got.Forecastable || got.IdleVsStatic == nil || *got.IdleVsStatic > 1 {
		t.Errorf("forecast chosen %v, idle ÷ static %s; want a forecast that idles less", got.Forecastable, text(got.IdleVsStatic))
	}
	var out bytes.Buffer
	if err := conclude(&out, []traceResult{got}); err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	line, found := strings.CutPrefix(out.String(), "RESULT ")
	if err := json.Unmarshal([]byte(line), &keys); err != nil || !found {
		t.Fatalf("%v in %q", err, out.String())
	}
	for _, key := range []string{"traces", "idle_vs_static", "idle_vs_static_worst", "idle_vs_static_daily", "idle_vs_constant"} {
		if _, ok := keys[key]; !ok {
			t.Errorf("the result has no %s", key)
		}
	}
}

func TestFormatsAreToldApart(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want int // traces
	}{
		"series": {"# name=x start=2026-09-07T00:00:00 step_s=300\nvalue\n3\n4\n", 1},
		"jobs":   {"timestamp,duration,num_gpus,cluster\n5,60,1,a\n9,60,1,b\n", 2},
		"stock":  {"time,running_gpu_num,pending_gpu_num\n2026-09-07 00:00:00,3,1\n2026-09-07 00:01:00,4,0\n", 1},
		"other":  {"a,b\n1,2\n3,4\n", 0},
	} {
		path := filepath.Join(t.TempDir(), "x.csv")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := readTraces(path, name)
		if (err != nil) != (c.want == 0) || err == nil && len(got) != c.want {
			t.Errorf("%s: %d traces, %v; want %d", name, len(got), err, c.want)
		}
	}
	if _, err := chosen(t.TempDir(), selection{}); err == nil || !strings.Contains(fmt.Sprint(err), "replay") {
		t.Errorf("an empty folder: %v", err)
	}
}

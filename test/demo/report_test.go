package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/capacity/simulate"
	"forewarm.dev/test/demo/arrivals"
	"forewarm.dev/test/demo/play"
)

func waits(seconds ...int) []time.Duration {
	var w []time.Duration
	for _, s := range seconds {
		w = append(w, time.Duration(s)*time.Second)
	}
	return w
}

func TestResultIsTheLastLineWithTheAgreedKeys(t *testing.T) {
	o := outcome{
		settings: settings{seed: 7, factor: 20},
		workload: arrivals.Workload{Input: "generated"},
		arms: map[play.Arm]play.Measured{
			play.Autoscaler: {Jobs: 4, Waits: waits(1, 2, 300, 400), WaitedShare: 0.5, GPUHours: 10, IdleGPUHours: 1, Overhead: times().Boot / 20, OverheadNodes: 7},
			play.Constant:   {Jobs: 4, Waits: waits(1, 2, 3, 200), GPUHours: 12, IdleGPUHours: 3, Takeovers: 3},
			play.Forewarm:   {Jobs: 4, Waits: waits(1, 1, 2, 3), GPUHours: 12, IdleGPUHours: 3, Takeovers: 2, CeilingMessage: "refused"},
		},
		oracle: simulate.Outcome{Waits: waits(0, 0, 0, 0)},
	}
	var out bytes.Buffer
	if err := report(&out, []outcome{o}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	if !ok {
		t.Fatalf("last line %q", lines[len(lines)-1])
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(last), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"jobs": 4.0, "not_started": 0.0, "wait_p50_s": 1.0, "wait_p95_s": 3.0, "wait_p99_s": 3.0, "wait_max_s": 3.0,
		"waited_share": 0.0, "gpu_hours": 12.0, "idle_gpu_hours": 3.0, "takeovers": 2.0,
	}
	arms := got["arms"].(map[string]any)
	if diff := cmp.Diff(want, arms["forewarm"]); diff != "" {
		t.Errorf("forewarm (-want +got):\n%s", diff)
	}
	delete(want, "takeovers")
	for _, arm := range []string{"autoscaler", "constant"} {
		for key := range want {
			if _, ok := arms[arm].(map[string]any)[key]; !ok {
				t.Errorf("arm %s has no %s", arm, key)
			}
		}
	}
	if got["input"] != "generated" || got["seed"] != 7.0 || got["factor"] != 20.0 || got["ceiling_refused"] != true {
		t.Errorf("result %v", got)
	}
	if !strings.Contains(out.String(), "5.0 % of the boot time (median of 7)") {
		t.Errorf("the share that does not compress is missing:\n%s", out.String())
	}
}

func TestSettingsSayWhatToWrite(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"factor too large":    {[]string{"--factor=21"}, "from 1 to 20"},
		"factor no number":    {[]string{"--factor=x"}, "factor"},
		"no hours":            {[]string{"--hours=0"}, "above 0"},
		"start without trace": {[]string{"--start=2017-10-09 05:00:00"}, "give --trace too"},
		"argument":            {[]string{"trace.csv"}, "flags only"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(test.args); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	s, err := parse([]string{"--trace=no-such-file.csv"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.workload(); err == nil || !strings.Contains(err.Error(), "no-such-file.csv") {
		t.Errorf("error %v, want one that names the file", err)
	}
	s.start = "tomorrow"
	if _, err := s.workload(); err == nil || !strings.Contains(err.Error(), "--start") {
		t.Errorf("error %v, want one that names --start", err)
	}
}

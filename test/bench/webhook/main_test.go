package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"forewarm.dev/test/bench/statistics"
	"forewarm.dev/test/cluster/assets"
)

// TestShortRun keeps the benchmark alive; what it measures in this time means nothing.
func TestShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts a control plane")
	}
	var out, progress strings.Builder
	err := run(t.Context(), settings{rounds: 1, turns: 1, rate: 50, portTime: 50 * time.Millisecond, writeTime: 200 * time.Millisecond}, &out, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	text, found := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var got map[string]map[string]float64
	if err := json.Unmarshal([]byte(text), &got); err != nil || !found {
		t.Fatalf("last line %q: %v", lines[len(lines)-1], err)
	}
	for name, want := range map[string]string{
		noop: "cpu_us p50_added_ms p99_added_ms api_cpu_us reviews_per_s rss_mib", typed: "cpu_us p50_added_ms p99_added_ms api_cpu_us reviews_per_s rss_mib",
		policy: "p50_added_ms p99_added_ms api_cpu_us", forewarm: "cpu_us p50_added_ms p99_added_ms api_cpu_us reviews_per_s rss_mib",
		withTwin: "p50_added_ms p99_added_ms api_cpu_us", "forewarm-scale": "cpu_us", "forewarm-pod": "cpu_us p50_added_ms",
	} {
		for field := range strings.FieldsSeq(want) {
			if _, there := got[name][field]; !there {
				t.Errorf("%s has no %s in %s", name, field, text)
			}
		}
	}
	if !strings.Contains(out.String(), ourEntries) {
		t.Errorf("the arm %q is missing in what is printed of turns", ourEntries)
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// TestShortMemory keeps the measurement of memory alive.
func TestShortMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts a control plane")
	}
	var out, progress strings.Builder
	if err := run(t.Context(), settings{memory: true, namespaces: 5, workloads: 20, watched: time.Second}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	var got struct {
		Memory struct {
			RSS  float64 `json:"rss_mib"`
			Peak float64 `json:"peak_rss_mib"`
		}
	}
	_, text, _ := strings.Cut(out.String(), "RESULT ")
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Memory.RSS <= 0 || got.Memory.Peak < got.Memory.RSS {
		t.Errorf("%v in:\n%s", err, out.String())
	}
}

func TestVersionOfTheAPIServer(t *testing.T) {
	if got := apiServerVersion("/c/bin/kubernetes-v1.37.2-go1.26.8-amd64/" + assets.APIServer); got != "kubernetes-v1.37.2-go1.26.8-amd64" {
		t.Error(got)
	}
}

func TestVerdict(t *testing.T) {
	for e, want := range map[statistics.Estimate]string{
		{Median: 1, Low: 0.9, High: 1.1}: "met", {Median: 1.3, Low: 1.2, High: 1.4}: "MISSED", {Median: 1.1, Low: 0.9, High: 1.4}: "met by the median only", {Median: 1.2, Low: 0.9, High: 1.4}: "missed by the median only",
	} {
		if got := verdict(e, maxOfNoop); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}

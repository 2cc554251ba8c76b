package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"forewarm.dev/internal/config"
)

func TestParseRefusesWhatCannotBeMeasured(t *testing.T) {
	for arguments, want := range map[string]string{
		"--nodes 100 --pods 2000": "at least 250 nodes",
		"--pods 10":               "1000 pods",
		"--pairs 0":               "one pair",
		"now":                     "no arguments",
	} {
		if _, err := parse(strings.Fields(arguments)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", arguments, err, want)
		}
	}
	if s, err := parse(nil); err != nil || s.pairs != 15 || !filepath.IsAbs(s.perf) {
		t.Errorf("by default: %+v, %v", s, err)
	}
}

// TestFilesOfARun are what scheduler and extender read.
func TestFilesOfARun(t *testing.T) {
	for _, a := range arms {
		folder := t.TempDir()
		if err := a.write(folder, addresses{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, 1000, 2000); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(folder, "scheduler.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var c configv1.KubeSchedulerConfiguration
		if err := yaml.UnmarshalStrict(data, &c); err != nil {
			t.Fatal(err)
		}
		if (len(c.Extenders) > 0) != (a.extender != nil) || len(c.Extenders) > 0 && (len(c.Extenders[0].ManagedResources) == 0) != a.everyPod {
			t.Errorf("%s: extenders %+v", a.name, c.Extenders)
		}
		pod, err := os.ReadFile(filepath.Join(folder, "pod.yaml"))
		if err != nil || strings.Contains(string(pod), "nvidia.com/gpu") != a.gpus {
			t.Errorf("%s: pod %s (%v)", a.name, pod, err)
		}
		if _, err := config.Load(filepath.Join(folder, "extender.yaml")); err != nil {
			t.Error(err)
		}
	}
}

func TestMetricSums(t *testing.T) {
	text := "# HELP x\nx{a=\"1\"} 2\nx{a=\"2\"} 3\nxy 100\n"
	if got := metric(text, "x"); got != 5 {
		t.Errorf("sum %v, want 5", got)
	}
}

// TestDataItems reads what scheduler_perf writes.
func TestDataItems(t *testing.T) {
	folder := t.TempDir()
	text := `{"version":"v1","dataItems":[
{"data":{"Average":310.5},"labels":{"Metric":"SchedulingThroughput","result":"not applicable"}},
{"data":{"Perc50":2,"Perc99":9},"labels":{"Metric":"scheduler_scheduling_attempt_duration_seconds","result":"scheduled"}},
{"data":{"Perc50":7},"labels":{"Metric":"scheduler_scheduling_attempt_duration_seconds","result":"error"}}]}`
	if err := os.WriteFile(filepath.Join(folder, "BenchmarkPerfScheduling_x.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	items, err := dataItems(folder)
	if err != nil {
		t.Fatal(err)
	}
	if items["SchedulingThroughput"]["Average"] != 310.5 || items["scheduler_scheduling_attempt_duration_seconds"]["Perc50"] != 2 {
		t.Errorf("%v", items)
	}
}

// TestPort is short: figures of a busy machine say nothing, but calls must succeed.
func TestPort(t *testing.T) {
	p, err := measurePort(200)
	if err != nil {
		t.Fatal(err)
	}
	if p.garbage <= 0 || p.garbage > 64<<10 || p.p99 < p.p50 {
		t.Errorf("%s", p)
	}
}

func TestResultIsOneLine(t *testing.T) {
	of := map[string]*figures{}
	for i, a := range arms {
		v := []float64{float64(100 + i)}
		of[a.name] = &figures{v, v, v, v, []float64{0}, []float64{0}}
	}
	var out bytes.Buffer
	r := result{Nodes: map[string]map[string]any{}, BareP99: 0.5, BareGarbage: 7}
	r.add(&out, 1000, of)
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	text, found := strings.CutPrefix(lines[len(lines)-1], "RESULT ")
	var got struct {
		Nodes map[string]map[string]float64 `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(text), &got); !found || err != nil {
		t.Fatalf("%v in %q", err, lines[len(lines)-1])
	}
	if n := got.Nodes["1000"]; n["none"] != 100 || n["unconcerned_calls"] != 0 || n["stub"] != 104 {
		t.Errorf("figures %v", n)
	}
}

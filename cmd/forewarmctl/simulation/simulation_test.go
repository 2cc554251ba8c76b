package simulation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"forewarm.dev/capacity/simulate"
	"forewarm.dev/cmd/forewarmctl/progress"
)

const samplePool = `apiVersion: forewarm.dev/v1alpha1
kind: WarmPool
metadata: {name: a100}
spec:
  nodes: {selector: {matchLabels: {karpenter.sh/nodepool: a100}}}
  demand: {resource: nvidia.com/gpu}
  chunks:
  - {name: single, requests: {nvidia.com/gpu: 1}, waitCostPerHour: "600", idleCostPerHour: "3", max: 100}
  sizing: {leadTime: 7m, hold: 10m}
`

// put writes a file of the test.
func put(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mornings is a trace of twelve days, on each of which 20 jobs come within an hour from nine on.
func mornings() string {
	var text strings.Builder
	text.WriteString("timestamp,duration,num_gpus,cluster\n")
	for day := range 12 {
		for i := range 20 {
			fmt.Fprintf(&text, "%s,%d,1,c\n", time.Date(2026, 9, 7+day, 9, 3*i, 0, 0, time.UTC).Format(time.DateTime), 7200)
		}
	}
	return text.String()
}

func TestSimulateComparesArms(t *testing.T) {
	plotted := filepath.Join(t.TempDir(), "week.svg")
	root := Command()
	var out bytes.Buffer
	var at []string
	root.SetOut(&out)
	root.SetArgs([]string{"--trace", put(t, "jobs.csv", mornings()), "--pool", put(t, "pool.yaml", samplePool), "--scored", "96h", "-o", "json", "--plot", plotted})
	if err := root.ExecuteContext(progress.Into(t.Context(), func(says string) { at = append(at, says) })); err != nil {
		t.Fatal(err)
	}
	var rows []armRow
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	byArm := map[simulate.Arm]armRow{}
	for _, row := range rows {
		byArm[row.Arm] = row
	}
	if len(byArm) != len(simulate.Arms()) || byArm[simulate.Alone].WaitP95 != 421 || byArm[simulate.Perfect].WaitMax != 0 {
		t.Errorf("%+v; want every arm, 421 s alone and no wait of the oracle", rows)
	}
	if ours := byArm[simulate.Forewarm]; ours.HitRate <= byArm[simulate.Alone].HitRate || ours.Policies.Total() == 0 {
		t.Errorf("forewarm %+v: want a higher hit rate than alone, and the policies that were used", ours)
	}
	if svg, err := os.ReadFile(plotted); err != nil || !bytes.Contains(svg, []byte("<svg")) {
		t.Errorf("no plot: %v", err)
	}
	if !slices.Contains(at, "playing forewarm") {
		t.Errorf("no progress in %q", at)
	}
}

func TestAStandInIsCalledOne(t *testing.T) {
	for autoscaler, want := range map[string]bool{"karpenter": false, "cluster-autoscaler": true} {
		var out bytes.Buffer
		if err := (&simulation{autoscaler: autoscaler}).print(&out, nil); err != nil || strings.Contains(out.String(), "stand-in") != want {
			t.Errorf("%s: %v\n%s", autoscaler, err, out.String())
		}
	}
}

func TestSimulateSaysWhatIsWrong(t *testing.T) {
	trace, pool := put(t, "jobs.csv", mornings()), put(t, "pool.yaml", samplePool)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no trace":      {[]string{"--pool", pool}, "--trace and --pool"},
		"autoscaler":    {[]string{"--trace", trace, "--pool", pool, "--autoscaler", "x"}, "write karpenter or cluster-autoscaler"},
		"output":        {[]string{"--trace", trace, "--pool", pool, "-o", "xml"}, "write table, wide, yaml or json"},
		"plot":          {[]string{"--trace", trace, "--pool", pool, "--plot", "a.gif"}, ".svg or .png"},
		"cluster":       {[]string{"--trace", trace, "--pool", pool, "--cluster", "z"}, `cluster "z"`},
		"too long":      {[]string{"--trace", trace, "--pool", pool, "--scored", "2000h"}, "--scored"},
		"unknown field": {[]string{"--trace", trace, "--pool", put(t, "p.yaml", samplePool+"  colour: red\n")}, "colour"},
		"lead is Auto":  {[]string{"--trace", trace, "--pool", put(t, "p.yaml", strings.Replace(samplePool, "7m", "Auto", 1))}, "--lead"},
		"no resource":   {[]string{"--trace", trace, "--pool", put(t, "p.yaml", strings.Replace(samplePool, "requests: {nvidia.com/gpu: 1}", "requests: {cpu: 1}", 1))}, "spec.chunks[0]"},
		"small node":    {[]string{"--trace", trace, "--pool", put(t, "p.yaml", strings.Replace(samplePool, "gpu: 1}", "gpu: 4}", 1)), "--node-size", "2"}, "--node-size 2"},
	} {
		root := Command()
		root.SetOut(&bytes.Buffer{})
		root.SetErr(&bytes.Buffer{})
		root.SetArgs(c.args)
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

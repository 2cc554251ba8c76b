package simulation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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

const samplePrices = `prices:
- {instanceType: a100, capacityType: on-demand, perHour: "32"}
- {instanceType: a100, capacityType: spot, perHour: "12"}
- {instanceType: l4, perHour: "1"}
`

// TestPricesCount: each arm costs what its nodes are billed at the price that was asked for, and idling costs in
// sizing what it does there.
func TestPricesCount(t *testing.T) {
	trace, prices := put(t, "jobs.csv", mornings()), put(t, "prices.yaml", samplePrices)
	ofSpot := strings.Replace(samplePool, "karpenter.sh/nodepool: a100", "node.kubernetes.io/instance-type: a100, karpenter.sh/capacity-type: spot", 1)
	run := func(pool string, flags ...string) (map[simulate.Arm]armRow, string) {
		t.Helper()
		text := ""
		byArm := map[simulate.Arm]armRow{}
		for _, format := range []string{"table", "json"} {
			root := Command()
			var out bytes.Buffer
			root.SetOut(&out)
			root.SetArgs(append([]string{"--trace", trace, "--pool", put(t, "pool.yaml", pool), "--scored", "48h", "--node-size", "8", "-o", format}, flags...))
			if err := root.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if format == "table" {
				text = out.String()
				continue
			}
			var rows []armRow
			if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				byArm[row.Arm] = row
			}
		}
		return byArm, text
	}
	for name, c := range map[string]struct {
		pool  string
		flags []string
		node  float64
		says  string
	}{
		"the spec":     {samplePool, nil, 24, "A node costs 24.00 per hour, by idleCostPerHour of the pool."},
		"the selector": {ofSpot, []string{"--prices", prices}, 12, "A node costs 12.00 per hour: a100, spot."},
		"the flags":    {ofSpot, []string{"--prices", prices, "--instance-type", "a100", "--capacity-type", "on-demand"}, 32, "A node costs 32.00 per hour: a100, on-demand."},
		"for all":      {samplePool, []string{"--prices", prices, "--instance-type", "l4"}, 1, "A node costs 1.00 per hour: l4, on-demand."},
	} {
		rows, text := run(c.pool, c.flags...)
		for arm, row := range rows {
			if want := row.BilledNodeHours * c.node; math.Abs(row.Cost-want) > 1e-6 || math.Abs(row.IdleCost-row.IdleHours/8*c.node) > 1e-6 || row.Cost <= 0 {
				t.Errorf("%s: %s costs %.2f, %.2f of it idle; want %.2f and its idle part", name, arm, row.Cost, row.IdleCost, want)
			}
		}
		if cost := fmt.Sprintf("%.2f", rows[simulate.Forewarm].Cost); !strings.Contains(text, c.says) || !strings.Contains(text, cost) || !strings.Contains(text, "COST") {
			t.Errorf("%s: the table does not say %q and %s:\n%s", name, c.says, cost, text)
		}
	}
	cheap, _ := run(samplePool, "--prices", put(t, "cheap.yaml", `prices: [{instanceType: x, perHour: "0.01"}]`))
	dear, _ := run(samplePool, "--prices", put(t, "dear.yaml", `prices: [{instanceType: x, perHour: "100000"}]`))
	if a, b := cheap[simulate.Forewarm].IdleHours, dear[simulate.Forewarm].IdleHours; a <= b {
		t.Errorf("at a hundredth of the price Forewarm idles %.1f h, at a high one %.1f h; want less", a, b)
	}
}

func TestAStandInIsCalledOne(t *testing.T) {
	for autoscaler, want := range map[string]bool{"karpenter": false, "cluster-autoscaler": true} {
		var out bytes.Buffer
		if err := (&simulation{autoscaler: autoscaler}).print(&out, nil, nodePrice{}); err != nil || strings.Contains(out.String(), "stand-in") != want {
			t.Errorf("%s: %v\n%s", autoscaler, err, out.String())
		}
	}
}

func TestSimulateSaysWhatIsWrong(t *testing.T) {
	trace, pool, prices := put(t, "jobs.csv", mornings()), put(t, "pool.yaml", samplePool), put(t, "prices.yaml", samplePrices)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no trace":      {[]string{"--pool", pool}, "--trace and --pool"},
		"autoscaler":    {[]string{"--trace", trace, "--pool", pool, "--autoscaler", "x"}, "write karpenter or cluster-autoscaler"},
		"no prices":     {[]string{"--trace", trace, "--pool", pool, "--capacity-type", "spot"}, "give that too"},
		"capacity type": {[]string{"--trace", trace, "--pool", pool, "--prices", prices, "--capacity-type", "cheap"}, "write spot, on-demand or reserved"},
		"which type":    {[]string{"--trace", trace, "--pool", pool, "--prices", prices}, "2 instance types"},
		"no such price": {[]string{"--trace", trace, "--pool", pool, "--prices", prices, "--instance-type", "h100"}, "no price of h100, on-demand"},
		"bad prices":    {[]string{"--trace", trace, "--pool", pool, "--prices", put(t, "bad.yaml", "prices: [{instanceType: x, perHour: free}]")}, "prices[0].perHour"},
		"no file":       {[]string{"--trace", trace, "--pool", pool, "--prices", "nowhere.yaml"}, "nowhere.yaml"},
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

// TestLongTraces replays a year of demand each five minutes, and 100,000 jobs, with all that is not history scored,
// in less than a minute of CPU each, all arms together.
func TestLongTraces(t *testing.T) {
	if os.Getenv("FOREWARM_LONG") == "" {
		t.Skip("skipped: it takes a minute; make test-long, or set FOREWARM_LONG=1")
	}
	daily := func(hour float64) float64 { return 1 + 0.8*math.Sin((hour-9)/24*2*math.Pi) }
	start, random := time.Date(2025, 11, 3, 0, 0, 0, 0, time.UTC), rand.New(rand.NewPCG(1, 1))
	var demand, jobs strings.Builder
	demand.WriteString("timestamp,demand\n")
	for i := range 365 * 288 {
		at := start.Add(time.Duration(i) * 5 * time.Minute)
		fmt.Fprintf(&demand, "%s,%.0f\n", at.Format(time.RFC3339), max(0, 40*daily(float64(i%288)/12)+3*random.NormFloat64()))
	}
	jobs.WriteString("timestamp,duration,num_gpus,cluster\n")
	at := 0.0
	for range 100_000 {
		at += random.ExpFloat64() * 60 / daily(math.Mod(at/3600, 24))
		fmt.Fprintf(&jobs, "%d,%.0f,%d,c\n", start.Unix()+int64(at), math.Exp(6.6+1.5*random.NormFloat64()), 1<<random.IntN(3))
	}
	for _, c := range []struct{ name, trace, scored string }{{"a year", demand.String(), "8000h"}, {"100,000 jobs", jobs.String(), "1200h"}} {
		var before, after syscall.Rusage
		var out bytes.Buffer
		root := Command()
		root.SetOut(&out)
		root.SetArgs([]string{"--trace", put(t, "trace.csv", c.trace), "--pool", put(t, "pool.yaml", samplePool), "--scored", c.scored})
		began := time.Now()
		if err := errors.Join(syscall.Getrusage(syscall.RUSAGE_SELF, &before), root.ExecuteContext(t.Context()), syscall.Getrusage(syscall.RUSAGE_SELF, &after)); err != nil {
			t.Fatal(err)
		}
		took := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
		t.Logf("%s: %v, %v of CPU\n%s", c.name, time.Since(began).Round(time.Second), took.Round(time.Second/10), out.String())
		if took > time.Minute {
			t.Errorf("%s took %v of CPU, want at most a minute", c.name, took)
		}
	}
}

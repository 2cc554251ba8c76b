package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"

	"forewarm.dev/test/bench/statistics"
)

// result is the last line of the output.
type result struct {
	// Nodes holds by number of nodes, and arm, pods per second, and more.
	Nodes       map[string]map[string]any `json:"nodes"`
	BareP99     float64                   `json:"bare_p99_ms"`
	BareGarbage int64                     `json:"bare_garbage_bytes"`
}

func (r *result) print(out io.Writer) error {
	r.BareP99 = rounded(r.BareP99, 3)
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", text)
	return err
}

func rounded(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

// add prints the table of one number of nodes, and keeps its medians.
func (r *result) add(out io.Writer, nodes int, of map[string]*figures) {
	pairs := len(of[armNone].perSecond)
	fmt.Fprintf(out, "\n%d nodes, %d pairs\n", nodes, pairs)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "arm\tpods/s\tof none (90 %)\tp50 ms\tp99 ms\tCPU s per 1,000 pods\tcalls\tbytes per call\t")
	line := map[string]any{"pairs": pairs}
	for _, a := range arms {
		f := of[a.name]
		median := func(values []float64) float64 { return statistics.Quantile(values, 0.5) }
		perCall := "–"
		if calls := median(f.calls); calls > 0 && median(f.bytes) > 0 {
			perCall = fmt.Sprintf("%.0f", median(f.bytes)/calls)
		}
		fmt.Fprintf(table, "%s\t%.0f\t%s\t%.2f\t%.2f\t%.2f\t%.0f\t%s\t\n", a.name, median(f.perSecond), ratio(f.perSecond, of[armNone].perSecond),
			median(f.p50), median(f.p99), median(f.cpu), median(f.calls), perCall)
		line[a.name] = rounded(median(f.perSecond), 1)
		line[a.name+"_cpu"] = rounded(median(f.cpu), 3)
	}
	_ = table.Flush()
	line["unconcerned_calls"] = slices.Max(append(of["unconcerned"].calls, 0))
	line["gpu_of_stub"] = rounded(statistics.Estimated(statistics.Each(of[armGPU].perSecond, of[armStub].perSecond, statistics.Over)).Low, 3)
	line["gpu_cpu_of_stub"] = rounded(statistics.Estimated(statistics.Each(of[armGPU].cpu, of[armStub].cpu, statistics.Over)).Median, 3)
	fmt.Fprintf(out, "gpu / stub: pods/s %s (target: lower bound ≥ 0.95), CPU %s; calls for pods that do not concern us: %v (target: 0)\n",
		ratio(of[armGPU].perSecond, of[armStub].perSecond), ratio(of[armGPU].cpu, of[armStub].cpu), line["unconcerned_calls"])
	r.Nodes[strconv.Itoa(nodes)] = line
}

// ratio is the median of paired ratios with its interval.
func ratio(a, b []float64) string {
	e := statistics.Estimated(statistics.Each(a, b, statistics.Over))
	return fmt.Sprintf("%.2f (%.2f..%.2f)", e.Median, e.Low, e.High)
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"forewarm.dev/test/bench/extender/packing"
	"forewarm.dev/test/demo/arrivals"
)

// starts is from how many points of the trace jobs are placed until the first misfit.
const starts = 50

// measurePacking replays a trace, or generated jobs, under each policy.
func measurePacking(trace string, out io.Writer) error {
	workload := arrivals.Generate(1, time.Hour)
	if trace != "" {
		var err error
		if workload, err = arrivals.ReadTrace(arrivals.TraceOptions{Path: trace, Window: time.Hour}); err != nil {
			return err
		}
	}
	nodes := packing.Nodes(workload.Jobs)
	fmt.Fprintf(out, "%s %s: %d jobs on %d nodes of %d GPUs\n", workload.Input, workload.Cluster, len(workload.Jobs), nodes, arrivals.NodeGPUs)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "policy\tfragmentation\tjobs before the first misfit\tjobs that found no room\t")
	results := map[string]packing.Result{}
	for _, policy := range packing.Policies() {
		r := packing.Measure(workload.Jobs, nodes, starts, policy)
		fmt.Fprintf(table, "%s\t%.3f\t%.0f\t%d\t\n", policy.Name, r.Fragmentation, r.BeforeMisfit, r.Refused)
		results[policy.Name] = r
	}
	if err := table.Flush(); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"packing": results, "nodes": nodes})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "RESULT %s\n", text)
	return err
}

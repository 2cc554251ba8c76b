package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/scorecard"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
)

func statusCommand() *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "status [POOL...]",
		Short: "Print pools, demand, forecast and placeholders",
		Long: `Print each WarmPool with, per chunk, the demand of real pods, the forecast of the highest
demand within the lead time, and the placeholder pods: wanted, reserved, pending, gated. Of pools
in mode Observe it also says what would have happened in the last day and week.`,
		Example: `  forewarmctl status
  forewarmctl status a100 -o wide
  forewarmctl status -o yaml`,
		ValidArgsFunction: connection.CompleteNames("WarmPool", 0),
		RunE: func(c *cobra.Command, names []string) error {
			from, err := connection.Of(c)
			if err != nil {
				return err
			}
			pools, err := connection.Pools(c.Context(), from, names)
			if err != nil {
				return err
			}
			return printPools(c.OutOrStdout(), pools, &format)
		},
	}
	output.Add(c, &format)
	return c
}

func printPools(out io.Writer, pools []v1alpha1.WarmPool, format *output.Format) error {
	list := &v1alpha1.WarmPoolList{Items: pools}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WarmPoolList"))
	return format.Print(out, list, func(p *output.Page) {
		poolRows(p, pools)
		for i := range pools {
			if says := scorecard.Text(&pools[i]); says != "" {
				p.Line(output.Plain, "%s", says)
			}
		}
		problems(p, pools)
	})
}

// poolRows has a row per chunk.
func poolRows(p *output.Page, pools []v1alpha1.WarmPool) {
	table := output.NewRows("Pool", "Mode", "Ready", "Chunk", "Demand", "P50", "P90", "Source", "Policy", "Wanted", "Reserved", "Pending", "Gated", "Free",
		"+Limited", "+Level", "+Per node", "+Nodes", "+Lead time")
	for _, pool := range pools {
		ready := "Unknown"
		if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			ready = fmt.Sprintf("%s (%s)", c.Status, c.Reason)
		}
		lead := "?"
		if pool.Status.LeadTime != nil {
			lead = pool.Status.LeadTime.Used.Duration.String()
		}
		for _, chunk := range rows(pool) {
			f := chunk.Forecast
			table.Add(output.Plain,
				pool.Name, pool.Spec.Mode, ready, chunk.Name, chunk.Demand, f.P50, f.P90, f.Source+" ("+f.Reason+")",
				policyCell(chunk), chunk.Wanted, chunk.Reserved, chunk.Pending, chunk.Gated, chunk.Free,
				chunk.Limited, f.Level, chunk.PerNode, pool.Status.Nodes, lead)
		}
	}
	p.Table(table, "No WarmPools. See manifests/samples for one to start from.")
}

// policyCell says how the need of a chunk is estimated, and why.
func policyCell(chunk v1alpha1.ChunkStatus) string {
	switch p := chunk.Policy; {
	case p == nil:
		return "?"
	case p.Reason == "":
		return p.Kind
	default:
		return p.Kind + " (" + p.Reason + ")"
	}
}

// rows are the chunks of a pool, each with a forecast to print: a pool that the reserver
// has not seen yet has empty ones.
func rows(pool v1alpha1.WarmPool) []v1alpha1.ChunkStatus {
	var chunks []v1alpha1.ChunkStatus
	for _, chunk := range pool.Status.Chunks {
		if chunk.Forecast == nil {
			chunk.Forecast = &v1alpha1.ChunkForecast{}
		}
		chunks = append(chunks, chunk)
	}
	if len(chunks) > 0 {
		return chunks
	}
	for _, chunk := range pool.Spec.Chunks {
		chunks = append(chunks, v1alpha1.ChunkStatus{
			Name: chunk.Name, Demand: "?", Forecast: &v1alpha1.ChunkForecast{P50: "?", P90: "?", Source: "none yet", Reason: "is the reserver running?"},
		})
	}
	return chunks
}

// problems are what needs a person, one line each.
func problems(p *output.Page, pools []v1alpha1.WarmPool) {
	for _, pool := range pools {
		for _, name := range []string{v1alpha1.ConditionInfeasible, v1alpha1.ConditionConflict, v1alpha1.ConditionLimited, v1alpha1.ConditionPricesUnreadable, v1alpha1.ConditionFutureUnreadable, v1alpha1.ConditionAboveCeiling} {
			c := meta.FindStatusCondition(pool.Status.Conditions, name)
			if c != nil && c.Status == metav1.ConditionTrue {
				p.Line(output.Plain, "")
				p.Line(output.Notable, "%s: %s (%s): %s", pool.Name, c.Type, c.Reason, c.Message)
			}
		}
	}
}

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
)

func explainForecastCommand() *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "forecast POOL",
		Short: "Print what a WarmPool's forecasts are made of, and what is wanted because of them",
		Long: `Print, per chunk of a WarmPool, the quantile that the costs ask for and why as many placeholders
are wanted, the source and the version of the forecast, after how long demand repeats itself, the
forecasters that are mixed and their weights, and what moves the largest regression among them now.

Versions, and how to go back to one, are in the chunk's ForecastModel: kubectl get forecastmodels.`,
		Example: `  forewarmctl explain forecast a100
  forewarmctl explain forecast a100 -o yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: connection.CompleteNames("WarmPool", 1),
		RunE: func(c *cobra.Command, names []string) error {
			from, err := connection.Of(c)
			if err != nil {
				return err
			}
			pools, err := connection.Pools(c.Context(), from, names)
			if err != nil {
				return err
			}
			return explainForecast(c.OutOrStdout(), pools[0], &format)
		},
	}
	output.Add(c, &format)
	return c
}

// policyLines say how the need is estimated, and what each way would have done.
func policyLines(p *v1alpha1.PolicyStatus) []string {
	if p == nil {
		return nil
	}
	lines := []string{strings.TrimSuffix(fmt.Sprintf("  policy    %s, %s", p.Kind, p.Reason), ", ")}
	for _, t := range p.Tried {
		lines = append(lines, fmt.Sprintf("            %s would have cost %s an hour, found capacity ready for %s of demand, and idled %s",
			t.Kind, t.CostPerHour, t.HitRate, t.Idle))
	}
	return lines
}

// explainedForecast is what the forecasts of a pool are made of.
type explainedForecast struct {
	Pool   string                 `json:"pool"`
	Chunks []v1alpha1.ChunkStatus `json:"chunks"`
}

// explainForecast prints the forecasts of one pool.
func explainForecast(out io.Writer, pool v1alpha1.WarmPool, format *output.Format) error {
	return format.Print(out, explainedForecast{pool.Name, rows(pool)}, func(p *output.Page) {
		for _, chunk := range rows(pool) {
			p.Line(output.Plain, "%s", strings.Join(chunkLines(pool, chunk, p.Wide), "\n"))
		}
	})
}

// chunkLines are those of one chunk, more of them on a wide page.
func chunkLines(pool v1alpha1.WarmPool, chunk v1alpha1.ChunkStatus, wide bool) []string {
	f := chunk.Forecast
	lines := []string{fmt.Sprintf("%s, chunk %s", pool.Name, chunk.Name)}
	if f.Tau == "" {
		return append(lines, "  no forecast yet: is the reserver running?")
	}
	lines = append(lines,
		fmt.Sprintf("  demand    %s now; within the lead time at most %s (half), %s (nine of ten)", chunk.Demand, f.P50, f.P90),
		fmt.Sprintf("  quantile  %s at level %s, which the costs ask for", f.Level, f.Tau),
		fmt.Sprintf("  wanted    %d, %s; free room for %d", chunk.Wanted, f.Sizing, chunk.Free))
	if wide {
		lines = append(lines, fmt.Sprintf("  limits    %d more would be wanted without", chunk.Limited), "  idle cost "+idleCost(&pool, chunk.Name)+" per hour and chunk")
	}
	lines = append(lines, fmt.Sprintf("  source    %s, %s%s", f.Source, f.Reason, versionOf(pool, chunk)))
	lines = append(lines, policyLines(chunk.Policy)...)
	if len(f.Seasons) > 0 {
		lines = append(lines, "  repeats   "+every(f.Seasons))
	}
	lines = append(lines, percents("  weights   ", f.Members)...)
	return append(lines, percents("  moved by  ", f.Features)...)
}

// idleCost is what an hour of idle capacity of a chunk costs.
func idleCost(pool *v1alpha1.WarmPool, name string) string {
	for i := range pool.Spec.Chunks {
		if chunk := &pool.Spec.Chunks[i]; chunk.Name == name {
			return pool.IdleCostOf(chunk)
		}
	}
	return "?"
}

// every says after how many hours demand repeats itself.
func every(seasons []metav1.Duration) string {
	var hours []string
	for _, s := range seasons {
		hours = append(hours, fmt.Sprintf("every %v h", s.Hours()))
	}
	return strings.Join(hours, ", ")
}

func versionOf(pool v1alpha1.WarmPool, chunk v1alpha1.ChunkStatus) string {
	if chunk.Forecast.Version == 0 {
		return ""
	}
	return fmt.Sprintf("; version %d of ForecastModel %s.%s", chunk.Forecast.Version, pool.Name, chunk.Name)
}

// percents is one line of shares; none without any.
func percents(title string, shares []v1alpha1.ForecastShare) []string {
	var parts []string
	for _, s := range shares {
		text := s.Share
		if number, err := strconv.ParseFloat(s.Share, 64); err == nil {
			text = fmt.Sprintf("%.0f %%", 100*number)
		}
		parts = append(parts, s.Name+" "+text)
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{title + strings.Join(parts, ", ")}
}

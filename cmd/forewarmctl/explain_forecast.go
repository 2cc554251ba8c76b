package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

func explainForecastCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forecast POOL",
		Short: "Print what a WarmPool's forecasts are made of, and what is wanted because of them",
		Long: `Print, per chunk of a WarmPool, the quantile that the costs ask for and why as many placeholders
are wanted, the source and the version of the forecast, after how long demand repeats itself, the
forecasters that are mixed and their weights, and what moves the largest regression among them now.

Versions, and how to go back to one, are in the chunk's ForecastModel: kubectl get forecastmodels.`,
		Example:           `  forewarmctl explain forecast a100`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames("WarmPool", 1),
		RunE: func(c *cobra.Command, names []string) error {
			kubeconfig, err := c.Flags().GetString("kubeconfig")
			if err != nil {
				return err
			}
			pools, err := readPools(c.Context(), kubeconfig, names)
			if err != nil {
				return err
			}
			return explainForecast(c.OutOrStdout(), pools[0])
		},
	}
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

// explainForecast prints the forecasts of one pool.
func explainForecast(output io.Writer, pool v1alpha1.WarmPool) error {
	var lines []string
	for _, chunk := range rows(pool) {
		f := chunk.Forecast
		lines = append(lines, fmt.Sprintf("%s, chunk %s", pool.Name, chunk.Name))
		if f.Tau == "" {
			lines = append(lines, "  no forecast yet: is the reserver running?")
			continue
		}
		lines = append(lines,
			fmt.Sprintf("  demand    %s now; within the lead time at most %s (half), %s (nine of ten)", chunk.Demand, f.P50, f.P90),
			fmt.Sprintf("  quantile  %s at level %s, which the costs ask for", f.Level, f.Tau),
			fmt.Sprintf("  wanted    %d, %s; free room for %d", chunk.Wanted, f.Sizing, chunk.Free),
			fmt.Sprintf("  source    %s, %s%s", f.Source, f.Reason, versionOf(pool, chunk)))
		lines = append(lines, policyLines(chunk.Policy)...)
		if len(f.Seasons) > 0 {
			lines = append(lines, "  repeats   "+every(f.Seasons))
		}
		lines = append(lines, percents("  weights   ", f.Members)...)
		lines = append(lines, percents("  moved by  ", f.Features)...)
	}
	_, err := fmt.Fprintln(output, strings.Join(lines, "\n"))
	return err
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

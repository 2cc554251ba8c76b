package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/scorecard"
	"forewarm.dev/internal/observe"
)

func statusCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "status [POOL...]",
		Short: "Print pools, demand, forecast and placeholders",
		Long: `Print each WarmPool with, per chunk, the demand of real pods, the forecast of the highest
demand within the lead time, and the placeholder pods: wanted, reserved, pending, gated. Of pools
in mode Observe it also says what would have happened in the last day and week.`,
		Example: `  forewarmctl status
  forewarmctl status a100
  forewarmctl status -o yaml`,
		ValidArgsFunction: completeNames("WarmPool", 0),
		RunE: func(c *cobra.Command, names []string) error {
			kubeconfig, err := c.Flags().GetString("kubeconfig")
			if err != nil {
				return err
			}
			pools, err := readPools(c.Context(), kubeconfig, names)
			if err != nil {
				return err
			}
			return printPools(c.OutOrStdout(), pools, output)
		},
	}
	outputFlag(c, &output, "table", "yaml", "json")
	return c
}

// clientFor reaches the objects of Kubernetes and of Forewarm's own API, with the user's rights.
func clientFor(kubeconfig string) (client.Client, error) {
	restConfig, err := observe.RESTConfig(kubeconfig)
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c, err := client.New(restConfig, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reach the API server at %s: %w; check --kubeconfig", restConfig.Host, err)
	}
	return c, nil
}

// readPools reads the named pools, or all.
func readPools(ctx context.Context, kubeconfig string, names []string) ([]v1alpha1.WarmPool, error) {
	reader, err := clientFor(kubeconfig)
	if err != nil {
		return nil, err
	}
	var list v1alpha1.WarmPoolList
	if err := reader.List(ctx, &list); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, errors.New("this cluster does not know WarmPools: install manifests/crd first")
		}
		return nil, fmt.Errorf("list WarmPools: %w", err)
	}
	return pick(list.Items, names)
}

func pick(pools []v1alpha1.WarmPool, names []string) ([]v1alpha1.WarmPool, error) {
	if len(names) == 0 {
		return pools, nil
	}
	byName := map[string]v1alpha1.WarmPool{}
	var known []string
	for _, pool := range pools {
		byName[pool.Name] = pool
		known = append(known, pool.Name)
	}
	var picked []v1alpha1.WarmPool
	for _, name := range names {
		pool, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("no WarmPool %q; there are: %s", name, strings.Join(known, ", "))
		}
		picked = append(picked, pool)
	}
	return picked, nil
}

func printPools(output io.Writer, pools []v1alpha1.WarmPool, format string) error {
	list := &v1alpha1.WarmPoolList{Items: pools}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WarmPoolList"))
	switch format {
	case "yaml":
		data, err := yaml.Marshal(list)
		if err != nil {
			return err
		}
		_, err = output.Write(data)
		return err
	case "json":
		return (&printers.JSONPrinter{}).PrintObj(list, output)
	case "table":
		return printTable(output, pools)
	default:
		return fmt.Errorf("unknown output format %q: write -o table, -o yaml or -o json", format)
	}
}

func printTable(output io.Writer, pools []v1alpha1.WarmPool) error {
	if len(pools) == 0 {
		_, err := fmt.Fprintln(output, "No WarmPools. See manifests/samples for one to start from.")
		return err
	}
	table := &metav1.Table{}
	for _, name := range []string{"Pool", "Mode", "Ready", "Chunk", "Demand", "P50", "P90", "Source", "Policy", "Wanted", "Reserved", "Pending", "Gated", "Free"} {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: name, Type: "string"})
	}
	for _, pool := range pools {
		ready := "Unknown"
		if c := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			ready = fmt.Sprintf("%s (%s)", c.Status, c.Reason)
		}
		for _, chunk := range rows(pool) {
			f := chunk.Forecast
			table.Rows = append(table.Rows, metav1.TableRow{Cells: []any{
				pool.Name, pool.Spec.Mode, ready, chunk.Name, chunk.Demand, f.P50, f.P90, f.Source + " (" + f.Reason + ")",
				policyCell(chunk), chunk.Wanted, chunk.Reserved, chunk.Pending, chunk.Gated, chunk.Free,
			}})
		}
	}
	if err := printers.NewTablePrinter(printers.PrintOptions{}).PrintObj(table, output); err != nil {
		return err
	}
	for i := range pools {
		if _, err := io.WriteString(output, scorecard.Text(&pools[i])); err != nil {
			return err
		}
	}
	return printProblems(output, pools)
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

// printProblems prints what needs a person, one line each.
func printProblems(output io.Writer, pools []v1alpha1.WarmPool) error {
	for _, pool := range pools {
		for _, name := range []string{v1alpha1.ConditionInfeasible, v1alpha1.ConditionConflict, v1alpha1.ConditionLimited, v1alpha1.ConditionPricesUnreadable, v1alpha1.ConditionAboveCeiling} {
			c := meta.FindStatusCondition(pool.Status.Conditions, name)
			if c == nil || c.Status != metav1.ConditionTrue {
				continue
			}
			if _, err := fmt.Fprintf(output, "\n%s: %s (%s): %s\n", pool.Name, c.Type, c.Reason, c.Message); err != nil {
				return err
			}
		}
	}
	return nil
}

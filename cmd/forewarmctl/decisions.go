package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/capacity/replay"
)

func decisionsCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "decisions [POOL]",
		Short: "Print the last decisions of WarmPools, oldest first",
		Long: `Print the Decisions that the reserver has kept: plans that changed something, or that wanted
something else than the one before. What each was made of can be planned again with replay.`,
		Example: `  forewarmctl decisions a100
  forewarmctl decisions a100 -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeNames("WarmPool", 1),
		RunE: func(c *cobra.Command, names []string) error {
			kubeconfig, err := c.Flags().GetString("kubeconfig")
			if err != nil {
				return err
			}
			reader, err := clientFor(kubeconfig)
			if err != nil {
				return err
			}
			list, err := readDecisions(c.Context(), reader, names)
			if err != nil {
				return err
			}
			return printDecisions(c.OutOrStdout(), list, output)
		},
	}
	outputFlag(c, &output, "table", "json")
	return c
}

func readDecisions(ctx context.Context, reader client.Reader, pools []string) (*v1alpha1.DecisionList, error) {
	list := &v1alpha1.DecisionList{}
	var options []client.ListOption
	if len(pools) > 0 {
		options = append(options, client.MatchingLabels{v1alpha1.LabelPool: pools[0]})
	}
	if err := reader.List(ctx, list, options...); err != nil {
		return nil, fmt.Errorf("list Decisions: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.Decision) int { return a.Spec.At.Compare(b.Spec.At.Time) })
	return list, nil
}

func printDecisions(output io.Writer, list *v1alpha1.DecisionList, format string) error {
	switch format {
	case "json":
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DecisionList"))
		return (&printers.JSONPrinter{}).PrintObj(list, output)
	case "table":
	default:
		return fmt.Errorf("unknown output format %q: write -o table or -o json", format)
	}
	if len(list.Items) == 0 {
		_, err := fmt.Fprintln(output, "No decisions are kept. Is the reserver running, and reserver.decisions.keep above 0?")
		return err
	}
	table := &metav1.Table{}
	for _, name := range []string{"Decision", "At", "Mode", "Create", "Ungate", "Delete", "Applied", "Wanted, and why"} {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: name, Type: "string"})
	}
	for _, d := range list.Items {
		s := d.Spec
		table.Rows = append(table.Rows, metav1.TableRow{Cells: []any{
			d.Name, s.At.UTC().Format(time.RFC3339), s.Mode, s.Create, s.Ungate, s.Delete, s.Applied, s.Reason,
		}})
	}
	return printers.NewTablePrinter(printers.PrintOptions{}).PrintObj(table, output)
}

func replayCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "replay DECISION",
		Short: "Make the plan of a decision again from what it was made of, and compare bit for bit",
		Long: `Plan again from the input that a Decision has kept, with the code of this program, and compare the
plan with the one that was made then, bit for bit. Nothing of a cluster is changed; with --lines,
nothing is read of one either.`,
		Example: `  forewarmctl replay a100-20261129t101500-3f2a9c01
  forewarmctl replay a100-20261129t101500-3f2a9c01 --lines decisions.jsonl`,
		Annotations:       map[string]string{exitOne: "the plans differ"},
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNames("Decision", 1),
		RunE: func(c *cobra.Command, names []string) error {
			record, err := findRecord(c, names[0], file)
			if err != nil {
				return err
			}
			return replayed(c.OutOrStdout(), names[0], record)
		},
	}
	c.Flags().StringVar(&file, "lines", "", "file of JSON lines that the reserver has written (reserver.decisions.lines), instead of a cluster")
	return c
}

func findRecord(c *cobra.Command, name, file string) (replay.Record, error) {
	if file != "" {
		return recordIn(file, name)
	}
	kubeconfig, err := c.Flags().GetString("kubeconfig")
	if err != nil {
		return replay.Record{}, err
	}
	reader, err := clientFor(kubeconfig)
	if err != nil {
		return replay.Record{}, err
	}
	decision := v1alpha1.Decision{}
	if err := reader.Get(c.Context(), client.ObjectKey{Name: name}, &decision); err != nil {
		if apierrors.IsNotFound(err) {
			return replay.Record{}, fmt.Errorf("no decision %q: forewarmctl decisions lists those that are kept", name)
		}
		return replay.Record{}, fmt.Errorf("read decision %s: %w", name, err)
	}
	return decisions.RecordOf(decision)
}

// recordIn finds a decision among JSON lines; other lines, such as those of a log, are passed over.
func recordIn(path, id string) (replay.Record, error) {
	file, err := os.Open(path)
	if err != nil {
		return replay.Record{}, err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewReader(file)
	for {
		text, err := lines.ReadString('\n')
		var line decisions.Line
		if strings.Contains(text, id) && json.Unmarshal([]byte(text), &line) == nil && line.ID == id {
			return line.Record, nil
		}
		if errors.Is(err, io.EOF) {
			return replay.Record{}, fmt.Errorf("no decision %q in %s", id, path)
		}
		if err != nil {
			return replay.Record{}, fmt.Errorf("read %s: %w", path, err)
		}
	}
}

// replayed prints what was planned, and fails where it is planned differently now.
func replayed(output io.Writer, id string, record replay.Record) error {
	outcome, err := record.Replay()
	if err != nil {
		return err
	}
	for _, chunk := range outcome.Then.Chunks {
		if _, err := fmt.Fprintf(output, "%s: wanted %d (%s), level %.2f at quantile %.3f, limited by %d\n",
			chunk.Name, chunk.Wanted, chunk.Reason, chunk.Level, chunk.Tau, chunk.Limited); err != nil {
			return err
		}
	}
	if !outcome.Identical {
		now, err := json.Marshal(outcome.Now)
		if err == nil {
			_, err = fmt.Fprintf(output, "then: %s\nnow:  %s\n", record.Result, now)
		}
		return errors.Join(err, fmt.Errorf("decision %s is planned differently by this version of forewarmctl", id))
	}
	_, err = fmt.Fprintf(output, "%d steps; the same plan, bit for bit, from the input with digest %s\n", len(outcome.Now.Steps), record.Digest())
	return err
}

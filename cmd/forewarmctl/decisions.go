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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/capacity/replay"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
)

func decisionsCommand() *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "decisions [POOL]",
		Short: "Print the last decisions of WarmPools, oldest first",
		Long: `Print the Decisions that the reserver has kept: plans that changed something, or that wanted
something else than the one before. What each was made of can be planned again with replay.`,
		Example: `  forewarmctl decisions a100
  forewarmctl decisions a100 -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: connection.CompleteNames("WarmPool", 1),
		RunE: func(c *cobra.Command, names []string) error {
			reader, err := connection.Of(c)
			if err != nil {
				return err
			}
			list, err := readDecisions(c.Context(), reader, names)
			if err != nil {
				return err
			}
			return printDecisions(c.OutOrStdout(), list, &format)
		},
	}
	output.Add(c, &format)
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

func printDecisions(out io.Writer, list *v1alpha1.DecisionList, format *output.Format) error {
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DecisionList"))
	return format.Print(out, list, func(p *output.Page) {
		table := output.NewRows("Decision", "At", "Mode", "Create", "Ungate", "Delete", "Applied", "Wanted, and why", "+Limited by", "+Error", "+Digest")
		for _, d := range list.Items {
			s, tone := d.Spec, output.Plain
			if s.Error != "" {
				tone = output.Bad
			}
			table.Add(tone, d.Name, s.At.UTC().Format(time.RFC3339), s.Mode, s.Create, s.Ungate, s.Delete, s.Applied, s.Reason, limitsOf(s), s.Error, s.Digest)
		}
		p.Table(table, "No decisions are kept. Is the reserver running, and reserver.decisions.keep above 0?")
	})
}

// limitsOf names what limited each chunk.
func limitsOf(s v1alpha1.DecisionSpec) string {
	var parts []string
	for _, chunk := range s.Chunks {
		if len(chunk.LimitedBy) > 0 {
			parts = append(parts, chunk.Name+" "+strings.Join(chunk.LimitedBy, "+"))
		}
	}
	return strings.Join(parts, ", ")
}

func replayCommand() *cobra.Command {
	var file string
	var format output.Format
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
		ValidArgsFunction: connection.CompleteNames("Decision", 1),
		RunE: func(c *cobra.Command, names []string) error {
			record, err := findRecord(c, names[0], file)
			if err != nil {
				return err
			}
			return replayed(c.OutOrStdout(), names[0], record, &format)
		},
	}
	c.Flags().StringVar(&file, "lines", "", "file of JSON lines that the reserver has written (reserver.decisions.lines), instead of a cluster")
	output.Add(c, &format)
	return c
}

func findRecord(c *cobra.Command, name, file string) (replay.Record, error) {
	if file != "" {
		return recordIn(file, name)
	}
	reader, err := connection.Of(c)
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

// replayOutcome is what came of making a plan again. Then is the plan as it was kept, Now as it is made today.
type replayOutcome struct {
	Decision  string          `json:"decision"`
	Digest    string          `json:"digest"`
	Identical bool            `json:"identical"`
	Then      capacity.Result `json:"then"`
	Now       capacity.Result `json:"now"`
}

// replayed prints what was planned, and fails where it is planned differently now.
func replayed(out io.Writer, id string, record replay.Record, format *output.Format) error {
	outcome, err := record.Replay()
	if err != nil {
		return err
	}
	now, err := json.Marshal(outcome.Now)
	if err != nil {
		return err
	}
	whole := replayOutcome{id, record.Digest(), outcome.Identical, outcome.Then, outcome.Now}
	err = format.Print(out, whole, func(p *output.Page) {
		for _, chunk := range outcome.Then.Chunks {
			p.Line(output.Plain, "%s: wanted %d (%s), level %.2f at quantile %.3f, limited by %d",
				chunk.Name, chunk.Wanted, chunk.Reason, chunk.Level, chunk.Tau, chunk.Limited)
		}
		if p.Wide {
			p.Table(stepRows(outcome.Then.Steps), "")
		}
		if !outcome.Identical {
			p.Line(output.Bad, "then: %s", record.Result)
			p.Line(output.Bad, "now:  %s", now)
			return
		}
		p.Line(output.Plain, "%d steps; the same plan, bit for bit, from the input with digest %s", len(outcome.Now.Steps), record.Digest())
	})
	if err == nil && !outcome.Identical {
		err = fmt.Errorf("decision %s is planned differently by this version of forewarmctl", id)
	}
	return err
}

// stepRows has a row per step.
func stepRows(steps []capacity.Step) *output.Rows {
	table := output.NewRows("Step", "Chunk", "Placeholder", "Zone", "Why")
	for _, s := range steps {
		table.Add(output.Plain, s.Action, s.Chunk, s.Pod, s.Zone, s.Reason)
	}
	return table
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/cmd/forewarmctl/connection"
	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/cmd/forewarmctl/progress"
)

func planCommand() *cobra.Command {
	var format output.Format
	c := &cobra.Command{
		Use:   "plan [POOL...]",
		Short: "Print what WarmPools are planned to do, and what waits for an approval",
		Long: `Print the plan of each WarmPool that holds now: per chunk how many placeholder pods are wanted, how
many stand, and why; which steps that asks for, how many nodes and what cost per hour while they
idle; and the CapacityPlans that wait for somebody's approval. In mode Observe it is what the
reserver would do.

The plan is made again from what the reserver has kept in the last Decision of the pool, by the same
code; -o wide lists its steps. What stands is of the pool's status.`,
		Example: `  forewarmctl plan
  forewarmctl plan a100 -o wide
  forewarmctl plan a100 -o json`,
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
			plans := []poolPlan{}
			for i := range pools {
				progress.At(c.Context(), "reading the plan of %s", pools[i].Name)
				plan, err := planOf(c.Context(), from, &pools[i], time.Now())
				if err != nil {
					return err
				}
				plans = append(plans, plan)
			}
			return format.Print(c.OutOrStdout(), plans, func(p *output.Page) { planPage(p, plans) })
		},
	}
	output.Add(c, &format)
	return c
}

// poolPlan is the plan of a pool that holds now.
type poolPlan struct {
	Pool string        `json:"pool"`
	Mode v1alpha1.Mode `json:"mode"`
	// Decision is the one that keeps what the plan is made of; absent where none is kept.
	Decision string            `json:"decision,omitempty"`
	At       *metav1.MicroTime `json:"at,omitempty"`
	// Applied says that the steps have been taken then, Error what failed.
	Applied bool   `json:"applied"`
	Error   string `json:"error,omitempty"`
	// Nodes are those that are not there yet and that the placeholders ask for, at most, CostPerHour what
	// all wanted placeholders cost while they idle. Those that wait for an approval are beside them.
	Nodes                 int64   `json:"nodes"`
	CostPerHour           float64 `json:"costPerHour"`
	UnapprovedNodes       int64   `json:"unapprovedNodes"`
	UnapprovedCostPerHour float64 `json:"unapprovedCostPerHour"`

	Chunks []chunkPlan `json:"chunks"`
	Steps  []planStep  `json:"steps"`
	// Waiting are the CapacityPlans that nobody has approved or rejected.
	Waiting []waitingPlan `json:"waiting,omitempty"`
}

// chunkPlan is what stands of a chunk, and what is wanted. Counts are placeholders.
type chunkPlan struct {
	Name       string            `json:"name"`
	Wanted     int32             `json:"wanted"`
	Why        string            `json:"why,omitempty"`
	Reserved   int32             `json:"reserved"`
	Pending    int32             `json:"pending"`
	Gated      int32             `json:"gated"`
	Free       int32             `json:"free"`
	Limited    int64             `json:"limited"`
	LimitedBy  []capacity.Reason `json:"limitedBy,omitempty"`
	Unapproved int64             `json:"unapproved"`
	Diverted   int64             `json:"diverted"`
}

// planStep is one thing to do.
type planStep struct {
	Action      capacity.Action `json:"action"`
	Chunk       string          `json:"chunk,omitempty"`
	Placeholder string          `json:"placeholder,omitempty"`
	Zone        string          `json:"zone,omitempty"`
	Why         capacity.Reason `json:"why"`
}

// waitingPlan is a CapacityPlan.
type waitingPlan struct {
	Name string `json:"name"`
	v1alpha1.CapacityPlanSpec
}

// planOf is the plan of a pool.
func planOf(ctx context.Context, from client.Client, pool *v1alpha1.WarmPool, now time.Time) (poolPlan, error) {
	plan := poolPlan{Pool: pool.Name, Mode: pool.Spec.Mode, Steps: []planStep{}}
	for _, chunk := range rows(*pool) {
		plan.Chunks = append(plan.Chunks, chunkPlan{
			Name: chunk.Name, Wanted: chunk.Wanted, Why: chunk.Forecast.Sizing, Reserved: chunk.Reserved, Pending: chunk.Pending, Gated: chunk.Gated, Free: chunk.Free,
			Limited: int64(chunk.Limited),
		})
	}
	standing, err := approval.New(from, from).Read(ctx, pool, now)
	if err != nil {
		return plan, err
	}
	for _, waits := range standing.Plans {
		if waits.Spec.Approval == nil && waits.Spec.Rejection == nil {
			plan.Waiting = append(plan.Waiting, waitingPlan{waits.Name, waits.Spec})
		}
	}
	last, err := lastDecision(ctx, from, pool.Name)
	if err != nil || last == nil || len(last.Spec.Input) == 0 {
		return plan, err
	}
	record, err := decisions.RecordOf(*last)
	if err != nil {
		return plan, err
	}
	outcome, err := record.Replay()
	if err != nil {
		return plan, fmt.Errorf("decision %s: %w", last.Name, err)
	}
	plan.Decision, plan.At, plan.Applied, plan.Error = last.Name, &last.Spec.At, last.Spec.Applied, last.Spec.Error
	plan.take(outcome.Now)
	return plan, nil
}

// lastDecision is the newest of a pool; nil if none is kept.
func lastDecision(ctx context.Context, from client.Reader, pool string) (*v1alpha1.Decision, error) {
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DecisionList"))
	if err := from.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelPool: pool}); err != nil {
		return nil, fmt.Errorf("list Decisions: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	newest := slices.MaxFunc(list.Items, func(a, b metav1.PartialObjectMetadata) int { return strings.Compare(a.Name, b.Name) }) // they begin with pool and time
	last := &v1alpha1.Decision{}
	if err := from.Get(ctx, client.ObjectKey{Name: newest.Name}, last); err != nil {
		return nil, fmt.Errorf("read decision %s: %w", newest.Name, err)
	}
	return last, nil
}

// take adds what a plan says.
func (p *poolPlan) take(result capacity.Result) {
	p.Nodes, p.CostPerHour = result.Nodes, result.CostPerHour
	p.UnapprovedNodes, p.UnapprovedCostPerHour = result.UnapprovedNodes, result.UnapprovedCostPerHour
	for _, chunk := range result.Chunks {
		for i := range p.Chunks {
			if row := &p.Chunks[i]; row.Name == chunk.Name {
				row.LimitedBy, row.Unapproved, row.Diverted = chunk.LimitedBy, chunk.Unapproved, chunk.Diverted
			}
		}
	}
	for _, step := range result.Steps {
		p.Steps = append(p.Steps, planStep{step.Action, step.Chunk, step.Pod, step.Zone, step.Reason})
	}
}

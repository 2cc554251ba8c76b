package console

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/console/live"
)

// mostDecisions is how many decisions a page has.
const mostDecisions = 100

// decisionsPage is the log of decisions.
type decisionsPage struct {
	// Pool is the one whose decisions are shown, empty for all; Pools are those that there are.
	Pool  string
	Pools []string
	// Decisions are the newest first, More how many older ones there are.
	Decisions []v1alpha1.Decision
	More      int
}

// decisions are those of a pool, or of all where it is empty, the newest first.
func (c *Console) decisions(ctx context.Context, pool string) ([]v1alpha1.Decision, error) {
	var list v1alpha1.DecisionList
	if err := c.options.Objects.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list Decisions: %w", err)
	}
	all := slices.DeleteFunc(list.Items, func(d v1alpha1.Decision) bool { return pool != "" && d.Spec.Pool != pool })
	slices.SortStableFunc(all, func(a, b v1alpha1.Decision) int { return b.Spec.At.Compare(a.Spec.At.Time) })
	return all, nil
}

func (c *Console) allDecisions(v *visit) (page, error) {
	if err := v.needs(ours("list", "decisions", "")); err != nil {
		return page{}, err
	}
	all, err := c.decisions(v.request.Context(), "")
	if err != nil {
		return page{}, err
	}
	shown := decisionsPage{Pool: v.request.URL.Query().Get("pool")}
	for _, d := range all {
		if !slices.Contains(shown.Pools, d.Spec.Pool) {
			shown.Pools = append(shown.Pools, d.Spec.Pool)
		}
		if shown.Pool == "" || shown.Pool == d.Spec.Pool {
			shown.Decisions = append(shown.Decisions, d)
		}
	}
	slices.Sort(shown.Pools)
	kept := min(len(shown.Decisions), mostDecisions)
	shown.Decisions, shown.More = shown.Decisions[:kept], len(shown.Decisions)-kept
	return page{Title: "Decisions", template: "decisions", Topics: []string{live.Decisions}, Content: shown}, nil
}

func (c *Console) oneDecision(v *visit) (page, error) {
	name := v.request.PathValue("decision")
	if err := v.needs(ours("get", "decisions", name)); err != nil {
		return page{}, err
	}
	decision := &v1alpha1.Decision{}
	if err := c.options.Objects.Get(v.request.Context(), client.ObjectKey{Name: name}, decision); err != nil {
		return page{}, err
	}
	return page{Title: "Decision " + name, template: "decision", Content: decision}, nil
}

package console

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/scorecard"
	"forewarm.dev/internal/console/gate"
	"forewarm.dev/internal/console/live"
)

// poolView is a pool as it is shown.
type poolView struct {
	Name  string
	Mode  v1alpha1.Mode
	Nodes int32
	// Ready is the condition of that name, nil before the reserver has seen the pool.
	Ready  *metav1.Condition
	Chunks []chunkView
	// Problems are conditions that need a person.
	Problems []metav1.Condition
	LeadTime *v1alpha1.LeadTimeStatus
	LastPlan *v1alpha1.PlanStatus
	// Scorecard is what would have happened, in words; empty where the pool acts.
	Scorecard string
}

// poolsPage are all pools.
type poolsPage struct{ Pools []poolView }

// chunkView is a chunk as it is shown.
type chunkView struct {
	v1alpha1.ChunkStatus
	Max int32
	// Fan and Placeholders are charts, empty where there is nothing to draw; Told says why.
	Fan, Placeholders template.HTML
	FanRows           []fanRow
	Told              string
	Steps             []stepRow
}

// problems are the conditions that are told where they are true.
var problems = []string{
	v1alpha1.ConditionStockOut, v1alpha1.ConditionInfeasible, v1alpha1.ConditionConflict, v1alpha1.ConditionLimited,
	v1alpha1.ConditionPricesUnreadable, v1alpha1.ConditionFutureUnreadable, v1alpha1.ConditionAboveCeiling,
}

func viewOf(pool *v1alpha1.WarmPool) poolView {
	view := poolView{
		Name: pool.Name, Mode: cmp.Or(pool.Spec.Mode, v1alpha1.ModeObserve), Nodes: pool.Status.Nodes,
		Ready:    meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady),
		LeadTime: pool.Status.LeadTime, LastPlan: pool.Status.LastPlan, Scorecard: scorecard.Text(pool),
	}
	for _, name := range problems {
		if c := meta.FindStatusCondition(pool.Status.Conditions, name); c != nil && c.Status == metav1.ConditionTrue {
			view.Problems = append(view.Problems, *c)
		}
	}
	for _, chunk := range pool.Spec.Chunks {
		shown := chunkView{ChunkStatus: v1alpha1.ChunkStatus{Name: chunk.Name}, Max: chunk.Max}
		for _, status := range pool.Status.Chunks {
			if status.Name == chunk.Name {
				shown.ChunkStatus = status
			}
		}
		view.Chunks = append(view.Chunks, shown)
	}
	return view
}

// pools are all WarmPools, by name.
func (c *Console) pools(ctx context.Context) ([]v1alpha1.WarmPool, error) {
	var list v1alpha1.WarmPoolList
	if err := c.options.Objects.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list WarmPools: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.WarmPool) int { return cmp.Compare(a.Name, b.Name) })
	return list.Items, nil
}

func (c *Console) allPools(v *visit) (page, error) {
	if err := v.needs(ours("list", "warmpools", "")); err != nil {
		return page{}, err
	}
	pools, err := c.pools(v.request.Context())
	if err != nil {
		return page{}, err
	}
	var shown poolsPage
	for i := range pools {
		shown.Pools = append(shown.Pools, viewOf(&pools[i]))
	}
	return page{Title: "Pools", template: "pools", Topics: []string{live.Pools}, Content: shown}, nil
}

// poolPage is everything about one pool.
type poolPage struct {
	poolView
	// Decisions are the last ones, the newest first.
	Decisions []v1alpha1.Decision
	Events    happenings
	// Unseen says what the visitor may not see of it.
	Unseen []string
}

// shownDecisions is how many decisions a pool's page has.
const shownDecisions = 10

func (c *Console) onePool(v *visit) (page, error) {
	name := v.request.PathValue("pool")
	if err := v.needs(ours("get", "warmpools", name)); err != nil {
		return page{}, err
	}
	pool := &v1alpha1.WarmPool{}
	if err := c.options.Objects.Get(v.request.Context(), client.ObjectKey{Name: name}, pool); err != nil {
		return page{}, err
	}
	shown := poolPage{poolView: viewOf(pool)}
	decisions, err := c.decisionsOf(v, pool.Name, &shown)
	if err != nil {
		return page{}, err
	}
	shown.Decisions = decisions[:min(len(decisions), shownDecisions)]
	if err := c.draw(v, pool, decisions, &shown); err != nil {
		return page{}, err
	}
	if shown.Events, err = c.happeningsOf(v, pool); err != nil {
		return page{}, err
	}
	return page{Title: "Pool " + name, template: "pool", Topics: []string{live.Pools, live.Decisions, live.Clock}, Content: shown}, nil
}

// decisionsOf are a pool's, the newest first; none where the visitor may not list them.
func (c *Console) decisionsOf(v *visit, pool string, shown *poolPage) ([]v1alpha1.Decision, error) {
	allowed, err := c.sees(v, shown, ours("list", "decisions", ""), "Placeholders wanted over time, and decisions")
	if err != nil || !allowed {
		return nil, err
	}
	return c.decisions(v.request.Context(), pool)
}

// sees says whether the visitor has a right, and notes what he misses without it.
func (c *Console) sees(v *visit, shown *poolPage, ask gate.Ask, what string) (bool, error) {
	allowed, err := v.may(ask)
	if err == nil && !allowed {
		shown.Unseen = append(shown.Unseen, fmt.Sprintf("%s: it needs the right to %s.", what, rightOf(ask)))
	}
	return allowed, err
}

// draw makes the charts of a pool's chunks.
func (c *Console) draw(v *visit, pool *v1alpha1.WarmPool, decisions []v1alpha1.Decision, shown *poolPage) error {
	history, err := c.sees(v, shown, ours("list", "demandhistories", ""), "Demand over time, and the forecast")
	if err != nil {
		return err
	}
	for i := range shown.Chunks {
		chunk := &shown.Chunks[i]
		if history {
			if err := c.drawFan(v.request.Context(), pool, chunk); err != nil {
				chunk.Told = "The forecast could not be made: " + err.Error()
			}
		}
		if err := c.drawSteps(pool, decisions, chunk); err != nil {
			return err
		}
	}
	return nil
}

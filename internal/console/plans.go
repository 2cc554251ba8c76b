package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/internal/console/live"
)

// plansPage are the plans that wait, and those that have been decided about.
type plansPage struct {
	Waiting, Decided []planView
	// News is what is said where their number changes.
	News string
}

// planView is a plan as it is shown.
type planView struct {
	v1alpha1.CapacityPlan
	// Left is how long it can still be approved.
	Left time.Duration
	// Approve and Reject say what the visitor may do, Why why not.
	Approve, Reject bool
	Why             string
}

func (c *Console) allPlans(v *visit) (page, error) {
	if err := v.needs(ours("list", "capacityplans", "")); err != nil {
		return page{}, err
	}
	var list v1alpha1.CapacityPlanList
	if err := c.options.Objects.List(v.request.Context(), &list); err != nil {
		return page{}, fmt.Errorf("list CapacityPlans: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.CapacityPlan) int {
		return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	var shown plansPage
	now := c.options.Clock.Now()
	for _, plan := range list.Items {
		view := planView{CapacityPlan: plan, Left: plan.Spec.Expires.Sub(now).Round(time.Second)}
		if !approval.Open(&plan, now) {
			shown.Decided = append(shown.Decided, view)
			continue
		}
		if err := v.mayDecide(&view); err != nil {
			return page{}, err
		}
		shown.Waiting = append(shown.Waiting, view)
	}
	switch n := len(shown.Waiting); n {
	case 0:
		shown.News = "No plan waits for an approval."
	case 1:
		shown.News = "One plan waits for an approval."
	default:
		shown.News = fmt.Sprintf("%d plans wait for an approval.", n)
	}
	return page{Title: "Plans", template: "plans", Topics: []string{live.Plans, live.Clock}, Content: shown}, nil
}

// mayDecide says what the visitor may do about a plan that waits. The API server's own policy decides when
// he does; here it is said beforehand.
func (v *visit) mayDecide(view *planView) error {
	if view.Spec.Requester == v.session.User.GetName() {
		view.Why = "You have requested it: somebody else must decide."
		return nil
	}
	for _, verb := range []string{"approve", "update"} {
		ask := ours(verb, "capacityplans", view.Name)
		allowed, err := v.may(ask)
		if err != nil {
			return err
		}
		if !allowed {
			view.Why = fmt.Sprintf("You may look, and not decide: it needs the right to %s.", rightOf(ask))
			return nil
		}
	}
	view.Approve, view.Reject = true, true
	return nil
}

func (c *Console) approve(v *visit) (page, error) { return c.decide(v, "approve", approval.Approve) }

func (c *Console) reject(v *visit) (page, error) { return c.decide(v, "reject", approval.Reject) }

// decide writes a decision about a plan, with the token of the visitor, so that admission sees him.
func (c *Console) decide(v *visit, action string, write approval.Decide) (page, error) {
	name, result := v.request.PathValue("plan"), "Failed"
	defer func() { c.written.WithLabelValues(action, result).Inc() }()
	own, err := v.own()
	if err != nil {
		return page{}, err
	}
	plan, err := write(v.request.Context(), own.Client, name, c.options.Clock.Now())
	switch {
	case errors.Is(err, approval.ErrClosed):
		return page{}, &problem{http.StatusConflict, "This plan is not open any more", err.Error()}
	case apierrors.IsConflict(err):
		return page{}, &problem{http.StatusConflict, "Somebody was faster", "The plan has changed meanwhile: look at it again."}
	case err != nil:
		return page{}, err
	}
	result = "Done"
	c.options.Log.Info("A plan was decided about", "plan", name, "action", action, "user", v.session.User.GetName())
	if action == "approve" {
		return v.then("/plans", fmt.Sprintf("You have approved %s: up to %d nodes, %s per hour, until %s.", name, plan.Spec.Nodes, plan.Spec.CostPerHour, clockTime(plan.Spec.Expires.Time))), nil
	}
	return v.then("/plans", fmt.Sprintf("You have rejected %s: as much is not proposed again before %s.", name, clockTime(plan.Spec.Expires.Time))), nil
}

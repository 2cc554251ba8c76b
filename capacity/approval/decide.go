package approval

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// ErrClosed says that nothing can be decided about a plan any more.
var ErrClosed = errors.New("look at the plan that the reserver proposes now")

// Decide decides about the plan of that name, in the name of the one whose client it is, and returns it.
type Decide func(ctx context.Context, c client.Client, name string, now time.Time) (*v1alpha1.CapacityPlan, error)

// Open says whether a plan waits for somebody's decision.
func Open(plan *v1alpha1.CapacityPlan, now time.Time) bool { return closed(plan, now) == "" }

// closed says why nothing can be decided about a plan any more; empty where it can.
func closed(plan *v1alpha1.CapacityPlan, now time.Time) string {
	switch s := plan.Spec; {
	case s.Approval != nil:
		return "has been approved by " + s.Approval.By
	case s.Rejection != nil:
		return "has been rejected by " + s.Rejection.By
	case !s.Expires.After(now):
		return "expired at " + s.Expires.UTC().Format(time.RFC3339)
	default:
		return ""
	}
}

// Approve lets the placeholders of a plan be ungated.
func Approve(ctx context.Context, c client.Client, name string, now time.Time) (*v1alpha1.CapacityPlan, error) {
	return decide(ctx, c, name, now, func(plan *v1alpha1.CapacityPlan, by string) { plan.Spec.Approval = &v1alpha1.Approval{By: by} })
}

// Reject keeps the reserver from proposing as much again before the plan expires.
func Reject(ctx context.Context, c client.Client, name string, now time.Time) (*v1alpha1.CapacityPlan, error) {
	return decide(ctx, c, name, now, func(plan *v1alpha1.CapacityPlan, by string) { plan.Spec.Rejection = &v1alpha1.Rejection{By: by} })
}

func decide(ctx context.Context, c client.Client, name string, now time.Time, write func(*v1alpha1.CapacityPlan, string)) (*v1alpha1.CapacityPlan, error) {
	plan := &v1alpha1.CapacityPlan{}
	if err := c.Get(ctx, client.ObjectKey{Name: name}, plan); err != nil {
		return nil, fmt.Errorf("read CapacityPlan %s: %w", name, err)
	}
	if why := closed(plan, now); why != "" {
		return nil, fmt.Errorf("CapacityPlan %s %s: %w", name, why, ErrClosed)
	}
	self := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, self); err != nil {
		return nil, fmt.Errorf("ask the API server who you are: %w", err)
	}
	if self.Status.UserInfo.Username == "" {
		return nil, errors.New("the API server does not say who you are: decide with credentials of a user")
	}
	write(plan, self.Status.UserInfo.Username)
	if err := c.Update(ctx, plan); err != nil {
		return nil, fmt.Errorf("decide about CapacityPlan %s: %w", name, err)
	}
	return plan, nil
}

// Package approval proposes growth of a WarmPool in CapacityPlan objects, and reads what has been
// approved.
package approval

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

const (
	// defaultValidity is how long a plan stands that nobody has set otherwise.
	defaultValidity = time.Hour
	// keep is how many plans that were approved or rejected are kept per pool after they have expired.
	keep = 10
)

// Needed tells whether growth of a pool may need an approval.
func Needed(pool *v1alpha1.WarmPool) bool {
	a := pool.Spec.Approval
	return pool.Spec.Mode == v1alpha1.ModeApprove ||
		pool.Spec.Mode == v1alpha1.ModeEnforce && a != nil && (a.AboveCostPerHour != "" || a.AboveNodes != nil)
}

// Plans keeps CapacityPlans. It is not for concurrent use.
type Plans struct {
	live   client.Reader
	writer client.Client
	// self is our user name, as the API server knows us.
	self string
}

// New makes Plans that reads from the API server itself, so that nothing is proposed twice.
func New(live client.Reader, writer client.Client) *Plans { return &Plans{live: live, writer: writer} }

// Standing are the plans of one pool that have not expired, and those to clear away.
type Standing struct {
	Plans []v1alpha1.CapacityPlan
	old   []v1alpha1.CapacityPlan
}

// Read lists the plans of a pool.
func (p *Plans) Read(ctx context.Context, pool *v1alpha1.WarmPool, now time.Time) (Standing, error) {
	var list v1alpha1.CapacityPlanList
	if err := p.live.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelPool: pool.Name}); err != nil {
		return Standing{}, fmt.Errorf("list CapacityPlans: %w", err)
	}
	var s Standing
	var done []v1alpha1.CapacityPlan
	for _, plan := range list.Items {
		switch {
		case plan.Spec.Pool != pool.Name || !metav1.IsControlledBy(&plan, pool):
			// of a pool that had the same name, or not ours
		case plan.Spec.Expires.After(now):
			s.Plans = append(s.Plans, plan)
		case plan.Spec.Approval == nil && plan.Spec.Rejection == nil:
			s.old = append(s.old, plan)
		default:
			done = append(done, plan)
		}
	}
	slices.SortFunc(done, func(a, b v1alpha1.CapacityPlan) int { return b.Spec.Expires.Compare(a.Spec.Expires.Time) })
	s.old = append(s.old, done[min(keep, len(done)):]...)
	return s, nil
}

// Limit is what must be approved of a pool, and what has been.
func (s Standing) Limit(pool *v1alpha1.WarmPool) (*capacity.Approval, error) {
	limit := &capacity.Approval{}
	for _, chunk := range pool.Spec.Chunks {
		level := int64(0)
		for _, plan := range s.Plans {
			if plan.Spec.Approval != nil && plan.Spec.Rejection == nil && plan.Spec.Approval.By != plan.Spec.Requester {
				level = max(level, ungated(plan, chunk.Name))
			}
		}
		limit.Levels = append(limit.Levels, level)
	}
	if a := pool.Spec.Approval; pool.Spec.Mode == v1alpha1.ModeEnforce && a != nil {
		if a.AboveNodes != nil {
			limit.AboveNodes = new(int64(*a.AboveNodes))
		}
		if a.AboveCostPerHour != "" {
			cost, err := strconv.ParseFloat(a.AboveCostPerHour, 64)
			if err != nil {
				return nil, fmt.Errorf("spec.approval.aboveCostPerHour: %w", err)
			}
			limit.AboveCostPerHour = &cost
		}
	}
	return limit, nil
}

func ungated(plan v1alpha1.CapacityPlan, chunk string) int64 {
	for _, c := range plan.Spec.Chunks {
		if c.Name == chunk {
			return int64(c.Ungated)
		}
	}
	return 0
}

// Propose makes a plan for what waits for an approval, unless one that is open asks for as much. It
// withdraws those that ask for less, and clears away what is old. What has been rejected is not proposed
// again until the plan that asked for it has expired. The answer is the plan to approve, nil if nothing
// waits.
func (p *Plans) Propose(ctx context.Context, pool *v1alpha1.WarmPool, decided capacity.Result, s Standing, now time.Time) (*v1alpha1.CapacityPlan, error) {
	for i := range s.old {
		if err := p.remove(ctx, &s.old[i]); err != nil {
			return nil, err
		}
	}
	if !slices.ContainsFunc(decided.Chunks, func(c capacity.ChunkPlan) bool { return c.Unapproved > 0 }) {
		return nil, nil
	}
	if s.rejects(decided) {
		return nil, nil
	}
	var small []v1alpha1.CapacityPlan
	for i, plan := range s.Plans {
		switch {
		case plan.Spec.Approval != nil, plan.Spec.Rejection != nil:
		case covers(plan, decided):
			return &s.Plans[i], nil
		default:
			small = append(small, plan)
		}
	}
	made, err := p.create(ctx, pool, decided, now)
	if err != nil {
		return nil, err
	}
	for i := range small {
		if err := p.remove(ctx, &small[i]); err != nil {
			return made, err
		}
	}
	return made, nil
}

// rejects says whether somebody has said no to as much.
func (s Standing) rejects(decided capacity.Result) bool {
	return slices.ContainsFunc(s.Plans, func(plan v1alpha1.CapacityPlan) bool { return plan.Spec.Rejection != nil && covers(plan, decided) })
}

func covers(plan v1alpha1.CapacityPlan, decided capacity.Result) bool {
	for _, chunk := range decided.Chunks {
		if chunk.Unapproved > 0 && ungated(plan, chunk.Name) < chunk.Wanted+chunk.Unapproved {
			return false
		}
	}
	return true
}

func (p *Plans) create(ctx context.Context, pool *v1alpha1.WarmPool, decided capacity.Result, now time.Time) (*v1alpha1.CapacityPlan, error) {
	if p.self == "" {
		review := &authenticationv1.SelfSubjectReview{}
		if err := p.writer.Create(ctx, review); err != nil {
			return nil, fmt.Errorf("ask the API server who we are: %w", err)
		}
		p.self = review.Status.UserInfo.Username
	}
	validity := defaultValidity
	if a := pool.Spec.Approval; a != nil && a.ValidFor != nil {
		validity = a.ValidFor.Duration
	}
	plan := &v1alpha1.CapacityPlan{
		ObjectMeta: metav1.ObjectMeta{
			Name:            pool.Name + "-" + now.UTC().Format("20060102-150405"),
			Labels:          map[string]string{v1alpha1.LabelPool: pool.Name},
			OwnerReferences: []metav1.OwnerReference{pool.Controller()},
		},
		Spec: specOf(pool, decided),
	}
	plan.Spec.Requester = p.self
	plan.Spec.Expires = metav1.NewTime(now.Add(validity).Truncate(time.Second))
	if err := p.writer.Create(ctx, plan); err != nil {
		return nil, fmt.Errorf("propose CapacityPlan %s: %w", plan.Name, err)
	}
	return plan, nil
}

// specOf is what is asked for, and what it costs.
func specOf(pool *v1alpha1.WarmPool, decided capacity.Result) v1alpha1.CapacityPlanSpec {
	spec := v1alpha1.CapacityPlanSpec{Pool: pool.Name, Nodes: int32(decided.UnapprovedNodes)}
	reason := ""
	for _, chunk := range decided.Chunks {
		if chunk.Unapproved == 0 {
			continue
		}
		spec.Chunks = append(spec.Chunks, v1alpha1.PlannedChunk{Name: chunk.Name, Ungated: int32(chunk.Wanted + chunk.Unapproved), More: int32(chunk.Unapproved)})
		if reason != "" {
			reason += "; "
		}
		reason += fmt.Sprintf("%s: %d more, demand within the lead time at most %.1f (half), %.1f (nine of ten)", chunk.Name, chunk.Unapproved, chunk.P50, chunk.P90)
	}
	spec.CostPerHour = strconv.FormatFloat(decided.UnapprovedCostPerHour, 'f', -1, 64)
	spec.Reason = reason[:min(len(reason), 512)]
	return spec
}

func (p *Plans) remove(ctx context.Context, plan *v1alpha1.CapacityPlan) error {
	options := client.Preconditions{UID: &plan.UID, ResourceVersion: &plan.ResourceVersion} // not one approved meanwhile
	if err := p.writer.Delete(ctx, plan, options); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("withdraw CapacityPlan %s: %w", plan.Name, err)
	}
	return nil
}

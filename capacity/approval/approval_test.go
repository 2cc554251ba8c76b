package approval

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

var now = time.Date(2026, 11, 29, 10, 15, 0, 0, time.UTC)

func newPool() *v1alpha1.WarmPool {
	return &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", UID: "uid"}, Spec: v1alpha1.WarmPoolSpec{
		Mode: v1alpha1.ModeApprove, Chunks: []v1alpha1.Chunk{{Name: "node", IdleCostPerHour: "24"}, {Name: "single", IdleCostPerHour: "3"}},
	}}
}

// newClient is an API server that knows us as the reserver.
func newClient(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if review, ok := o.(*authenticationv1.SelfSubjectReview); ok {
				review.Status.UserInfo.Username = "reserver"
				return nil
			}
			return c.Create(ctx, o, options...)
		},
	}).Build()
}

// decided wants so many nodes and singles, of which so many wait for an approval.
func decided(nodes, singles int64) capacity.Result {
	return capacity.Result{UnapprovedNodes: nodes + singles, UnapprovedCostPerHour: float64(24*nodes + 3*singles), Chunks: []capacity.ChunkPlan{
		{Name: "node", Wanted: 1, Unapproved: nodes}, {Name: "single", Unapproved: singles, P50: 4, P90: 6.5},
	}}
}

func TestAPlanIsProposedAndApproved(t *testing.T) {
	c := newClient(t)
	plans, pool := New(c, c), newPool()
	cycle := func(at time.Time, result capacity.Result) (*v1alpha1.CapacityPlan, []int64) {
		t.Helper()
		standing, err := plans.Read(t.Context(), pool, at)
		if err != nil {
			t.Fatal(err)
		}
		limit, err := standing.Limit(pool)
		if err != nil {
			t.Fatal(err)
		}
		proposed, err := plans.Propose(t.Context(), pool, result, standing, at)
		if err != nil {
			t.Fatal(err)
		}
		return proposed, limit.Levels
	}
	first, levels := cycle(now, decided(0, 5))
	want := v1alpha1.CapacityPlanSpec{
		Pool: "a100", Nodes: 5, CostPerHour: "15", Requester: "reserver", Expires: metav1.NewTime(now.Add(time.Hour)),
		Chunks: []v1alpha1.PlannedChunk{{Name: "single", Ungated: 5, More: 5}},
		Reason: "single: 5 more, demand within the lead time at most 4.0 (half), 6.5 (nine of ten)",
	}
	if diff := cmp.Diff(want, first.Spec); diff != "" || first.Name != "a100-20261129-101500" {
		t.Errorf("%s (-want +got):\n%s", first.Name, diff)
	}
	if diff := cmp.Diff([]int64{0, 0}, levels); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	if again, _ := cycle(now.Add(time.Minute), decided(0, 3)); again.Name != first.Name {
		t.Errorf("proposed %s, want the open one, which asks for more", again.Name)
	}
	larger, _ := cycle(now.Add(2*time.Minute), decided(1, 3))
	if larger.Name == first.Name || count(t, c) != 1 {
		t.Errorf("proposed %s, %d plans stand; want a larger one in place of the first", larger.Name, count(t, c))
	}
	approve(t, c, larger, "alice")
	open, levels := cycle(now.Add(3*time.Minute), decided(0, 0))
	if diff := cmp.Diff([]int64{2, 3}, levels); diff != "" || open != nil {
		t.Errorf("still open: %v, levels (-want +got):\n%s", open, diff)
	}
	if _, levels = cycle(larger.Spec.Expires.Time, decided(0, 0)); levels[0] != 0 || count(t, c) != 1 {
		t.Errorf("expired: levels %v, %d plans; want zero, and the approved one kept", levels, count(t, c))
	}
	cycle(now.Add(5*time.Hour), decided(0, 1))
	cycle(now.Add(7*time.Hour), decided(0, 0))
	if n := count(t, c); n != 1 {
		t.Errorf("%d plans, want those that nobody approved cleared away", n)
	}
}

// TestNobodyApprovesHisOwn: an approval by the requester is none, whoever let it pass.
func TestNobodyApprovesHisOwn(t *testing.T) {
	c := newClient(t)
	plans, pool := New(c, c), newPool()
	made, err := plans.Propose(t.Context(), pool, decided(0, 5), Standing{}, now)
	if err != nil {
		t.Fatal(err)
	}
	approve(t, c, made, "reserver")
	standing, err := plans.Read(t.Context(), pool, now)
	if err != nil {
		t.Fatal(err)
	}
	if limit, err := standing.Limit(pool); err != nil || limit.Levels[1] != 0 {
		t.Errorf("levels %v, %v; want none", limit, err)
	}
	other := newPool()
	other.UID = "another"
	if standing, err := plans.Read(t.Context(), other, now); err != nil || len(standing.Plans) != 0 {
		t.Errorf("%v, %v; a pool of the same name has its plans", standing.Plans, err)
	}
}

// TestWhatIsRejectedIsNotProposedAgain until the plan has expired: who has said no is not asked again each
// minute. A larger growth is another question.
func TestWhatIsRejectedIsNotProposedAgain(t *testing.T) {
	c := newClient(t)
	plans, pool := New(c, c), newPool()
	propose := func(at time.Time, result capacity.Result) *v1alpha1.CapacityPlan {
		t.Helper()
		standing, err := plans.Read(t.Context(), pool, at)
		if err != nil {
			t.Fatal(err)
		}
		limit, err := standing.Limit(pool)
		if err != nil || limit.Levels[0] != 0 || limit.Levels[1] != 0 {
			t.Fatalf("levels %v, %v; want none", limit, err)
		}
		proposed, err := plans.Propose(t.Context(), pool, result, standing, at)
		if err != nil {
			t.Fatal(err)
		}
		return proposed
	}
	first := propose(now, decided(0, 5))
	rejected, err := Reject(t.Context(), c, first.Name, now.Add(time.Minute))
	if err != nil || rejected.Spec.Rejection == nil || rejected.Spec.Rejection.By != "reserver" || Open(rejected, now.Add(time.Minute)) {
		t.Fatalf("rejected: %+v, %v", rejected, err)
	}
	if again := propose(now.Add(2*time.Minute), decided(0, 4)); again != nil {
		t.Errorf("proposed %s, which asks for less than what was rejected", again.Name)
	}
	larger := propose(now.Add(3*time.Minute), decided(0, 6))
	if larger == nil || larger.Name == first.Name || count(t, c) != 2 {
		t.Fatalf("proposed %v, %d plans stand; want a larger one beside the rejected", larger, count(t, c))
	}
	if later := propose(now.Add(90*time.Minute), decided(0, 4)); later == nil || later.Name == first.Name || count(t, c) != 2 {
		t.Errorf("proposed %v, %d plans; want one behind the end of the rejected, which is kept", later, count(t, c))
	}
	for name, decide := range map[string]Decide{"Approve": Approve, "Reject": Reject} {
		if _, err := decide(t.Context(), c, first.Name, now.Add(time.Minute)); !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "has been rejected by reserver") {
			t.Errorf("%s of one that was rejected: %v", name, err)
		}
	}
}

func TestNeeded(t *testing.T) {
	above := &v1alpha1.ApprovalSpec{AboveCostPerHour: "10.5", AboveNodes: new(int32(3))}
	for name, c := range map[string]struct {
		mode     v1alpha1.Mode
		approval *v1alpha1.ApprovalSpec
		want     bool
	}{
		"Observe":                  {v1alpha1.ModeObserve, above, false},
		"Approve":                  {v1alpha1.ModeApprove, nil, true},
		"Enforce":                  {v1alpha1.ModeEnforce, &v1alpha1.ApprovalSpec{}, false},
		"Enforce, above something": {v1alpha1.ModeEnforce, above, true},
	} {
		pool := newPool()
		pool.Spec.Mode, pool.Spec.Approval = c.mode, c.approval
		if got := Needed(pool); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		limit, err := Standing{}.Limit(pool)
		if err != nil || (limit.AboveNodes != nil) != (c.mode == v1alpha1.ModeEnforce && c.want) {
			t.Errorf("%s: %+v, %v", name, limit, err)
		}
	}
}

func approve(t *testing.T, c client.Client, plan *v1alpha1.CapacityPlan, by string) {
	t.Helper()
	plan.Spec.Approval = &v1alpha1.Approval{By: by}
	if err := c.Update(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, c client.Client) int {
	t.Helper()
	var list v1alpha1.CapacityPlanList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

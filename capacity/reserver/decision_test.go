package reserver

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/coming"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/capacity/guards"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/supply"
	"forewarm.dev/capacity/waiting/announcer"
)

// TestNothingIsDoneThatIsNotKept: a plan whose decision the API server does not take is not applied, and
// one whose reserver is killed while it applies it leaves its decision.
func TestNothingIsDoneThatIsNotKept(t *testing.T) {
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", UID: "a100"}}
	pool.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "a100"}
	pool.Spec.Demand.Resource = gpu
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single", Requests: corev1.ResourceList{gpu: resource.MustParse("1")}, WaitCostPerHour: "0", IdleCostPerHour: "3", Min: 2, Max: 4}}
	pool.Spec.Sizing.LeadTime, pool.Spec.Forecast.Interval.Duration = "5m", time.Minute
	pool.Spec.Mode = v1alpha1.ModeEnforce
	r := takeoverReserver(t, pool)
	full, atCreate := true, 0
	standing := func() (kept, made int) {
		var list v1alpha1.DecisionList
		var pods corev1.PodList
		if err := errors.Join(r.options.Live.List(t.Context(), &list), r.options.Live.List(t.Context(), &pods, client.InNamespace("hold"))); err != nil {
			t.Fatal(err)
		}
		return len(list.Items), len(pods.Items)
	}
	watched := interceptor.NewClient(r.options.Client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.CreateOption) error {
			if _, ok := o.(*v1alpha1.Decision); ok && full {
				return errors.New("the database is full")
			}
			if _, ok := o.(*corev1.Pod); ok {
				atCreate, _ = standing()
			}
			if quota, ok := o.(*corev1.ResourceQuota); ok {
				quota.Status.Hard = quota.Spec.Hard // as the controller manager does
			}
			return c.Create(ctx, o, options...)
		},
	})
	now := time.Unix(1_000_000, 0)
	r.cached, r.options.Client, r.options.Clock = watched, watched, clocktesting.NewFakeClock(now)
	r.guards = guards.New(r.live, watched, "hold", -10)
	r.finder, r.asker = coming.NewFinder(watched, r.live), supply.NewAsker(r.live, "hold")
	r.options.Forecaster, r.options.Chooser = &samples{}, chooser.New(true)
	r.options.Announcer, r.options.Plans = announcer.New(watched, r.options.Events), approval.New(r.live, watched)
	r.options.Decisions = decisions.New(decisions.Options{Live: r.live, Writer: watched, Keep: 10})
	r.options.MaxChangesPerPlan = 10
	r.options.Prices = price.New(price.Options{Registerer: prometheus.NewRegistry()})

	r.cycle(t.Context(), now)
	if kept, made := standing(); kept != 0 || made != 0 {
		t.Fatalf("%d decisions are kept and %d placeholders made, want none of either", kept, made)
	}
	full = false
	r.cycle(t.Context(), now.Add(2*time.Minute))
	if kept, made := standing(); kept != 1 || made < 2 || atCreate != 1 {
		t.Errorf("%d decisions are kept, %d when a placeholder was made, and %d placeholders made; want the decision first", kept, atCreate, made)
	}
}

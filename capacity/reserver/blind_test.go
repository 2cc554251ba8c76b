package reserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
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
	"forewarm.dev/forecast/forecaster"
)

// unread is a forecaster whose history cannot be read while it is broken.
type unread struct {
	samples
	broken error
}

func (u *unread) Forecast(context.Context, forecaster.Pool, string, []time.Duration, time.Time) (forecaster.Answer, error) {
	return forecaster.Answer{}, u.broken
}

// TestALeaderThatGoesBlindHoldsStill: while it leads, first what it sees and then its history goes missing. Nothing is
// made, opened or deleted, though the pool is changed to want more, and then none; status says why; and it
// goes on when all is back.
func TestALeaderThatGoesBlindHoldsStill(t *testing.T) {
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", UID: "a100"}}
	pool.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "a100"}
	pool.Spec.Demand.Resource = gpu
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single", Requests: corev1.ResourceList{gpu: resource.MustParse("1")}, WaitCostPerHour: "0", IdleCostPerHour: "3", Min: 2, Max: 4}}
	pool.Spec.Sizing.LeadTime, pool.Spec.Forecast.Interval.Duration = "5m", time.Minute
	pool.Spec.Mode = v1alpha1.ModeEnforce
	r := takeoverReserver(t)
	var blind error
	watched := fake.NewClientBuilder().WithScheme(r.options.Client.Scheme()).WithObjects(pool).WithStatusSubresource(pool).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, ok := list.(*corev1.PodList); ok && blind != nil && len(options) > 1 { // placeholders, from the API server
				return blind
			}
			return c.List(ctx, list, options...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			err := c.Get(ctx, key, o, options...)
			if quota, ok := o.(*corev1.ResourceQuota); ok {
				quota.Status.Hard = quota.Spec.Hard // as the controller manager does
			}
			return err
		},
	}).Build()
	now := time.Unix(1_000_000, 0)
	history := &unread{}
	r.cached, r.live, r.options.Client, r.options.Live, r.options.Clock = watched, watched, watched, watched, clocktesting.NewFakeClock(now)
	r.guards = guards.New(watched, watched, "hold", -10)
	r.finder, r.asker = coming.NewFinder(watched, watched), supply.NewAsker(watched, "hold")
	r.options.Forecaster, r.options.Chooser = history, chooser.New(true)
	r.options.Announcer, r.options.Plans = announcer.New(watched, r.options.Events), approval.New(watched, watched)
	r.options.Decisions = decisions.New(decisions.Options{Live: watched, Writer: watched, Keep: 10})
	r.options.MaxChangesPerPlan = 10
	r.options.Prices = price.New(price.Options{Registerer: prometheus.NewRegistry()})

	standing := func() (names []string) {
		var pods corev1.PodList
		saved := blind
		blind = nil
		defer func() { blind = saved }()
		if err := watched.List(t.Context(), &pods, client.InNamespace("hold")); err != nil {
			t.Fatal(err)
		}
		for _, pod := range pods.Items {
			names = append(names, pod.Name+strings.Repeat(" gated", len(pod.Spec.SchedulingGates)))
		}
		return names
	}
	says := func() string {
		current := &v1alpha1.WarmPool{}
		if err := watched.Get(t.Context(), client.ObjectKeyFromObject(pool), current); err != nil {
			t.Fatal(err)
		}
		c := meta.FindStatusCondition(current.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil {
			return ""
		}
		return c.Reason + ": " + c.Message
	}
	want := func(least, most int32) {
		current := &v1alpha1.WarmPool{}
		if err := watched.Get(t.Context(), client.ObjectKeyFromObject(pool), current); err != nil {
			t.Fatal(err)
		}
		current.Spec.Chunks[0].Min, current.Spec.Chunks[0].Max = least, most
		if err := watched.Update(t.Context(), current); err != nil {
			t.Fatal(err)
		}
	}
	later := func() { now = now.Add(2 * time.Minute); r.cycle(t.Context(), now) }
	later()
	before := standing()
	if len(before) < 2 {
		t.Fatalf("%v stand, want two at least", before)
	}
	for name, c := range map[string]struct{ watch, history error }{
		"what is there": {errors.New("no route to host"), nil},
		"its history":   {nil, errors.New("prometheus does not answer")},
	} {
		blind, history.broken = c.watch, c.history
		for _, bounds := range [][2]int32{{4, 4}, {0, 0}} {
			want(bounds[0], bounds[1])
			later()
			if now := standing(); !slices.Equal(now, before) {
				t.Errorf("without %s, and %v wanted, %v stand; want %v still", name, bounds, now, before)
			}
			if got := says(); !strings.HasPrefix(got, v1alpha1.ReasonHeldStill+": ") || !strings.Contains(got, errors.Join(c.watch, c.history).Error()) {
				t.Errorf("without %s status says %q, want that it holds still and why", name, got)
			}
		}
		blind, history.broken = nil, nil
		want(2, 4)
		later()
		if got := says(); strings.HasPrefix(got, v1alpha1.ReasonHeldStill) {
			t.Errorf("status says %q although %s is back", got, name)
		}
	}
}

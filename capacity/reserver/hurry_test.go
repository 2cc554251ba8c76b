package reserver

import (
	"context"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
)

func TestAHurryIsOverInOnePlan(t *testing.T) {
	start := time.Unix(0, 0)
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	pool.Spec.Forecast.Interval.Duration = time.Minute
	pools := []*v1alpha1.WarmPool{pool}
	r := &Reserver{memory: map[string]*memory{}}
	due := func(after time.Duration, want bool) {
		t.Helper()
		if any, one := r.anyDue(pools, start.Add(after)), r.due(pool, start.Add(after)); any != want || one != want {
			t.Errorf("after %s: due %t and %t, want %t", after, any, one, want)
		}
	}
	due(0, true)
	due(10*time.Second, false)
	r.hurry.add(hurryForPods, "a100")
	due(11*time.Second, true)
	due(12*time.Second, false)
	r.hurry.add(hurryForPods, "a100")
	r.hurry.add(time.Hour, "a100") // the shorter one counts
	due(15*time.Second, false)
	due(16*time.Second, true)
	due(60*time.Second, true) // the grid stays
	if r.hurry.add(time.Second, "") {
		t.Error("a pod of no pool hurries one")
	}
}

// TestAPlanThatFailsIsMadeAgainSoon, and later where it fails again.
func TestAPlanThatFailsIsMadeAgainSoon(t *testing.T) {
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	r := &Reserver{memory: map[string]*memory{}}
	for i, c := range []struct {
		err  error
		want time.Duration
	}{{nil, 0}, {context.Canceled, hurryForNodes}, {context.Canceled, hurryForPods}, {nil, 0}, {context.Canceled, hurryForNodes}} {
		r.retry(pool, outcome{err: c.err}, time.Unix(0, 0))
		if got := r.hurry.of("a100"); got != c.want {
			t.Errorf("plan %d: made again after %s, want %s", i, got, c.want)
		}
		r.hurry.done("a100")
	}
}

// samples is a Forecaster that foresees nothing, and keeps a sample per time, the first, as a store does.
type samples struct {
	at      []time.Time
	demands []float64
}

func (s *samples) Observe(_ context.Context, _ forecaster.Pool, _ string, at time.Time, demand float64) error {
	if !slices.Contains(s.at, at) {
		s.at, s.demands = append(s.at, at), append(s.demands, demand)
	}
	return nil
}

func (s *samples) Keep([]string) {}

func (s *samples) Forecast(context.Context, forecaster.Pool, string, []time.Duration, time.Time) (forecaster.Answer, error) {
	return forecaster.Answer{}, nil
}

func (s *samples) History(forecaster.Pool, string) forecast.Series { return forecast.Series{} }

// TestAHurryLosesNoPeak: pods come, the pool is planned for at once, and they end before the interval does.
func TestAHurryLosesNoPeak(t *testing.T) {
	store := &samples{}
	r := takeoverReserver(t)
	r.options.Forecaster, r.options.Chooser = store, chooser.New(true)
	everyone := classFor("a100", 0, labels.Everything())
	everyone.chunks = everyone.chunks[:1]
	r.tracker.rebuild([]class{everyone}, nil, nil)
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}, Spec: v1alpha1.WarmPoolSpec{Chunks: []v1alpha1.Chunk{{Name: "node"}}}}
	pool.Spec.Forecast.Interval.Duration = time.Minute
	look := func(second int64) {
		t.Helper()
		seen := sight{at: time.Unix(second, 0), limits: capacity.Limits{Chunks: everyone.chunks, Interval: time.Minute}}
		if err := r.foresee(t.Context(), pool, &seen); err != nil {
			t.Fatal(err)
		}
	}
	look(0)
	r.tracker.observe(gpuPod("one", "8"))
	r.tracker.observe(gpuPod("two", "8"))
	look(20)
	r.tracker.forget("one")
	look(40)
	look(60)
	look(120)
	if want := []float64{0, 2, 1}; !slices.Equal(store.demands, want) {
		t.Errorf("recorded %v, want %v", store.demands, want)
	}
}

package reserver

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
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

package capacity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// nodesAfter are n samples from a time on, a minute apart, that took as long as take says.
func nodesAfter(prefix string, start time.Time, n int, take func(i int) time.Duration) []LeadSample {
	var samples []LeadSample
	for i := range n {
		samples = append(samples, LeadSample{Node: fmt.Sprintf("%s-%d", prefix, i), At: start.Add(time.Duration(i) * time.Minute), Took: take(i)})
	}
	return samples
}

func TestLeadTimeFollowsADriftWithin20Samples(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 7))
	around := func(center time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return time.Duration(float64(center) * (0.9 + 0.2*random.Float64())) }
	}
	known := LeadTimes{}.Add(nodesAfter("a", now, 200, around(2*time.Minute))...)
	if got := known.Estimate(5 * time.Minute); got.Source != LeadLearned || got.Used < 110*time.Second || got.Used > 132*time.Second {
		t.Fatalf("200 nodes of about 2 min: %+v", got)
	}
	slower := known.Add(nodesAfter("b", now.Add(24*time.Hour), 20, around(6*time.Minute))...)
	if got := slower.Estimate(time.Minute); got.P50 < 5*time.Minute || got.Used > 7*time.Minute {
		t.Errorf("20 nodes later, of about 6 min: %+v", got)
	}
	faster := slower.Add(nodesAfter("c", now.Add(48*time.Hour), 20, around(time.Minute))...)
	if got := faster.Estimate(time.Hour); got.Used > 67*time.Second {
		t.Errorf("20 nodes later, of about 1 min: %+v", got)
	}
	if two := known.Add(nodesAfter("d", now.Add(24*time.Hour), 2, around(6*time.Minute))...).Estimate(0); two.Used < 5*time.Minute {
		t.Errorf("2 slow ones of 20 are more than the 5 %% that may be slower: %+v", two)
	}
}

func TestLeadTimeCountsANodeOnce(t *testing.T) {
	samples := nodesAfter("n", now, 3, func(i int) time.Duration { return time.Duration(i+1) * time.Minute })
	twice := append(slices.Clone(samples), LeadSample{Node: "n-0", At: now.Add(time.Hour), Took: time.Hour})
	if got := (LeadTimes{}).Add(twice...).Add(samples...); len(got.Recent) != 3 {
		t.Errorf("%d samples of 3 nodes: %v", len(got.Recent), got.Recent)
	}
	many := LeadTimes{}.Add(nodesAfter("m", now.Add(time.Hour), 40, func(int) time.Duration { return time.Minute })...)
	if got := many.Add(LeadSample{Node: "m-3", At: now.Add(time.Hour + 3*time.Minute), Took: time.Hour}); got.Estimate(0).P95 != time.Minute {
		t.Errorf("a node that has left the window came back: %v", got.Recent)
	}
}

// TestLeadTimeOfWhatStillWaits: nodes that do not come make the lead time longer, never shorter.
func TestLeadTimeOfWhatStillWaits(t *testing.T) {
	known := LeadTimes{}.Add(nodesAfter("n", now, 10, func(i int) time.Duration { return time.Duration(60+i) * time.Second })...)
	before := known.Estimate(0)
	for _, c := range []struct {
		waiting []time.Duration
		want    time.Duration
	}{
		{[]time.Duration{time.Second}, before.Used}, // may still come in time
		{[]time.Duration{20 * time.Minute}, 20 * time.Minute},
		{[]time.Duration{65 * time.Second, 65 * time.Second, 65 * time.Second}, 69 * time.Second},
	} {
		known.Waiting = c.waiting
		if got := known.Estimate(0); got.Used != c.want || got.Waiting != len(c.waiting) {
			t.Errorf("waiting %v: %+v, want %s", c.waiting, got, c.want)
		}
	}
}

func TestLeadTimeIsAssumedUntilEnoughIsKnown(t *testing.T) {
	for name, c := range map[string]struct {
		nodes   int
		took    time.Duration
		waiting []time.Duration
		want    time.Duration
		source  LeadSource
	}{
		"nothing known":              {0, 0, nil, 5 * time.Minute, LeadAssumed},
		"few and fast":               {4, time.Minute, nil, 5 * time.Minute, LeadAssumed},
		"few and slow":               {4, 9 * time.Minute, nil, 9 * time.Minute, LeadAssumed},
		"the first has not come yet": {0, 0, []time.Duration{30 * time.Minute}, 30 * time.Minute, LeadAssumed},
		"enough":                     {5, time.Minute, nil, time.Minute, LeadLearned},
	} {
		l := LeadTimes{Waiting: c.waiting}.Add(nodesAfter("n", now, c.nodes, func(int) time.Duration { return c.took })...)
		if got := l.Estimate(5 * time.Minute); got.Used != c.want || got.Source != c.source || got.Samples != c.nodes {
			t.Errorf("%s: %+v, want %s %s", name, got, c.want, c.source)
		}
	}
}

package waiting

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func TestExpect(t *testing.T) {
	measured := Lead{Samples: []time.Duration{5 * time.Minute, 3 * time.Minute, 4 * time.Minute}, Assumed: time.Hour}
	for name, c := range map[string]struct {
		lead  Lead
		asked time.Time
		want  time.Duration // from now
	}{
		"just asked: the median":             {measured, now, 4 * time.Minute},
		"the median of those that are left":  {measured, ago(4*time.Minute + time.Second), 59 * time.Second},
		"longer than any: as long again":     {measured, ago(20 * time.Minute), 20 * time.Minute},
		"nothing measured":                   {Lead{Assumed: 5 * time.Minute}, ago(time.Minute), 4 * time.Minute},
		"nothing measured, and overdue":      {Lead{Assumed: 5 * time.Minute}, ago(6 * time.Minute), 6 * time.Minute},
		"nothing known at all":               {Lead{}, now, time.Second},
		"asked by a clock that is ahead":     {measured, now.Add(time.Second), 4*time.Minute + time.Second},
		"exactly the longest one: not later": {measured, ago(5 * time.Minute), 5 * time.Minute},
	} {
		if got := c.lead.Expect(c.asked, now).Sub(now); got != c.want {
			t.Errorf("%s: in %s, want %s", name, got, c.want)
		}
	}
}

func TestStarts(t *testing.T) {
	lead := Lead{Samples: []time.Duration{5 * time.Minute}}
	pod := func(uid string, priority int32, waited time.Duration, amount int64) Pod {
		return Pod{uid, priority, ago(waited), amount}
	}
	minutes := func(m ...float64) (out []time.Time) {
		for _, v := range m {
			out = append(out, now.Add(time.Duration(v*float64(time.Minute))))
		}
		return out
	}
	soon, later := Flight{ago(4 * time.Minute), 8}, Flight{ago(2 * time.Minute), 8}
	for name, c := range map[string]struct {
		pods    []Pod
		flights []Flight
		want    []time.Time
	}{
		"none":                               {nil, nil, minutes()},
		"it asked itself":                    {[]Pod{pod("a", 0, time.Minute, 8)}, nil, minutes(4)},
		"one is on its way already":          {[]Pod{pod("a", 0, 0, 8)}, []Flight{soon}, minutes(1)},
		"in turn, the oldest first":          {[]Pod{pod("b", 0, 0, 8), pod("a", 0, time.Second, 8)}, []Flight{later, soon}, minutes(3, 1)},
		"priority before age":                {[]Pod{pod("b", 9, 0, 8), pod("a", 0, time.Second, 8)}, []Flight{later, soon}, minutes(1, 3)},
		"two share one":                      {[]Pod{pod("a", 0, time.Second, 4), pod("b", 0, 0, 4)}, []Flight{soon}, minutes(1, 1)},
		"one needs two":                      {[]Pod{pod("a", 0, 0, 16)}, []Flight{soon, later}, minutes(3)},
		"none left for the second":           {[]Pod{pod("a", 0, time.Second, 8), pod("b", 0, 0, 8)}, []Flight{soon}, minutes(1, 5)},
		"its own comes before what is asked": {[]Pod{pod("a", 0, 4*time.Minute, 8)}, []Flight{later}, minutes(1)},
	} {
		if diff := cmp.Diff(c.want, Starts(c.pods, c.flights, lead, now)); diff != "" && len(c.want) > 0 {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestWorth(t *testing.T) {
	in := func(pool string, d time.Duration) Told { return Told{pool, now.Add(d)} }
	for name, c := range map[string]struct {
		told, next Told
		want       bool
	}{
		"nothing said yet":      {Told{}, in("a", time.Minute), true},
		"another pool":          {in("b", time.Minute), in("a", time.Minute), true},
		"the same":              {in("a", time.Minute), in("a", time.Minute), false},
		"a little later":        {in("a", time.Minute), in("a", 70*time.Second), false},
		"by more than a share":  {in("a", time.Minute), in("a", 110*time.Second), true},
		"a share of much":       {in("a", time.Hour), in("a", 70*time.Minute), false},
		"sooner by much":        {in("a", time.Hour), in("a", 30*time.Minute), true},
		"overdue":               {in("a", -time.Minute), in("a", 5*time.Minute), true},
		"overdue by little yet": {in("a", -time.Second), in("a", 5*time.Second), false},
	} {
		if got := c.told.Worth(c.next, now); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

// TestAPodThatWaitsIsToldSeldom: an hour of looking each second at a node that never comes.
func TestAPodThatWaitsIsToldSeldom(t *testing.T) {
	lead := Lead{Samples: []time.Duration{5 * time.Minute}}
	var told Told
	n := 0
	for at := now; at.Before(now.Add(time.Hour)); at = at.Add(time.Second) {
		next := Told{"a", lead.Expect(now, at)}
		if !next.Start.After(at) {
			t.Fatalf("after %s: expected in the past, at %s", at.Sub(now), next.Start)
		}
		if told.Worth(next, at) {
			told, n = next, n+1
		}
	}
	if n > 13 {
		t.Errorf("told %d times in an hour, want about a dozen", n)
	}
}

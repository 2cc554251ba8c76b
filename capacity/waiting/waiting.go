// Package waiting tells when pods that wait for nodes of a pool are expected to start, and when that
// is worth telling again. It is pure.
package waiting

import (
	"cmp"
	"slices"
	"time"
)

// Lead is what is known of how long a node takes to come.
type Lead struct {
	// Samples are how long the last ones took, in any order.
	Samples []time.Duration
	// Assumed counts while there is no sample.
	Assumed time.Duration
}

// Expect is when what was asked for is expected: after the median of the samples that took longer
// than it has waited already. What has waited longer than any of them is expected to take as long
// again, the median where the chance to wait for x is 1/x; so an expectation is never in the past.
func (l Lead) Expect(asked, now time.Time) time.Time {
	waited := max(now.Sub(asked), 0)
	samples := l.Samples
	if len(samples) == 0 {
		samples = []time.Duration{l.Assumed}
	}
	longer := slices.DeleteFunc(slices.Sorted(slices.Values(samples)), func(d time.Duration) bool { return d <= waited })
	if len(longer) == 0 {
		return now.Add(max(waited, time.Second))
	}
	return asked.Add(longer[(len(longer)-1)/2])
}

// Pod is one that the scheduler has found no room for.
type Pod struct {
	// UID tells pods apart.
	UID string
	// Priority and Created say whose turn it is: the highest first, then the oldest.
	Priority int32
	Created  time.Time
	// Amount is what it asks for of the pool's resource.
	Amount int64
}

// Flight is capacity on its way: a placeholder that waits for a node.
type Flight struct {
	// Asked is when it was ungated.
	Asked time.Time
	// Amount is what it will hold of the pool's resource.
	Amount int64
}

// Starts are when pods are expected to start, in their order. The capacity on its way goes to them
// in turn; a pod for which none is left, or only later, has asked for a node itself when it was
// created. Room that other pods leave is not foreseen.
func Starts(pods []Pod, flights []Flight, lead Lead, now time.Time) []time.Time {
	type arrival struct {
		at     time.Time
		amount int64
	}
	arrivals := make([]arrival, 0, len(flights))
	for _, f := range flights {
		arrivals = append(arrivals, arrival{lead.Expect(f.Asked, now), f.Amount})
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return a.at.Compare(b.at) })
	turn := make([]int, len(pods))
	for i := range turn {
		turn[i] = i
	}
	slices.SortFunc(turn, func(a, b int) int {
		p, q := pods[a], pods[b]
		return cmp.Or(cmp.Compare(q.Priority, p.Priority), p.Created.Compare(q.Created), cmp.Compare(p.UID, q.UID))
	})
	starts := make([]time.Time, len(pods))
	next, taken, came := 0, int64(0), int64(0)
	for _, i := range turn {
		taken += pods[i].Amount
		starts[i] = lead.Expect(pods[i].Created, now)
		for next < len(arrivals) && came < taken {
			came += arrivals[next].amount
			next++
		}
		if came >= taken && next > 0 && arrivals[next-1].at.Before(starts[i]) {
			starts[i] = arrivals[next-1].at
		}
	}
	return starts
}

// Told is what a pod says.
type Told struct {
	// Pool is what it waits for; empty for nothing said yet.
	Pool string
	// Start is when it is expected to start; zero for never, since it fits no node of the pool.
	Start time.Time
}

const (
	// leastMove and moveShare say by how much an expectation must move to be told again: the greater
	// of the two, the share being of the time that is left. A pod that waits for six minutes as
	// expected is told once; one that waits far longer, each time less often.
	leastMove = 10 * time.Second
	moveShare = 0.4
)

// Worth tells whether next is to be told to a pod that says t.
func (t Told) Worth(next Told, now time.Time) bool {
	if t.Pool != next.Pool || t.Start.IsZero() != next.Start.IsZero() {
		return true
	}
	left := max(t.Start.Sub(now), next.Start.Sub(now))
	return next.Start.Sub(t.Start).Abs() > max(leastMove, time.Duration(moveShare*float64(left)))
}

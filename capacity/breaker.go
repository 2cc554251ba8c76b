package capacity

import "time"

// Supply is what shows whether a pool gets the nodes that it asks for.
type Supply struct {
	// Asked is when the placeholder was ungated that has waited longest for a node; zero if none waits.
	Asked time.Time
	// Came is when the youngest node of the pool was made; zero for none.
	Came time.Time
	// Patience is how long a node takes at most, as far as is known: the 95th percentile of the lead time.
	Patience time.Duration
}

// BreakerState says whether a pool is asked for nodes.
type BreakerState string

// States of a breaker.
const (
	// Closed asks for all that is wanted; it is what the zero Breaker does.
	Closed BreakerState = ""
	// Open asks for no node, since none comes.
	Open BreakerState = "Open"
	// HalfOpen asks for one node, to see whether one comes.
	HalfOpen BreakerState = "HalfOpen"
)

// Breaker keeps a pool from being asked for nodes that it does not get (Nygard, Release It!, 2007).
//
//	        a node is overdue            the backoff has passed
//	Closed ───────────────────▶ Open ───────────────────────────▶ HalfOpen
//	   ▲                         │ ▲                                │ │
//	   └──── a node has come ────┘ └───── the node is overdue ──────┘ │
//	   └──────────────────────── a node has come ─────────────────────┘
type Breaker struct {
	State BreakerState
	// Since is when it came into this state, in whole seconds, as timestamps of nodes are.
	Since time.Time
	// Trips is how often it has opened in a row: without having been closed for forgetAfter.
	Trips int
}

const (
	// longestBackoff bounds the time between two tries.
	longestBackoff = 30 * time.Minute
	// forgetAfter is how long a pool must have got its nodes for its trips to be forgotten.
	forgetAfter = time.Hour
)

// Next is the breaker after another look.
func (b Breaker) Next(seen Supply, now time.Time) Breaker {
	now = now.Truncate(time.Second)
	came := seen.Came.After(b.Since)
	switch b.State {
	case Open:
		switch {
		case came:
			return Breaker{Closed, now, b.Trips}
		case !now.Before(b.RetryAt(seen.Patience)):
			return Breaker{HalfOpen, now, b.Trips}
		}
	case HalfOpen:
		switch {
		case came:
			return Breaker{Closed, now, b.Trips}
		case b.overdue(seen, now):
			return Breaker{Open, now, b.Trips + 1}
		}
	case Closed:
		switch {
		case b.overdue(seen, now):
			return Breaker{Open, now, b.Trips + 1}
		case b.Trips > 0 && now.Sub(b.Since) >= forgetAfter:
			return Breaker{}
		}
	}
	return b
}

// overdue tells that a placeholder has waited for longer than a node takes, and that for as long no
// other node has come either: what comes may have been for pods that go first.
func (b Breaker) overdue(seen Supply, now time.Time) bool {
	from := seen.Asked
	for _, later := range []time.Time{seen.Came, b.Since} {
		if later.After(from) {
			from = later
		}
	}
	return !seen.Asked.IsZero() && now.Sub(from) > seen.Patience
}

// RetryAt is when an open breaker asks again: as long after it has opened as a node takes, and twice as
// long each further time in a row, up to longestBackoff.
func (b Breaker) RetryAt(patience time.Duration) time.Time {
	wait := patience
	for i := 1; i < b.Trips && wait < longestBackoff; i++ {
		wait *= 2
	}
	return b.Since.Add(min(wait, longestBackoff))
}

// divert brings what is wanted of a pool that gets no nodes down to what its nodes have room for, and
// one more node where that is tried. What is wanted beyond is for other pools, also what the trial may
// bring, so that they do not come and go with each.
func divert(plans []ChunkPlan, state State, limits Limits) {
	if limits.Supply == Closed {
		return
	}
	trial := limits.Supply == HalfOpen
	for i := range plans {
		most := state.Chunks[i].reserved() + state.Chunks[i].Room
		more := plans[i].Wanted - most
		if more <= 0 {
			continue
		}
		plans[i].Diverted = more
		if trial {
			one := min(max(limits.Chunks[i].PerNode, 1), more)
			most, more, trial = most+one, more-one, false
		}
		plans[i].Wanted = most
		plans[i].limit(more, ReasonStockOut)
	}
}

// reserved is the number of placeholders that hold capacity.
func (s ChunkState) reserved() int64 {
	var n int64
	for _, p := range s.Placeholders {
		if p.Stage == Reserved {
			n++
		}
	}
	return n
}

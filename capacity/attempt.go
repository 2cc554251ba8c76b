package capacity

import "time"

// takeoverPatience is how long a pod may take to bind to what has been freed for it: the scheduler's
// longest backoff. Then it is tried again, and meanwhile its pool ungates nothing that could be
// placed there instead. A pod that does not bind even so has a reason that we do not see, and must
// not cost placeholders for ever: each time that they gave way in vain the wait doubles, up to
// longestPatience.
const (
	takeoverPatience = 10 * time.Second
	longestPatience  = 10 * time.Minute
)

// Attempt is one to make room for pods that cannot preempt.
type Attempt struct {
	// At is when, and Wait how long until the next one.
	At   time.Time
	Wait time.Duration
	// Gave says that placeholders gave way.
	Gave bool
}

// Next is the attempt after this one, which was in vain.
func (a Attempt) Next(now time.Time) Attempt {
	wait := max(a.Wait, takeoverPatience)
	if a.Gave {
		wait = min(2*wait, longestPatience)
	}
	return Attempt{At: now, Wait: wait}
}

// Due tells whether it is time for the next one.
func (a Attempt) Due(now time.Time) bool { return now.Sub(a.At) >= a.Wait }

// Holds tells whether what was freed is still kept for whom it was freed.
func (a Attempt) Holds(now time.Time) bool { return a.Gave && now.Sub(a.At) < takeoverPatience }

package capacity

import (
	"cmp"
	"slices"
	"time"
)

// LeadTimes is what is known of how long a pool waits for a node: a sample per node that came,
// and what is still waited for. The zero value knows nothing.
type LeadTimes struct {
	// Recent are the last samples, in the order of At, at most leadWindow.
	Recent []LeadSample
	// Waiting is how long each batch of placeholders has waited by now that has no node yet.
	Waiting []time.Duration
}

// LeadSample is one node that came: how long from the ungating of a placeholder until it ran there.
type LeadSample struct {
	// Node names the node, so that it counts once however many placeholders it took.
	Node string
	// At is when the placeholder ran.
	At time.Time
	// Took is how long that was after its ungating.
	Took time.Duration
}

// LeadSource says where a lead time comes from.
type LeadSource string

// Sources of a lead time.
const (
	// LeadLearned is the 95th percentile of what was measured.
	LeadLearned LeadSource = "Learned"
	// LeadAssumed is a guess, raised by what was measured, until there are enough samples.
	LeadAssumed LeadSource = "Assumed"
	// LeadSet is what the admin wrote.
	LeadSet LeadSource = "Set"
)

// LeadEstimate is a lead time, and the distribution behind it.
type LeadEstimate struct {
	// Used is the lead time to plan with.
	Used time.Duration
	// P50 and P95 are percentiles of what was measured; zero without a sample.
	P50, P95 time.Duration
	// Samples is how many nodes were measured, Waiting how many batches still wait.
	Samples, Waiting int
	// Source says where Used comes from.
	Source LeadSource
}

const (
	// leadWindow is how many samples count: after as many, a drift has replaced all of the past.
	leadWindow = 20
	// leadEnough is from how many samples on the guess no longer counts.
	leadEnough = 5
)

// Add counts samples that are new. A node that is in the window, or that has left it, is none.
func (l LeadTimes) Add(samples ...LeadSample) LeadTimes {
	recent := slices.Clone(l.Recent)
	sorted := slices.SortedFunc(slices.Values(samples), bySample)
	for _, s := range sorted {
		old := len(l.Recent) == leadWindow && !s.At.After(l.Recent[0].At)
		if !old && !slices.ContainsFunc(recent, func(r LeadSample) bool { return r.Node == s.Node }) {
			recent = append(recent, s)
		}
	}
	slices.SortFunc(recent, bySample)
	l.Recent = recent[max(len(recent)-leadWindow, 0):]
	return l
}

func bySample(a, b LeadSample) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Node, b.Node))
}

// Estimate is the lead time to plan with: the 95th percentile of the window, in which what still
// waits counts as taking longer than it has until now. With fewer than leadEnough samples it is
// at least assumed.
func (l LeadTimes) Estimate(assumed time.Duration) LeadEstimate {
	e := LeadEstimate{Samples: len(l.Recent), Waiting: len(l.Waiting), Used: assumed, Source: LeadAssumed}
	if len(l.Recent)+len(l.Waiting) == 0 {
		return e
	}
	e.P50, e.P95 = l.percentile(0.5), l.percentile(0.95)
	e.Used = max(assumed, e.P95)
	if len(l.Recent) >= leadEnough {
		e.Used, e.Source = e.P95, LeadLearned
	}
	return e
}

// percentile is that of the Kaplan-Meier estimate (1958), which gives what still waits its share
// instead of dropping it: that would make a pool whose nodes do not come look fast. Where the
// estimate ends below the level, the longest wait is the least that it can be.
func (l LeadTimes) percentile(level float64) time.Duration {
	type wait struct {
		took time.Duration
		came bool
	}
	waits := make([]wait, 0, len(l.Recent)+len(l.Waiting))
	for _, s := range l.Recent {
		waits = append(waits, wait{s.Took, true})
	}
	for _, age := range l.Waiting {
		waits = append(waits, wait{age, false})
	}
	slices.SortFunc(waits, func(a, b wait) int {
		if c := cmp.Compare(a.took, b.took); c != 0 || a.came == b.came {
			return c
		}
		if a.came { // by convention, what still waits has waited a little longer
			return -1
		}
		return 1
	})
	still := 1.0
	for i, w := range waits {
		if !w.came {
			continue
		}
		still *= 1 - 1/float64(len(waits)-i)
		if still <= 1-level+1e-9 {
			return w.took
		}
	}
	return waits[len(waits)-1].took
}

package champion

import (
	"slices"
	"time"
)

// Outcome is what became of a version.
type Outcome string

// Outcomes.
const (
	// OutcomeFirst is that of the version that a chunk begins with.
	OutcomeFirst Outcome = "First"
	// OutcomePromoted says that the version replaced the champion.
	OutcomePromoted Outcome = "Promoted"
	// OutcomeRejected says that the gate kept the champion.
	OutcomeRejected Outcome = "Rejected"
	// OutcomeRolledBack says that the version was promoted, and then erred more than the one before.
	OutcomeRolledBack Outcome = "RolledBack"
)

// Version is one set of settings that was tried.
type Version struct {
	// Number counts from 1 and is never used again.
	Number int64
	Settings
	// Trained is when it was tried; From and To are the history that it was tried on.
	Trained, From, To time.Time
	// Score is how it did then. That of a champion is of its last trial.
	Score Score
	// Against is the number of the champion that it met; zero without one.
	Against int64
	// Better and Probability are as in Verdict.
	Better, Probability float64
	Outcome             Outcome
	Reason              Reason
}

// Record is all that is kept of the versions of one chunk.
type Record struct {
	// Pinned is the version that an admin wants, zero for none.
	Pinned int64
	// Champion is the version in use while none is pinned.
	Champion int64
	// Previous is the version before the champion, to which is returned if the champion errs
	// more; zero once that is decided.
	Previous int64
	// Tried is when challengers were last tried; zero for never.
	Tried time.Time
	// Degraded says that the champion's live error is too high.
	Degraded bool
	// Versions are in the order of their numbers.
	Versions []Version
}

// Most is how many versions are kept. The oldest go first, but never those in use.
const Most = 20

// Begin is the record of a chunk without any.
func Begin(s Settings, now time.Time) Record {
	return Record{Champion: 1, Versions: []Version{{Number: 1, Settings: s, Trained: now, Outcome: OutcomeFirst, Reason: ReasonFirst}}}
}

// Sound says that the champion is among the versions and that its settings can be used.
func (r Record) Sound() bool {
	v, ok := r.Find(r.Champion)
	return ok && v.Known()
}

// Find is the version of a number.
func (r Record) Find(number int64) (Version, bool) {
	i := slices.IndexFunc(r.Versions, func(v Version) bool { return v.Number == number })
	if i < 0 {
		return Version{}, false
	}
	return r.Versions[i], true
}

// InUse is the version to forecast by: the pinned one, else the champion.
func (r Record) InUse() Version {
	if v, ok := r.Find(r.Pinned); ok && v.Known() {
		return v
	}
	v, _ := r.Find(r.Champion)
	return v
}

// Due says that challengers are to be tried: after so long, or six hours after the last time
// while the champion is degraded. While a version is pinned nothing is tried.
func (r Record) Due(every time.Duration, now time.Time) bool {
	if r.Pinned != 0 || every <= 0 {
		return false
	}
	if r.Degraded {
		every = min(every, patience)
	}
	return now.Sub(r.Tried) >= every
}

// Trials are those of a champion and of all that challenged it.
type Trials struct {
	// Champion is the version that was challenged.
	Champion int64
	Trial    Trial
	// Settings and Challengers have a row per challenger.
	Settings    []Settings
	Challengers []Trial
	// From and To are the history that they were tried on.
	From, To time.Time
}

// AfterTrials enters trials: the best challenger becomes a version, and the champion if the gate
// lets it. It says whether that was so.
func (r Record) AfterTrials(t Trials, now time.Time) (Record, Verdict) {
	r.Versions = slices.Clone(r.Versions)
	r.Tried, r.Previous = now, 0
	i := slices.IndexFunc(r.Versions, func(v Version) bool { return v.Number == t.Champion })
	if i < 0 || t.Champion != r.Champion || len(t.Challengers) == 0 {
		return r, Verdict{Reason: ReasonFewOrigins}
	}
	r.Versions[i].Score, r.Versions[i].From, r.Versions[i].To = t.Trial.Score(), t.From, t.To
	best := 0
	for k, c := range t.Challengers {
		if sum(c.Losses) < sum(t.Challengers[best].Losses) {
			best = k
		}
	}
	number := r.Versions[len(r.Versions)-1].Number + 1
	verdict := Gate(t.Trial, t.Challengers[best], len(t.Challengers), uint64(number))
	v := Version{
		Number: number, Settings: t.Settings[best], Trained: now, From: t.From, To: t.To,
		Score: t.Challengers[best].Score(), Against: r.Champion,
		Better: verdict.Better, Probability: verdict.Probability, Outcome: OutcomeRejected, Reason: verdict.Reason,
	}
	if verdict.Promote {
		v.Outcome = OutcomePromoted
		r.Champion, r.Previous, r.Degraded = v.Number, r.Champion, false
	}
	r.Versions = append(r.Versions, v)
	return r.trim(), verdict
}

// RollBack returns to the version before the champion.
func (r Record) RollBack() Record {
	if _, ok := r.Find(r.Previous); !ok {
		r.Previous = 0
		return r
	}
	r.Versions = slices.Clone(r.Versions)
	for i := range r.Versions {
		if v := &r.Versions[i]; v.Number == r.Champion {
			v.Outcome, v.Reason = OutcomeRolledBack, ReasonWorse
		}
	}
	r.Champion, r.Previous = r.Previous, 0
	return r
}

// trim drops the oldest versions beyond the most that are kept.
func (r Record) trim() Record {
	surplus := len(r.Versions) - Most
	r.Versions = slices.DeleteFunc(r.Versions, func(v Version) bool {
		if surplus <= 0 || v.Number == r.Champion || v.Number == r.Previous || v.Number == r.Pinned {
			return false
		}
		surplus--
		return true
	})
	return r
}

// Equal says that two records are the same, Pinned aside, which is not ours to write.
func (r Record) Equal(o Record) bool {
	same := func(a, b Version) bool {
		return a.Equal(b.Settings) && a.Number == b.Number && a.Outcome == b.Outcome && a.Reason == b.Reason &&
			a.Trained.Equal(b.Trained) && a.Score == b.Score
	}
	return r.Champion == o.Champion && r.Previous == o.Previous && r.Tried.Equal(o.Tried) && r.Degraded == o.Degraded &&
		slices.EqualFunc(r.Versions, o.Versions, same)
}

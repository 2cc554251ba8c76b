// Package total holds sums of objects to totals: what counts for one is in a [Ledger], which package
// ledger keeps, and a growth is a [Claim] on it. It is pure.
package total

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook"
)

// Reasons of a decision about a total.
const (
	// ReasonAboveTotal refuses a growth by which a sum would pass its total.
	ReasonAboveTotal webhook.Reason = "AboveTotal"
	// ReasonWithinTotal lets a growth through that stays within every total, and keeps it in mind.
	ReasonWithinTotal webhook.Reason = "WithinTotal"
	// ReasonTooManyComing refuses a growth while the ledger has no room to keep it in mind.
	ReasonTooManyComing webhook.Reason = "TooManyComing"
	// ReasonUnprovenOwner refuses an object that says another is counted in its place, where the writer
	// is no controller.
	ReasonUnprovenOwner webhook.Reason = "UnprovenOwner"
)

// Key names an object in a [Ledger]: RESOURCE.GROUP/NAME. Reviews have new UIDs each time that
// the API server retries, so that it is the object by which a claim is known.
type Key string

// KeyOf is the key of an object.
func KeyOf(group, resource, name string) Key {
	return Key(schema.GroupResource{Group: group, Resource: resource}.String() + "/" + name)
}

// resource is RESOURCE.GROUP.
func (k Key) resource() string {
	resource, _, _ := strings.Cut(string(k), "/")
	return resource
}

// MaxComing is how many objects a ledger keeps in mind of which something is coming: some 500 kB
// of it. More than that in the time that a request lives is nobody's work.
const MaxComing = 2000

// Ledger is what counts for the totals of one holder: a Namespace, a node pool, the cluster.
// Standing is the sum of what was last seen; Entries are those objects of which more was let in
// since. For each object, its part of Standing and what its entry adds are together no less than
// what the API server has or may still get of it. That is why the sum of what there is never
// passes a total: growth is let in only where it fits, and only [Ledger.Settle] lowers anything.
type Ledger struct {
	// Version is the resourceVersion of the ledger itself.
	Version string
	// Complete is false while what was there before is still being counted. Until then nothing
	// is refused.
	Complete bool
	Standing webhook.Amounts
	// UpTo is the latest version of an object that counts in Standing, by resource. What was seen
	// by somebody who has not come that far may be less.
	UpTo    map[string]string
	Entries map[Key]Entry
}

// Entry is what one object counts for while something of it is coming.
type Entry struct {
	// Amounts are the most that there is or may be of it.
	webhook.Amounts
	// Standing is what the ledger's Standing has of it at least.
	Standing webhook.Amounts
	// Coming is what was let in and may still be stored.
	Coming Coming
	// LetIn is when that was, the last time.
	LetIn time.Time
	// Version is the resourceVersion that an update was let in upon; of a create, that of the
	// ledger.
	Version string
}

// Coming is what may still be stored of an object.
type Coming string

// What may still be stored.
const (
	// Creation is one create of an object that did not count.
	Creation Coming = "Create"
	// Updating is any number of updates.
	Updating Coming = "Update"
	// Several is a create with something else, so that no sight of the object tells that nothing
	// is coming any more.
	Several Coming = "Several"
)

// Claim is what a write would have an object count for.
type Claim struct {
	// Object names it in messages.
	Object webhook.Object
	Key    Key
	// Version is the object's resourceVersion before the write; empty on create.
	Version  string
	Old, New webhook.Amounts
	// Totals are the annotations of the holder.
	Totals []webhook.Setting
	// Mode is what happens above a total; empty means [webhook.Enforce].
	Mode webhook.Mode
	// Now is when the write is made.
	Now time.Time
}

// Totals bound what they measure.
var totals = map[string]webhook.Measure{webhook.MaxTotalReplicas: webhook.Replicas, webhook.MaxGPUs: webhook.GPUs, webhook.MaxNodes: webhook.Nodes}

// Grows says whether the write asks for more of anything that a total of the holder bounds.
func (c Claim) Grows() bool {
	return slices.ContainsFunc(c.Totals, func(s webhook.Setting) bool {
		m := totals[s.Annotation]
		return s.Set && c.New.Of(m) > c.Old.Of(m)
	})
}

// Review decides about a claim: growth is refused where the sum after it is above the total. The
// entry is what the ledger must have before the answer may be given; nil where that is nothing
// new.
//
// What the object's own entry has is no reason to let a growth in: it may be of an object that
// is no more. It does not count against it either, so that a claim may be asked again at will.
func (l Ledger) Review(c Claim) (webhook.Decision, *Entry) {
	d := webhook.Decision{Verdict: webhook.Allow, Reason: webhook.ReasonNotGrowing}
	if !c.Grows() {
		return d, nil
	}
	d.Reason = ReasonWithinTotal
	for _, s := range c.Totals {
		m := totals[s.Annotation]
		asked, others := c.New.Of(m), l.others(c, m)
		limit, bound, warning := s.Limit(c.Object)
		if warning != "" {
			d.Warnings = append(d.Warnings, warning)
		}
		if !bound || !l.Complete || asked <= c.Old.Of(m) || quantity.Add(others, asked) <= limit {
			continue
		}
		if d.Exceed(c.Mode, ReasonAboveTotal, overdrawn(c, s, m, others, limit)); d.Verdict == webhook.Deny {
			return d, nil
		}
	}
	if _, known := l.Entries[c.Key]; !known && len(l.Entries) >= MaxComing {
		d.Exceed(c.Mode, ReasonTooManyComing, fmt.Sprintf("%s: %d other writes that count for the totals of %s were let in within the last minute, which is all that can be kept in mind; try again later", c.Object, len(l.Entries), c.Totals[0].On))
		return d, nil
	}
	return d, l.letIn(c)
}

// letIn is the entry of an object for which a claim is let in.
func (l Ledger) letIn(c Claim) *Entry {
	before, known := l.Entries[c.Key]
	next := &Entry{Amounts: before.Most(c.Old).Most(c.New), Standing: l.standing(c), LetIn: c.Now, Coming: Updating, Version: c.Version}
	switch create := c.Version == ""; {
	case create && known, before.Coming == Creation, before.Coming == Several:
		next.Coming = Several
	case create:
		next.Coming, next.Version = Creation, l.Version
	}
	if Newer(before.Version, next.Version) {
		next.Version = before.Version
	}
	return next
}

// standing is what Standing has of the object of a claim at least: what there was before the
// claim, if the claim can still be stored. A claim upon an older version cannot, and may have seen
// more; so where there were several, it is the least that any of them has seen.
func (l Ledger) standing(c Claim) webhook.Amounts {
	if e, known := l.Entries[c.Key]; known {
		return e.Standing.Least(c.Old)
	}
	return c.Old
}

// others is the sum of all objects but that of the claim.
func (l Ledger) others(c Claim, m webhook.Measure) int64 {
	sum := l.Standing.Of(m)
	for key, e := range l.Entries {
		if key != c.Key {
			sum = quantity.Add(sum, e.coming(m))
		}
	}
	return max(sum-l.standing(c).Of(m), 0)
}

// Used is what a total has been used up to, with what is coming, and the total as a number, where
// it can be read.
func (l Ledger) Used(s webhook.Setting) (used, limit int64, bound bool) {
	limit, bound, _ = s.Limit(webhook.Object{})
	return l.others(Claim{}, totals[s.Annotation]), limit, bound
}

// Left is the amount up to which the object of a claim may grow beside what all others have; nothing is bound by
// a total that cannot be read, or while what was there before is still being counted.
func (l Ledger) Left(c Claim, s webhook.Setting) (left int64, bound bool) {
	limit, bound, _ := s.Limit(c.Object)
	return max(limit-l.others(c, totals[s.Annotation]), 0), bound && l.Complete
}

// coming is what an entry adds to Standing.
func (e Entry) coming(m webhook.Measure) int64 { return max(e.Of(m)-e.Standing.Of(m), 0) }

// overdrawn names the object, what was asked, what others use, the total and what set it.
func overdrawn(c Claim, by webhook.Setting, m webhook.Measure, others, limit int64) string {
	room := fmt.Sprintf("ask for at most %d", max(limit-others, 0))
	if others >= limit {
		room = "have others give some back"
	}
	return fmt.Sprintf("%s: %d %s asked for, %d used by others, at most %d in all allowed by %s; %s, or have somebody who may edit %s raise it",
		c.Object, c.New.Of(m), m, others, limit, webhook.Source(by), room, by.On)
}

// Sight is what somebody has seen of all that counts for a holder.
type Sight struct {
	Objects map[Key]Seen
	// UpTo is, of each resource that is looked at, the version up to which everything was seen.
	UpTo map[string]string
}

// Seen is what somebody has seen of an object.
type Seen struct {
	// Amounts are zero for an object that is not there.
	webhook.Amounts
	// Version is the object's resourceVersion; for one that is not there, the version up to
	// which everything of its kind was seen.
	Version string
	// Born is the version with which the object began, empty where that was not seen.
	Born string
}

// Behind are the resources of which the ledger counts something later than was seen.
func (l Ledger) Behind(s Sight) []string {
	var out []string
	for resource, counted := range l.UpTo {
		if upTo, looked := s.UpTo[resource]; looked && Newer(counted, upTo) {
			out = append(out, resource)
		}
	}
	slices.Sort(out)
	return out
}

// Settle is the ledger after it has followed what was seen, where that is not behind. What may
// still be stored keeps its entry until it cannot come any more: an update where the object was
// seen later than it was reviewed, since what is reviewed is stored only upon that very version; a
// create where the object was seen to begin after it; and all of them where over says so of that
// very claim, after a time in which no request lives and a look at the object since.
func (l Ledger) Settle(s Sight, over map[Key]time.Time) Ledger {
	if len(l.Behind(s)) > 0 {
		return l
	}
	out := Ledger{Version: l.Version, Complete: l.Complete, UpTo: map[string]string{}, Entries: map[Key]Entry{}}
	for key, e := range l.Entries {
		seen, known := s.Objects[key]
		at, isOver := over[key]
		if isOver && at.Equal(e.LetIn) || known && e.settledBy(seen) {
			continue
		}
		e.Standing = seen.Amounts
		out.Entries[key] = e
	}
	for key, seen := range s.Objects {
		if seen.Amounts == (webhook.Amounts{}) {
			continue
		}
		out.Standing = out.Standing.Plus(seen.Amounts)
		if resource := key.resource(); Newer(seen.Version, out.UpTo[resource]) {
			out.UpTo[resource] = seen.Version
		}
	}
	return out
}

// settledBy says whether nothing is coming any more that is not in what was seen. A create of
// nothing is let in by no claim, so that the sight of one does not tell that another is not coming.
func (e Entry) settledBy(s Seen) bool {
	switch e.Coming {
	case Updating:
		return Newer(s.Version, e.Version)
	case Creation:
		return Newer(s.Born, e.Version) && s.Amounts != (webhook.Amounts{})
	default:
		return false
	}
}

// Equal says whether two ledgers count the same.
func (l Ledger) Equal(other Ledger) bool {
	return l.Complete == other.Complete && l.Standing == other.Standing && maps.EqualFunc(l.Entries, other.Entries, func(a, b Entry) bool {
		same := a.LetIn.Equal(b.LetIn)
		a.LetIn = b.LetIn
		return same && a == b
	})
}

// Newer says whether a resource version is known to be later than another; any is later than
// none.
func Newer(a, b string) bool {
	if b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}

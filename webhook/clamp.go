package webhook

import (
	"fmt"
	"math"
	"strconv"
)

// Bounds are how far a HorizontalPodAutoscaler may scale, as somebody writes it.
type Bounds struct {
	// Max and Min are spec.maxReplicas and spec.minReplicas.
	Max, Min Bound
	// Annotations are those of the object as written, nil where it has none.
	Annotations map[string]string
}

// Left is the count up to which a total lets a workload grow, beside what all others have.
type Left struct {
	Limit int64
	By    Setting
}

// Bound is one of the two numbers: as written, and before the write, 0 on create. An absent
// spec.minReplicas is 1.
type Bound struct {
	Written, Old int64
}

// Clamps reviews writes that are brought under the ceiling instead of being refused: those of
// /scale by autoscalers, which a refusal would freeze below the ceiling, and those of
// HorizontalPodAutoscalers by anybody, so that the autoscaler knows the ceiling and says so.
func Clamps() Chain {
	return Chain{
		{"bounds", "an HPA asks for no more than the ceiling, and for what it was given when that lifts", clampBounds},
		{"owned", "what a controller asks for within its own count never blocks a rollout", owned},
		{"not growing", "decreases always pass", notGrowing},
		{"scale", "an autoscaler gets what the ceiling allows", clampScale},
	}
}

// clampScale gives an autoscaler the ceiling instead of more, and never less than there is.
func clampScale(r Request, d *draft) bool {
	limit, by := binding(r, d)
	if limit < 0 {
		return d.finish(Allow, ReasonNoCeiling, "")
	}
	c := r.Counts[0]
	if r.Autoscaler && r.enforced() && c.New <= limit && r.ClampedFrom > c.New {
		d.clamped(r, r.ClampedFrom, c.New, by) // the twin has done it
		return d.finish(Allow, ReasonClamped, "")
	}
	if !r.Autoscaler || !r.enforced() || c.New <= limit {
		return d.finish(Allow, ReasonWithinCeiling, "") // a person is refused by Ceilings
	}
	written, allowed := r.scaledTo(max(limit, c.Old))
	d.clamped(r, max(c.New, r.ClampedFrom), allowed, by)
	d.decision.Patch = []Operation{{Op: "add", Path: "/spec/replicas", Value: written}}
	return d.finish(Allow, ReasonClamped, "")
}

// scaledTo is what a growing /scale may write for a count of n at most, and the count that it comes to.
func (r Request) scaledTo(n int64) (written, count int64) {
	if r.Scaled == nil {
		return n, n
	}
	c := r.Counts[0]
	each := max((c.New-c.Old)/max(r.Scaled.New-r.Scaled.Old, 1), 1)
	more := (n - c.Old) / each
	return r.Scaled.Old + more, c.Old + more*each
}

// clampBounds brings the maxReplicas of an HPA under the ceiling, and its minReplicas too, since
// the autoscaler would else ask for more than it gets at every sync. It keeps what was wanted in
// annotations, gives it back when the ceiling lifts, and lowers nothing below what stands, nor
// below 1, which is the least that the API server takes.
func clampBounds(r Request, d *draft) bool {
	if r.Bounds == nil {
		return false
	}
	b, limit, by := *r.Bounds, int64(-1), Setting{}
	if b.Min.Written > b.Max.Written { // for the API server to refuse
		return d.finish(Allow, ReasonWithinCeiling, "")
	}
	if r.enforced() {
		limit, by = binding(r, d)
	}
	if limit >= 0 {
		limit = max(limit, r.Standing, 1)
	}
	highest := clampBound(b.Max, b.Annotations[OriginalMaxReplicas], limit, math.MaxInt32)
	lowest := clampBound(b.Min, b.Annotations[OriginalMinReplicas], limit, highest.wanted)
	if highest.lowered() {
		d.clamped(r, highest.wanted, highest.allowed, by)
	}
	if lowest.lowered() {
		d.warn(fmt.Sprintf("%s: spec.minReplicas %d is brought down to %d: %s is held to %s", r.Object, lowest.wanted, lowest.allowed, r.Workload, Source(by)))
	}
	d.decision.Patch = b.patch(highest, lowest)
	return d.finish(Allow, highest.reason(limit), "")
}

// end is what becomes of one end of the bounds.
type end struct {
	written, wanted, allowed int64
}

// clampBound decides about one end. An original above most is none: the other end has been
// written anew since.
func clampBound(b Bound, kept string, limit, most int64) end {
	e := end{written: b.Written, wanted: b.Written}
	// Without a ceiling it is what the annotation keeps, where the number is what Forewarm made of
	// that: where the write leaves it alone, or where it is just what the original is clamped to,
	// so that the outcome is the same when the API server asks about a write again.
	original, err := ParseCeiling(kept)
	if err == nil && original > b.Written && original <= most && (b.Written == b.Old || b.Written == limit) {
		e.wanted = original
	}
	e.allowed = e.wanted
	if limit >= 0 {
		e.allowed = min(e.wanted, limit)
	}
	return e
}

// lowered is true where the writer is to be told.
func (e end) lowered() bool { return e.allowed < e.wanted && e.allowed != e.written }

// reason says what became of an HPA.
func (e end) reason(limit int64) Reason {
	switch {
	case e.allowed < e.wanted:
		return ReasonClamped
	case e.allowed != e.written:
		return ReasonRestored
	case limit < 0:
		return ReasonNoCeiling
	default:
		return ReasonWithinCeiling
	}
}

// patch is the smallest that makes of what is written what is allowed.
func (b Bounds) patch(highest, lowest end) []Operation {
	var ops []Operation
	keep := map[string]string{}
	for _, one := range []struct {
		end
		field, annotation string
	}{
		{highest, "/spec/maxReplicas", OriginalMaxReplicas}, {lowest, "/spec/minReplicas", OriginalMinReplicas},
	} {
		if one.allowed != one.written {
			ops = append(ops, Operation{Op: "add", Path: one.field, Value: one.allowed})
		}
		value, kept := b.Annotations[one.annotation]
		switch original := strconv.FormatInt(one.wanted, 10); {
		case one.allowed < one.wanted && value != original:
			keep[one.annotation] = original
		case one.allowed == one.wanted && kept:
			ops = append(ops, Operation{Op: "remove", Path: "/metadata/annotations/" + pointer.Replace(one.annotation)})
		}
	}
	return append(ops, annotationOps(b.Annotations, keep)...)
}

// binding is the count up to which a workload may grow, below zero where nothing binds, and
// what set it: the smallest ceiling, or an override that allows more; or a total, which no override lifts.
func binding(r Request, d *draft) (limit int64, by Setting) {
	limit, by = lowest(r, d)
	o, err := ParseOverride(r.Override.Value)
	if limit >= 0 && r.Override.Set && err == nil && r.Now.Before(o.Until) && o.Limit > limit {
		limit, by = o.Limit, r.Override
	}
	if r.Left != nil && (limit < 0 || r.Left.Limit < limit) {
		return r.Left.Limit, r.Left.By
	}
	return limit, by
}

// enforced says whether what is above the ceiling is held back.
func (r Request) enforced() bool {
	return r.Mode == "" || r.Mode == Enforce
}

// clamped tells the writer and the audit log.
func (d *draft) clamped(r Request, asked, allowed int64, by Setting) {
	d.warn(fmt.Sprintf("%s: %d %s asked for, brought down to %d: %s is held to %s", r.Object, asked, r.Measure, allowed, r.Workload, Source(by)))
	d.decision.Audit = map[string]string{"clamped-from": strconv.FormatInt(asked, 10), "clamped-to": strconv.FormatInt(allowed, 10)}
}

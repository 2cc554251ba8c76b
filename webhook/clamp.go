package webhook

import (
	"fmt"
	"strconv"
)

// Bounds are how far a HorizontalPodAutoscaler may scale, as somebody writes it.
type Bounds struct {
	// Max and Min are spec.maxReplicas and spec.minReplicas.
	Max, Min int64
	// OldMax is spec.maxReplicas before the write, 0 on create.
	OldMax int64
	// Annotations are those of the object as written, nil where it has none.
	Annotations map[string]string
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
	if !r.Autoscaler || !r.enforced() || c.New <= limit {
		return d.finish(Allow, ReasonWithinCeiling, "") // a person is refused by Ceilings
	}
	allowed := max(limit, c.Old)
	d.clamped(r, c.New, allowed, by)
	d.decision.Patch = []Operation{{Op: "add", Path: "/spec/replicas", Value: allowed}}
	return d.finish(Allow, ReasonClamped, "")
}

// clampBounds brings the maxReplicas of an HPA under the ceiling, keeps what was wanted in an
// annotation, and gives it back when the ceiling lifts. It lowers nothing below what stands,
// and no maximum below its minimum: that is for [Ceilings] to refuse.
func clampBounds(r Request, d *draft) bool {
	if r.Bounds == nil {
		return false
	}
	b, limit, by := *r.Bounds, int64(-1), Setting{}
	if r.enforced() {
		limit, by = binding(r, d)
	}
	if limit >= 0 {
		limit = max(limit, r.Standing)
	}
	wanted := b.wanted(limit)
	allowed := wanted
	if limit >= 0 {
		allowed = min(wanted, limit)
	}
	if allowed < wanted && allowed < b.Min {
		d.warn(fmt.Sprintf("%s: spec.maxReplicas is not brought under the ceiling of %s, %d, since spec.minReplicas is %d; lower spec.minReplicas", r.Object, r.Workload, limit, b.Min))
		return d.finish(Allow, ReasonMinAboveCeiling, "")
	}
	if allowed < wanted && allowed != b.Max {
		d.clamped(r, wanted, allowed, by)
	}
	d.decision.Patch = b.patch(wanted, allowed)
	return d.finish(Allow, b.reason(wanted, allowed, limit), "")
}

// reason says what became of an HPA.
func (b Bounds) reason(wanted, allowed, limit int64) Reason {
	switch {
	case allowed < wanted:
		return ReasonClamped
	case allowed != b.Max:
		return ReasonRestored
	case limit < 0:
		return ReasonNoCeiling
	default:
		return ReasonWithinCeiling
	}
}

// wanted is what the HPA should have without a ceiling: what its annotation keeps, where
// spec.maxReplicas is what Forewarm made of that, else what is written. Forewarm made it where
// the write leaves it alone, or where it is just what the annotation's number is clamped to:
// so the outcome is the same when the API server asks about a write again.
func (b Bounds) wanted(limit int64) int64 {
	original, err := ParseCeiling(b.Annotations[OriginalMaxReplicas])
	if err == nil && original > b.Max && (b.Max == b.OldMax || b.Max == limit) {
		return original
	}
	return b.Max
}

// patch is the smallest that makes of what is written what is allowed.
func (b Bounds) patch(wanted, allowed int64) []Operation {
	var ops []Operation
	if allowed != b.Max {
		ops = append(ops, Operation{Op: "add", Path: "/spec/maxReplicas", Value: allowed})
	}
	value, kept := b.Annotations[OriginalMaxReplicas]
	switch original := strconv.FormatInt(wanted, 10); {
	case allowed < wanted && value != original:
		ops = append(ops, annotationOps(b.Annotations, map[string]string{OriginalMaxReplicas: original})...)
	case allowed == wanted && kept:
		ops = append(ops, Operation{Op: "remove", Path: "/metadata/annotations/" + pointer.Replace(OriginalMaxReplicas)})
	}
	return ops
}

// binding is the count up to which a workload may grow, below zero where nothing binds, and
// what set it: the smallest ceiling, or an override that allows more.
func binding(r Request, d *draft) (limit int64, by Setting) {
	limit, by = lowest(r, d)
	if limit < 0 || !r.Override.Set {
		return limit, by
	}
	if o, err := ParseOverride(r.Override.Value); err == nil && r.Now.Before(o.Until) && o.Limit > limit {
		return o.Limit, r.Override
	}
	return limit, by
}

// enforced says whether what is above the ceiling is held back.
func (r Request) enforced() bool {
	return r.Mode == "" || r.Mode == Enforce
}

// clamped tells the writer and the audit log.
func (d *draft) clamped(r Request, asked, allowed int64, by Setting) {
	d.warn(fmt.Sprintf("%s: %d %s asked for, brought down to %d: %s is held to %s", r.Object, asked, r.Measure, allowed, r.Workload, source(by)))
	d.decision.Audit = map[string]string{"clamped-from": strconv.FormatInt(asked, 10), "clamped-to": strconv.FormatInt(allowed, 10)}
}

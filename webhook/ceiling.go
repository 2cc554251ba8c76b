package webhook

import "fmt"

// notGrowing lets through what asks for no more than there is; also writes of Namespaces.
func notGrowing(r Request, d *draft) bool {
	return r.Replicas <= r.OldReplicas && d.finish(Allow, ReasonNotGrowing, "")
}

// ceiling holds a growth to the smallest ceiling. Equal ceilings are told apart by their
// order: the object's own first, so that the nearest one is named.
func ceiling(r Request, d *draft) bool {
	settings := append([]Setting{r.Own, r.OldOwn}, r.Above...)
	lowest, by := int64(-1), Setting{}
	for i, s := range settings {
		limit, known := read(s, d, i == 1 && s.Value == r.Own.Value)
		if known && (lowest < 0 || limit < lowest) {
			lowest, by = limit, s
		}
	}
	switch {
	case lowest < 0:
		return d.finish(Allow, ReasonNoCeiling, "")
	case r.Replicas <= lowest:
		return d.finish(Allow, ReasonWithinCeiling, "")
	default:
		return d.finish(Deny, ReasonAboveCeiling, denial(r, by, lowest))
	}
}

// read is a setting's number: its value, or the last good one while the value is
// malformed. Where none is known there is no number, and the writer is warned: zero would
// stop a cluster because of a typo.
func read(s Setting, d *draft, told bool) (limit int64, known bool) {
	if !s.Set {
		return 0, false
	}
	limit, err := ParseCeiling(s.Value)
	if err == nil {
		return limit, true
	}
	if !told {
		d.warn(stale(s, err))
	}
	if s.LastGood == nil {
		return 0, false
	}
	return *s.LastGood, true
}

func stale(s Setting, err error) string {
	effect := "it is ignored"
	if s.LastGood != nil {
		effect = fmt.Sprintf("the last good value, %d, stays in force", *s.LastGood)
	}
	return fmt.Sprintf("%s: annotation %s: %v; %s until it is corrected", s.On, MaxReplicas, err, effect)
}

// denial names the object, what was asked and allowed, what set it, and who can change it.
func denial(r Request, by Setting, limit int64) string {
	set := fmt.Sprintf("%s=%q on %s", MaxReplicas, by.Value, by.On)
	if _, err := ParseCeiling(by.Value); err != nil {
		set += fmt.Sprintf(" (malformed; its last good value, %d, stays in force)", limit)
	}
	remedy := fmt.Sprintf("ask for at most %d, or have somebody who may edit %s raise it", limit, by.On)
	if r.Own.Value != r.OldOwn.Value && by.On == r.Object && !r.Create {
		remedy += fmt.Sprintf("; a write that changes the annotation and grows is held to the smaller of both values, so raise it in a write of its own before this one (allowed before this write: %s)", told(r.OldOwn))
	}
	if r.OldReplicas > limit {
		remedy += fmt.Sprintf("; the %d replicas that exist already may stay", r.OldReplicas)
	}
	return fmt.Sprintf("%s: %d replicas asked for, at most %d allowed by annotation %s; %s", r.Object, r.Replicas, limit, set, remedy)
}

func told(s Setting) string {
	if !s.Set {
		return "not set"
	}
	return s.Value
}

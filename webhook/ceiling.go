package webhook

import "fmt"

// notGrowing lets through what asks for no more than there is; also writes of Namespaces.
func notGrowing(r Request, d *draft) bool {
	for _, c := range r.Counts {
		if c.New > c.Old {
			return false
		}
	}
	return d.finish(Allow, ReasonNotGrowing, "")
}

// ceiling holds every growth to the smallest ceiling.
func ceiling(r Request, d *draft) bool {
	limit, by := lowest(r, d)
	if limit < 0 {
		return d.finish(Allow, ReasonNoCeiling, "")
	}
	for _, c := range r.Counts {
		if c.New > c.Old && c.New > max(limit, r.Standing) {
			return d.above(r.Mode, denial(r, c, by, limit))
		}
	}
	return d.finish(Allow, ReasonWithinCeiling, "")
}

// above settles what happens above a ceiling.
func (d *draft) above(mode Mode, message string) bool {
	d.decision.Exceed(mode, ReasonAboveCeiling, message)
	return true
}

// Exceed makes a decision about what is above something that binds it: by its mode it is refused,
// told or let through.
func (d *Decision) Exceed(mode Mode, reason Reason, message string) {
	d.Verdict, d.Reason, d.Message = Allow, reason, ""
	switch mode {
	case Warn:
		d.Warnings = append(d.Warnings, message)
	case Audit:
	default:
		d.Verdict, d.Message = Deny, message
	}
}

// lowest is the smallest ceiling and what set it, below zero where none binds. Equal ones
// are told apart by their order: the object's own first, so that the nearest one is named.
func lowest(r Request, d *draft) (limit int64, by Setting) {
	limit = -1
	for i, s := range append([]Setting{r.Own, r.OldOwn}, r.Above...) {
		n, known, warning := r.limit(s)
		if told := i == 1 && s.Value == r.Own.Value; warning != "" && !told {
			d.warn(warning)
		}
		if known && (limit < 0 || n < limit) {
			limit, by = n, s
		}
	}
	return limit, by
}

// limit is what a setting allows the workload, or what that is made for.
func (r Request) limit(s Setting) (limit int64, known bool, warning string) {
	limit, known, warning = s.Limit(r.Workload)
	if r.For.Name == "" {
		return limit, known, warning
	}
	if most, named, _ := s.Limit(r.For); named && (!known || most < limit) {
		return most, true, warning
	}
	return limit, known, warning
}

// Effective is the smallest ceiling that applies to a request and the setting that it comes
// from; none applies where bound is false.
func Effective(r Request) (limit int64, by Setting, bound bool) {
	limit, by = lowest(r, &draft{})
	return limit, by, limit >= 0
}

// Limit is what a setting allows a workload: by its value, or by the last good one while
// the value is malformed. Where none is known there is no number, and the writer is warned:
// zero would stop a cluster because of a typo.
func (s Setting) Limit(workload Object) (limit int64, known bool, warning string) {
	if !s.Set {
		return 0, false, ""
	}
	limit, known, err := s.read(s.Value, workload)
	if err == nil {
		return limit, known, ""
	}
	warning = stale(s, err)
	if s.LastGood == nil {
		return 0, false, warning
	}
	limit, known, _ = s.read(*s.LastGood, workload)
	return limit, known, warning
}

func (s Setting) read(value string, workload Object) (limit int64, known bool, err error) {
	if s.Annotation == WorkloadMaxReplicas {
		limits, err := ParseWorkloads(value)
		limit, known = limits[workload.Workload()]
		return limit, known, err
	}
	limit, err = ParseCeiling(value)
	return limit, err == nil, err
}

// Unreadable says what is wrong with the value of a setting, and what holds meanwhile.
func Unreadable(s Setting) string { return stale(s, Malformed(s.Annotation, s.Value)) }

func stale(s Setting, err error) string {
	effect := "it is ignored"
	if s.LastGood != nil {
		effect = fmt.Sprintf("the last good value, %s, stays in force", *s.LastGood)
	}
	return fmt.Sprintf("%s: annotation %s: %v; %s until it is corrected", s.On, s.Annotation, err, effect)
}

// denial names the object, what was asked and allowed, what set it, and who can change it.
func denial(r Request, c Change, by Setting, limit int64) string {
	asked := fmt.Sprintf("%d %s asked for", c.New, r.Measure)
	if c.Field != replicasField {
		asked += " by " + c.Field
	}
	remedy := fmt.Sprintf("ask for at most %d, or have somebody who may edit %s raise it", limit, by.On)
	if r.Own.Value != r.OldOwn.Value && by.On == r.Object && !r.Create {
		remedy += fmt.Sprintf("; a write that changes the annotation and grows is held to the smaller of both values, so raise it in a write of its own before this one (allowed before this write: %s)", told(r.OldOwn))
	}
	if c.Old > limit {
		remedy += fmt.Sprintf("; the %d %s that exist already may stay", c.Old, r.Measure)
	}
	return fmt.Sprintf("%s: %s, at most %d allowed by %s; %s", r.Object, asked, limit, Source(by), remedy)
}

// Source names what set a ceiling.
func Source(by Setting) string {
	set := fmt.Sprintf("annotation %s=%q on %s", by.Annotation, by.Value, by.On)
	if err := Malformed(by.Annotation, by.Value); err != nil {
		set += fmt.Sprintf(" (malformed; its last good value, %s, stays in force)", *by.LastGood)
	}
	return set
}

func told(s Setting) string {
	if !s.Set {
		return "not set"
	}
	return s.Value
}

package webhook

import (
	"fmt"
	"slices"

	"forewarm.dev/webhook/expression"
)

// Verb is what somebody must be allowed to do with the resource ceilings of forewarm.dev.
type Verb string

// Verbs.
const (
	// Set is needed to raise or remove a ceiling, or to weaken its mode.
	Set Verb = "set"
	// Overrule is needed to set or change an override. Removing one is free.
	Overrule Verb = "override"
)

// access refuses writes that loosen a ceiling by somebody who may not. Tightening is free to
// whoever may write the object.
func access(r Request, d *draft) bool {
	for _, annotation := range Written() {
		rewrite, rewritten := r.Rewritten[annotation]
		if !rewritten {
			continue
		}
		verb, needed := needs(annotation, rewrite)
		if !needed || r.May[verb] {
			continue
		}
		d.decision.Needs = verb
		return d.finish(Deny, ReasonNotPermitted, fmt.Sprintf(
			`%s: changing annotation %s from %s to %s loosens a ceiling, for which one needs the verb %q on ceilings.forewarm.dev; have somebody do it who may, or ask an administrator for that verb in a Role or ClusterRole`,
			r.Object, annotation, quoted(rewrite.Old), quoted(rewrite.New), verb))
	}
	return false
}

func quoted(value *string) string {
	if value == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q", *value)
}

// needs is the verb that a rewrite needs.
func needs(annotation string, w Rewrite) (Verb, bool) {
	switch annotation {
	case CeilingOverride:
		return Overrule, w.New != nil
	case CeilingMode:
		return Set, laxness(w.New) > laxness(w.Old)
	case AllowedInstanceTypes:
		return Set, w.Old != nil && approvesMore(*w.Old, w.New)
	case WorkloadMaxReplicas:
		return Set, w.Old != nil && loosensAny(*w.Old, w.New)
	default:
		return Set, w.Old != nil && loosens(*w.Old, w.New)
	}
}

// Loosens says whether a rewrite of an annotation loosens a ceiling.
func Loosens(annotation string, w Rewrite) bool {
	_, is := needs(annotation, w)
	return is
}

// laxness orders modes; no mode, and one that cannot be read, enforce.
func laxness(mode *string) int {
	if mode == nil {
		return 0
	}
	switch m, _ := ParseMode(*mode); m {
	case Warn:
		return 1
	case Audit:
		return 2
	default:
		return 0
	}
}

// loosens says whether a number is raised or removed. A value that cannot be read may stand
// for any number, so only removing it loosens.
func loosens(old string, now *string) bool {
	if now == nil {
		return true
	}
	before, err := ParseCeiling(old)
	after, _ := ParseCeiling(*now)
	return err == nil && after > before
}

// loosensAny says whether a workload's number is raised or removed.
func loosensAny(old string, now *string) bool {
	if now == nil {
		return true
	}
	before, err := ParseWorkloads(old)
	if err != nil {
		return false
	}
	after, _ := ParseWorkloads(*now)
	for workload, limit := range before {
		if n, kept := after[workload]; !kept || n > limit {
			return true
		}
	}
	return false
}

// approvesMore says whether an instance type is approved that was not before.
func approvesMore(old string, now *string) bool {
	if now == nil {
		return true
	}
	before, err := expression.ParseInstances(old)
	if err != nil || Malformed(AllowedInstanceTypes, *now) != nil {
		return false
	}
	return slices.ContainsFunc(expression.InstanceEntries(*now), func(entry string) bool { return !before.MatchString(entry) })
}

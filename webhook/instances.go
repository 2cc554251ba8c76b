package webhook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"forewarm.dev/webhook/expression"
)

// Instances are the instance types that a write allows, as [expression.Selection.Of] says them.
type Instances struct {
	// New are those after the write, Old those before, none on create.
	New, Old []string
	// Lists are the annotations that bind the object.
	Lists []Setting
}

// Widened are the types that were not allowed before.
func (i Instances) Widened() []string {
	var out []string
	for _, asked := range i.New {
		if !slices.ContainsFunc(i.Old, func(old string) bool { return expression.InstancesWithin(old, asked) }) {
			out = append(out, asked)
		}
	}
	return out
}

// instances holds what is newly allowed to the approved instance types, as counts are held to
// ceilings: what was allowed before may stay.
func instances(r Request, d *draft) bool {
	if r.Instances == nil {
		return false
	}
	asked, by := unapproved(r.Instances.Widened(), r.Instances.Lists, d)
	if len(asked) == 0 {
		return false
	}
	message := unapprovedMessage(r.Object, asked, by)
	switch r.Mode {
	case Warn:
		d.warn(message)
	case Audit:
	default:
		return d.finish(Deny, ReasonUnapprovedInstanceType, message)
	}
	d.decision.Audit = map[string]string{"unapproved-instance-types": strings.Join(asked, ",")}
	return false
}

// unapproved are the types that the first list which does not approve them all leaves out.
func unapproved(types []string, lists []Setting, d *draft) (out []string, by Setting) {
	for _, list := range lists {
		approved := list.instances(d)
		if approved == nil {
			continue
		}
		for _, t := range types {
			if !approved.MatchString(t) {
				out, by = append(out, t), list
			}
		}
		if len(out) > 0 {
			return out, by
		}
	}
	return nil, by
}

// Unapproved are the instance types that an object allows against a list, and that list.
func Unapproved(i *Instances) ([]string, Setting) {
	if i == nil {
		return nil, Setting{}
	}
	return unapproved(i.New, i.Lists, &draft{})
}

// instances is what a list approves: by its value, or by the last good one while that cannot be
// read; nil where nothing binds.
func (s Setting) instances(d *draft) *regexp.Regexp {
	if !s.Set {
		return nil
	}
	approved, err := expression.ParseInstances(s.Value)
	if err == nil {
		return approved
	}
	d.warn(stale(s, err))
	if s.LastGood == nil {
		return nil
	}
	approved, _ = expression.ParseInstances(*s.LastGood)
	return approved
}

// namedInstances is how many instance types a message lists.
const namedInstances = 3

func unapprovedMessage(o Object, types []string, by Setting) string {
	asked := "every instance type"
	if !slices.Contains(types, expression.AnyInstance) {
		asked = "instance type " + strings.Join(types[:min(len(types), namedInstances)], ", ")
		if more := len(types) - namedInstances; more > 0 {
			asked += fmt.Sprintf(" and %d more", more)
		}
	}
	return fmt.Sprintf("%s: %s allowed by it and not approved by %s; require %s In approved ones, or have somebody who may edit %s approve more",
		o, asked, Source(by), expression.InstanceTypeLabel, by.On)
}

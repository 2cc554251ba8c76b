package webhook

import "fmt"

// override lets a growth through that the workload's override allows, and tells the audit
// log why. One that has ended, or cannot be read, counts for nothing; a growth beyond it is
// held to the ceilings.
func override(r Request, d *draft) bool {
	if !r.Override.Set {
		return false
	}
	o, err := ParseOverride(r.Override.Value)
	if err != nil || !r.Now.Before(o.Until) {
		d.warn(fmt.Sprintf("%s: annotation %s=%q has ended or cannot be read, and counts for nothing; remove it", r.Workload, CeilingOverride, r.Override.Value))
		return false
	}
	for _, c := range r.Counts {
		if c.New > c.Old && c.New > o.Limit {
			return false
		}
	}
	d.decision.Audit = map[string]string{"override": r.Override.Value}
	return d.finish(Allow, ReasonOverridden, "")
}

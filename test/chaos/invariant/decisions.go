package invariant

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
)

// decisions: what was done had been decided, and what was decided stays known.
type decisions struct {
	name
	keep  int
	pools map[string]*account
}

// account is what was decided for a pool and not done yet, and the Decisions that are kept.
type account struct {
	create, ungate int32
	kept           []string
}

// Decisions holds that each placeholder is made and ungated on a Decision that is kept before, and
// that none goes before as many newer ones are there as are kept of a pool.
func Decisions(keep int) Checker {
	return decisions{"no-decision-lost", keep, map[string]*account{}}
}

// See takes a Decision or a placeholder.
func (d decisions) See(c Change) []Violation {
	if decision, ok := now[*v1alpha1.Decision](c); ok && c.Before == nil {
		a := d.of(decision.Spec.Pool)
		a.kept = append(a.kept, decision.Name)
		if decision.Spec.Mode.Acts() {
			a.create += decision.Spec.Create
			a.ungate += decision.Spec.Ungate
		}
		return nil
	}
	if decision, ok := was[*v1alpha1.Decision](c); ok && c.After == nil {
		return d.gone(c, decision)
	}
	return d.placeholder(c)
}

func (d decisions) gone(c Change, decision *v1alpha1.Decision) []Violation {
	a := d.of(decision.Spec.Pool)
	kept := len(a.kept)
	a.kept = slices.DeleteFunc(a.kept, func(n string) bool { return n == decision.Name })
	if kept <= d.keep {
		return d.violated(c, "Decision %s is gone with %d kept of pool %s, at least %d wanted", decision.Name, kept, decision.Spec.Pool, d.keep)
	}
	return nil
}

func (d decisions) placeholder(c Change) []Violation {
	pod, ok := now[*corev1.Pod](c)
	if !ok || !placeholder(pod) {
		return nil
	}
	a := d.of(pod.Labels[v1alpha1.LabelPool])
	before, had := was[*corev1.Pod](c)
	if !had {
		if a.create--; a.create < 0 {
			a.create = 0 // each is told once
			return d.violated(c, "placeholder %s was made, and no Decision says so", pod.Name)
		}
	}
	if !gated(pod) && (!had || gated(before)) {
		if a.ungate--; a.ungate < 0 {
			a.ungate = 0
			return d.violated(c, "placeholder %s was ungated, and no Decision says so", pod.Name)
		}
	}
	return nil
}

func (d decisions) of(pool string) *account {
	if d.pools[pool] == nil {
		d.pools[pool] = &account{}
	}
	return d.pools[pool]
}

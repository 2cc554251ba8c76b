package webhook

import (
	"fmt"
	"testing"
	"time"
)

// lowered are all requests like r in which one ceiling is lower or, if there was none, there.
// Overrides are left alone: theirs is another rule.
func lowered(r Request, to string) []Request {
	lower := func(s Setting) (Setting, bool) {
		n, known, err := s.read(s.Value, r.Workload)
		m, _ := ParseCeiling(to)
		if s.Set && err == nil && known && n <= m {
			return s, false
		}
		s.Set, s.LastGood, s.Value = true, nil, to
		if s.Annotation == WorkloadMaxReplicas {
			s.Value = r.Workload.Workload() + "=" + to
		}
		return s, true
	}
	var out []Request
	if s, is := lower(r.Own); is {
		own := r
		own.Own, own.OldOwn = s, s
		out = append(out, own)
	}
	for i := range r.Above {
		if s, is := lower(r.Above[i]); is {
			above := r
			above.Above = append([]Setting{}, r.Above...)
			above.Above[i] = s
			out = append(out, above)
		}
	}
	return out
}

// gives is how much more than before a decision lets a request have.
func gives(r Request, d Decision) int64 {
	most := int64(0)
	if d.Verdict == Allow {
		for _, c := range r.Counts {
			most = max(most, c.New-c.Old)
		}
	}
	for _, op := range d.Patch {
		if n, is := op.Value.(int64); is && op.Path == "/spec/replicas" {
			most = n - r.Counts[0].Old
		}
	}
	return most
}

// FuzzMonotone: whoever writes, in whatever mode, and wherever a ceiling stands, a lower one
// never allows more, and asking again for what was given changes nothing.
func FuzzMonotone(f *testing.F) {
	f.Add(int64(6), int64(3), "5", "9", "deployment/web=7", "", uint8(0), uint8(4), int64(0))
	f.Add(int64(9), int64(3), "", "lots", "", "20 until 2999-01-01T00:00:00Z: load test", uint8(1), uint8(0), int64(7))
	f.Add(int64(9), int64(12), "5", "", "deployment/db=1", "2 until 1999-01-01T00:00:00Z: load test", uint8(6), uint8(255), int64(0))
	f.Fuzz(func(t *testing.T, replicas, old int64, own, cluster, list, override string, bits, to uint8, standing int64) {
		at := func(s Setting, value string) Setting {
			s.Set, s.Value = value != "", value
			return s
		}
		namespace, system := Object{Kind: "Namespace", Name: "team"}, Object{Kind: "Namespace", Name: "kube-system"}
		r := Request{
			Object: web, Workload: web, Create: bits&1 != 0, Autoscaler: bits&2 != 0, Measure: Replicas, Mode: []Mode{"", Enforce, Warn, Audit}[bits>>2&3],
			Standing: max(standing, 0), Now: time.Unix(0, 0), Own: at(on(web), own), OldOwn: at(on(web), own), Override: at(Setting{On: web, Annotation: CeilingOverride}, override),
			Above:  []Setting{at(Setting{On: namespace, Annotation: WorkloadMaxReplicas}, list), at(on(system), cluster)},
			Counts: []Change{{Field: replicasField, New: replicas, Old: old}},
		}
		if bits&16 != 0 {
			r.Counts = append(r.Counts, Change{Field: "spec.maxReplicas", New: replicas + 1, Old: old})
		}
		for name, chain := range map[string]Chain{"ceilings": Ceilings(), "clamps": Clamps()} {
			before := gives(r, chain.Review(r))
			for _, l := range lowered(r, fmt.Sprint(to)) {
				if after := gives(l, chain.Review(l)); after > before {
					t.Errorf("%s: %d more is given under %+v, only %d under %+v", name, after, l, before, r)
				}
			}
			given := r
			given.Counts = []Change{{Field: replicasField, New: old + before, Old: old}}
			if again := chain.Review(given); before > 0 && len(r.Counts) == 1 && gives(given, again) != before {
				t.Errorf("%s: %+v was given %d, and asked again for that: %+v", name, r, before, again)
			}
		}
	})
}

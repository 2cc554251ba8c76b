package webhook

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var web = Object{Kind: "Deployment", Namespace: "team", Name: "web"}

// on is a setting; no value means that there is no annotation.
func on(o Object, value ...string) Setting {
	s := Setting{On: o, Annotation: MaxReplicas, Set: len(value) > 0}
	if s.Set {
		s.Value = value[0]
	}
	return s
}

func lastGood(s Setting, value string) Setting {
	s.LastGood = &value
	return s
}

// named is a Namespace's list of workloads.
func named(o Object, value string) Setting {
	s := on(o, value)
	s.Annotation = WorkloadMaxReplicas
	return s
}

// write is a request about spec.replicas and the object's own annotation.
type write struct {
	Object                Object
	Create                bool
	Owner                 *Owner
	Replicas, OldReplicas int64
	Own, OldOwn           Setting
	Above                 []Setting
	Mode                  Mode
	MayNot                bool
}

func stored(s Setting) *string {
	if !s.Set {
		return nil
	}
	return &s.Value
}

func (w write) request() Request {
	r := Request{
		Object: w.Object, Workload: w.Object, Create: w.Create, Measure: Replicas, Owner: w.Owner, Own: w.Own, OldOwn: w.OldOwn, Above: w.Above, Mode: w.Mode,
		Counts: []Change{{Field: replicasField, New: w.Replicas, Old: w.OldReplicas}},
	}
	if w.Own.Set != w.OldOwn.Set || w.Own.Value != w.OldOwn.Value {
		r.Rewritten = map[string]Rewrite{MaxReplicas: {New: stored(w.Own), Old: stored(w.OldOwn)}}
	}
	r.May = map[Verb]bool{Set: !w.MayNot}
	return r
}

func TestCeilings(t *testing.T) {
	team, cluster := Object{Kind: "Namespace", Name: "team"}, Object{Kind: "Namespace", Name: "kube-system"}
	cases := map[string]struct {
		request     write
		wantVerdict Verdict
		wantReason  Reason
		// wantSays are parts of the message, wantWarns of the warnings.
		wantSays, wantWarns []string
	}{
		"nothing binds":  {write{Object: web, Create: true, Replicas: 1000}, Allow, ReasonNoCeiling, nil, nil},
		"at the ceiling": {write{Object: web, Create: true, Replicas: 5, Own: on(web, "5")}, Allow, ReasonWithinCeiling, nil, nil},
		"create above": {
			write{Object: web, Create: true, Replicas: 6, Own: on(web, "5")},
			Deny, ReasonAboveCeiling,
			[]string{"Deployment team/web", "6 replicas", "at most 5", `forewarm.dev/max-replicas="5" on Deployment team/web`, "somebody who may edit Deployment team/web"},
			nil,
		},
		"zero is a ceiling":      {write{Object: web, Create: true, Replicas: 1, Own: on(web, "0")}, Deny, ReasonAboveCeiling, []string{"at most 0"}, nil},
		"grow above":             {write{Object: web, OldReplicas: 5, Replicas: 6, Own: on(web, "5"), OldOwn: on(web, "5")}, Deny, ReasonAboveCeiling, nil, nil},
		"grandfathered edit":     {write{Object: web, OldReplicas: 10, Replicas: 10, Own: on(web, "5"), OldOwn: on(web, "5")}, Allow, ReasonNotGrowing, nil, nil},
		"grandfathered decrease": {write{Object: web, OldReplicas: 10, Replicas: 9, Own: on(web, "5"), OldOwn: on(web, "5")}, Allow, ReasonNotGrowing, nil, nil},
		"grandfathered growth": {
			write{Object: web, OldReplicas: 10, Replicas: 11, Own: on(web, "5"), OldOwn: on(web, "5")}, Deny, ReasonAboveCeiling, []string{"10 replicas that exist already may stay"}, nil,
		},
		"to zero": {write{Object: web, OldReplicas: 3, Own: on(web, "1"), OldOwn: on(web, "1")}, Allow, ReasonNotGrowing, nil, nil},
		"smallest of all levels": {
			write{Object: web, Create: true, Replicas: 6, Own: on(web, "9"), Above: []Setting{on(team, "5"), on(cluster, "7")}},
			Deny, ReasonAboveCeiling,
			[]string{`"5" on Namespace team`},
			nil,
		},
		"cluster": {
			write{Object: web, Create: true, Replicas: 6, Above: []Setting{on(team), on(cluster, "5")}}, Deny, ReasonAboveCeiling, []string{"Namespace kube-system"}, nil,
		},
		"raised and grown in one write": {
			write{Object: web, OldReplicas: 3, Replicas: 8, Own: on(web, "10"), OldOwn: on(web, "3")}, Deny, ReasonAboveCeiling, []string{"at most 3", "in a write of its own"}, nil,
		},
		"removed and grown in one write": {
			write{Object: web, OldReplicas: 3, Replicas: 8, Own: on(web), OldOwn: on(web, "3")}, Deny, ReasonAboveCeiling, []string{"at most 3", "in a write of its own"}, nil,
		},
		"set and grown in one write": {
			write{Object: web, OldReplicas: 3, Replicas: 8, Own: on(web, "5"), OldOwn: on(web)}, Deny, ReasonAboveCeiling, []string{"at most 5", "not set"}, nil,
		},
		"owned": {write{Object: web, Owner: &Owner{Bound: 9}, Create: true, Replicas: 9, Own: on(web, "lots")}, Allow, ReasonOwned, nil, nil},
		"owned, but more than its owner asks for": {
			write{Object: web, Owner: &Owner{Bound: 9}, Create: true, Replicas: 10, Own: on(web, "8")}, Deny, ReasonAboveCeiling, []string{"at most 8"}, nil,
		},
		"mode warn": {
			write{Object: web, Create: true, Replicas: 6, Own: on(web, "5"), Mode: Warn}, Allow, ReasonAboveCeiling, nil, []string{"at most 5"},
		},
		"mode audit": {write{Object: web, Create: true, Replicas: 6, Own: on(web, "5"), Mode: Audit}, Allow, ReasonAboveCeiling, nil, nil},
		"named in the Namespace": {
			write{Object: web, Create: true, Replicas: 6, Above: []Setting{named(team, "statefulset/web=1, deployment/web=5"), on(team, "9")}},
			Deny, ReasonAboveCeiling,
			[]string{`at most 5 allowed by annotation forewarm.dev/workload-max-replicas=`, "on Namespace team"},
			nil,
		},
		"another is named": {write{Object: web, Create: true, Replicas: 6, Above: []Setting{named(team, "deployment/db=5")}}, Allow, ReasonNoCeiling, nil, nil},
		"malformed on create": {
			write{Object: web, Create: true, Own: on(web, "lots")},
			Deny, ReasonMalformed,
			[]string{"Deployment team/web", MaxReplicas, `"lots"`, `write for example forewarm.dev/max-replicas: "10"`},
			nil,
		},
		"malformed on a Namespace": {write{Object: team, Own: on(team, "-1"), OldOwn: on(team, "3")}, Deny, ReasonMalformed, []string{"Namespace team", `"-1"`}, nil},
		"made empty":               {write{Object: team, Own: on(team, ""), OldOwn: on(team)}, Deny, ReasonMalformed, []string{`""`}, nil},
		"malformed before already": {write{Object: web, OldReplicas: 3, Replicas: 3, Own: on(web, "lots"), OldOwn: on(web, "lots")}, Allow, ReasonNotGrowing, nil, nil},
		"malformed, nothing known": {
			write{Object: web, OldReplicas: 3, Replicas: 30, Own: on(web, "lots"), OldOwn: on(web, "lots")}, Allow, ReasonNoCeiling, nil, []string{`"lots" is not a whole number`, "it is ignored until"},
		},
		"malformed, last good known": {
			write{Object: web, OldReplicas: 3, Replicas: 30, Above: []Setting{lastGood(on(team, "1.5"), "10")}},
			Deny, ReasonAboveCeiling,
			[]string{"at most 10", "its last good value, 10, stays in force"},
			[]string{"the last good value, 10, stays in force"},
		},
		"repaired and grown in one write": {
			write{Object: web, OldReplicas: 3, Replicas: 30, Own: on(web, "50"), OldOwn: lastGood(on(web, "lots"), "10")}, Deny, ReasonAboveCeiling, []string{"at most 10"}, []string{`"lots"`},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := Ceilings().Review(c.request.request())
			if got.Verdict != c.wantVerdict || got.Reason != c.wantReason {
				t.Errorf("got %s %s (%s), want %s %s", got.Verdict, got.Reason, got.Message, c.wantVerdict, c.wantReason)
			}
			if (got.Message != "") != (got.Verdict == Deny) {
				t.Errorf("message %q with verdict %s", got.Message, got.Verdict)
			}
			for _, part := range c.wantSays {
				if !strings.Contains(got.Message, part) {
					t.Errorf("message %q lacks %q", got.Message, part)
				}
			}
			if len(got.Warnings) != min(1, len(c.wantWarns)) {
				t.Errorf("warnings %q, want %d", got.Warnings, min(1, len(c.wantWarns)))
			}
			for _, part := range c.wantWarns {
				if !strings.Contains(strings.Join(got.Warnings, "\n"), part) {
					t.Errorf("warnings %q lack %q", got.Warnings, part)
				}
			}
		})
	}
}

func TestParseCeiling(t *testing.T) {
	cases := map[string]struct {
		want   int64
		wantOK bool
	}{
		"0": {0, true}, "5": {5, true}, "010": {10, true}, "2147483647": {2147483647, true},
		"2147483648": {}, "99999999999999999999": {}, "-1": {}, "+1": {}, "1.5": {}, "1e3": {}, "lots": {}, "": {}, " 5": {}, "5\n": {}, "0x10": {}, "1_000": {}, "٥": {},
	}
	for value, c := range cases {
		got, err := ParseCeiling(value)
		if got != c.want || (err == nil) != c.wantOK {
			t.Errorf("%q: got %d, %v; want %d, ok %t", value, got, err, c.want, c.wantOK)
		}
	}
}

func FuzzParseCeiling(f *testing.F) {
	for _, seed := range []string{"0", "5", "-1", "1.5", "lots", "", "99999999999", "００"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, err := ParseCeiling(value)
		n, ok := new(big.Int).SetString(value, 10)
		want := ok && strings.Trim(value, "0123456789") == "" && n.Cmp(big.NewInt(2147483647)) <= 0
		if (err == nil) != want || (want && got != n.Int64()) {
			t.Errorf("%q: got %d, %v", value, got, err)
		}
	})
}

// FuzzCeilings holds the chain to the rule in one line, and to monotony: a lower ceiling
// never allows more.
func FuzzCeilings(f *testing.F) {
	f.Add(int64(6), int64(3), uint16(5), uint16(9), uint16(7), false)
	f.Add(int64(0), int64(3), uint16(0), uint16(0), uint16(0), true)
	f.Fuzz(func(t *testing.T, replicas, old int64, own, namespace, cluster uint16, create bool) {
		if create {
			old = 0
		}
		at := func(own uint16) Request {
			r := write{
				Object: web, Create: create, Replicas: replicas, OldReplicas: old, Own: on(web, fmt.Sprint(own)),
				Above: []Setting{on(Object{Kind: "Namespace", Name: "team"}, fmt.Sprint(namespace)), on(Object{Kind: "Namespace", Name: "kube-system"}, fmt.Sprint(cluster))},
			}
			if !create {
				r.OldOwn = r.Own
			}
			return r.request()
		}
		request := at(own)
		before := at(own)
		got := Ceilings().Review(request)
		want := replicas <= old || replicas <= int64(min(own, namespace, cluster))
		if (got.Verdict == Allow) != want {
			t.Errorf("%+v: got %+v, want allowed %t", request, got, want)
		}
		if diff := cmp.Diff(before, request); diff != "" {
			t.Errorf("the request was changed:\n%s", diff)
		}
		if own > 0 && got.Verdict == Deny && Ceilings().Review(at(own-1)).Verdict == Allow {
			t.Errorf("%+v is denied, but allowed at a lower ceiling", request)
		}
	})
}

// BenchmarkCeilings is a scale that is allowed: the common case.
func BenchmarkCeilings(b *testing.B) {
	r := write{Object: web, OldReplicas: 3, Replicas: 4, Own: on(web, "5"), OldOwn: on(web, "5"), Above: []Setting{on(Object{Kind: "Namespace", Name: "team"}, "9")}}.request()
	chain := Ceilings()
	for b.Loop() {
		chain.Review(r)
	}
}

package webhook

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var hpa = Object{Kind: "HorizontalPodAutoscaler", Namespace: "team", Name: "web"}

// kept is the annotation that an HPA which was brought under a ceiling has.
func kept(original string) map[string]string {
	return map[string]string{OriginalMaxReplicas: original}
}

// after applies a patch to an HPA, and fails where that is not possible.
func after(t *testing.T, b Bounds, ops []Operation) Bounds {
	t.Helper()
	b.Annotations = maps.Clone(b.Annotations)
	for _, op := range ops {
		key := strings.ReplaceAll(strings.TrimPrefix(op.Path, "/metadata/annotations/"), "~1", "/")
		_, has := b.Annotations[key]
		switch {
		case op.Op == "add" && op.Path == "/spec/maxReplicas":
			b.Max.Written = op.Value.(int64)
		case op.Op == "add" && op.Path == "/spec/minReplicas":
			b.Min.Written = op.Value.(int64)
		case op.Op == "add" && op.Path == "/metadata/annotations" && b.Annotations == nil:
			b.Annotations = op.Value.(map[string]string)
		case op.Op == "add" && key != op.Path && b.Annotations != nil:
			b.Annotations[key] = op.Value.(string)
		case op.Op == "remove" && has:
			delete(b.Annotations, key)
		default:
			t.Fatalf("%+v does not apply to %+v", op, b)
		}
	}
	return b
}

func TestClampBounds(t *testing.T) {
	team := Object{Kind: "Namespace", Name: "team"}
	five := on(team, "5")
	cases := map[string]struct {
		bounds       Bounds
		ceiling      Setting
		standing     int64
		mode         Mode
		wantMax      int64
		wantOriginal string
		wantReason   Reason
		wantWarned   bool
	}{
		"created above":             {Bounds{Max: Bound{9, 0}, Min: Bound{1, 0}}, five, 0, Enforce, 5, "9", ReasonClamped, true},
		"created within":            {Bounds{Max: Bound{5, 0}, Min: Bound{1, 0}}, five, 0, Enforce, 5, "", ReasonWithinCeiling, false},
		"nothing binds":             {Bounds{Max: Bound{9, 0}, Min: Bound{1, 0}}, on(team), 0, Enforce, 9, "", ReasonNoCeiling, false},
		"other annotations stay":    {Bounds{Max: Bound{9, 0}, Min: Bound{1, 0}, Annotations: map[string]string{"a": "b"}}, five, 0, Enforce, 5, "9", ReasonClamped, true},
		"touched under a new one":   {Bounds{Max: Bound{9, 9}, Min: Bound{1, 1}}, five, 0, "", 5, "9", ReasonClamped, true},
		"touched under the same":    {Bounds{Max: Bound{5, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, five, 0, Enforce, 5, "9", ReasonClamped, false},
		"touched under a lower":     {Bounds{Max: Bound{6, 6}, Min: Bound{1, 1}, Annotations: kept("9")}, five, 0, Enforce, 5, "9", ReasonClamped, true},
		"touched under a higher":    {Bounds{Max: Bound{5, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, on(team, "7"), 0, Enforce, 7, "9", ReasonClamped, true},
		"touched under none":        {Bounds{Max: Bound{5, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, on(team), 0, Enforce, 9, "", ReasonRestored, false},
		"touched under one above":   {Bounds{Max: Bound{5, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, on(team, "10"), 0, Enforce, 9, "", ReasonRestored, false},
		"the original once more":    {Bounds{Max: Bound{9, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, five, 0, Enforce, 5, "9", ReasonClamped, true},
		"lowered by its owner":      {Bounds{Max: Bound{4, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, five, 0, Enforce, 4, "", ReasonWithinCeiling, false},
		"raised by its owner":       {Bounds{Max: Bound{12, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, five, 0, Enforce, 5, "12", ReasonClamped, true},
		"made within, lifted":       {Bounds{Max: Bound{6, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, on(team), 0, Enforce, 6, "", ReasonNoCeiling, false},
		"more stands already":       {Bounds{Max: Bound{9, 9}, Min: Bound{1, 1}}, five, 8, Enforce, 8, "9", ReasonClamped, true},
		"it has shrunk since":       {Bounds{Max: Bound{8, 8}, Min: Bound{1, 1}, Annotations: kept("9")}, five, 6, Enforce, 6, "9", ReasonClamped, true},
		"the minimum stands":        {Bounds{Max: Bound{9, 9}, Min: Bound{6, 6}}, five, 6, Enforce, 6, "9", ReasonClamped, true},
		"mode warn":                 {Bounds{Max: Bound{9, 0}, Min: Bound{1, 0}}, five, 0, Warn, 9, "", ReasonNoCeiling, false},
		"mode audit gives back":     {Bounds{Max: Bound{5, 5}, Min: Bound{1, 1}, Annotations: kept("9")}, five, 0, Audit, 9, "", ReasonRestored, false},
		"an original that is none":  {Bounds{Max: Bound{5, 5}, Min: Bound{1, 1}, Annotations: kept("lots")}, on(team), 0, Enforce, 5, "", ReasonNoCeiling, false},
		"an original that is below": {Bounds{Max: Bound{5, 5}, Min: Bound{1, 1}, Annotations: kept("3")}, on(team), 0, Enforce, 5, "", ReasonNoCeiling, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := Request{Object: hpa, Workload: web, Measure: Replicas, Above: []Setting{c.ceiling}, Mode: c.mode, Standing: c.standing, Bounds: &c.bounds}
			got := Clamps().Review(r)
			if got.Verdict != Allow || got.Reason != c.wantReason || (len(got.Warnings) > 0) != c.wantWarned {
				t.Errorf("got %+v, want %s, warned %t", got, c.wantReason, c.wantWarned)
			}
			now := after(t, c.bounds, got.Patch)
			if now.Max.Written != c.wantMax || now.Annotations[OriginalMaxReplicas] != c.wantOriginal {
				t.Errorf("got %+v, want %d and %q", now, c.wantMax, c.wantOriginal)
			}
			r.Bounds = &now
			if again := Clamps().Review(r); len(again.Patch) > 0 {
				t.Errorf("asked again it patches %+v", again.Patch)
			}
		})
	}
}

// TestClampMinimum: the minimum follows the maximum, and comes back.
func TestClampMinimum(t *testing.T) {
	team := Object{Kind: "Namespace", Name: "team"}
	both := map[string]string{OriginalMaxReplicas: "9", OriginalMinReplicas: "6"}
	cases := map[string]struct {
		bounds   Bounds
		ceiling  Setting
		standing int64
		want     Bounds
	}{
		"created above": {
			Bounds{Max: Bound{9, 0}, Min: Bound{6, 0}},
			on(team, "5"), 0,
			Bounds{Max: Bound{5, 0}, Min: Bound{5, 0}, Annotations: both},
		},
		"touched under a new ceiling": {
			Bounds{Max: Bound{9, 9}, Min: Bound{6, 6}},
			on(team, "5"), 2,
			Bounds{Max: Bound{5, 9}, Min: Bound{5, 6}, Annotations: both},
		},
		"what stands is no growth": {
			Bounds{Max: Bound{9, 9}, Min: Bound{8, 8}},
			on(team, "5"), 7,
			Bounds{Max: Bound{7, 9}, Min: Bound{7, 8}, Annotations: map[string]string{OriginalMaxReplicas: "9", OriginalMinReplicas: "8"}},
		},
		"given back": {
			Bounds{Max: Bound{5, 5}, Min: Bound{5, 5}, Annotations: both},
			on(team), 0,
			Bounds{Max: Bound{9, 5}, Min: Bound{6, 5}, Annotations: map[string]string{}},
		},
		"given back in part": {
			Bounds{Max: Bound{5, 5}, Min: Bound{5, 5}, Annotations: both},
			on(team, "7"), 0,
			Bounds{Max: Bound{7, 5}, Min: Bound{6, 5}, Annotations: kept("9")},
		},
		"a maximum written since is below the original minimum": {
			Bounds{Max: Bound{5, 6}, Min: Bound{5, 5}, Annotations: map[string]string{OriginalMinReplicas: "6"}},
			on(team), 0,
			Bounds{Max: Bound{5, 6}, Min: Bound{5, 5}, Annotations: map[string]string{}},
		},
		"a ceiling of zero leaves what the API server takes": {
			Bounds{Max: Bound{9, 9}, Min: Bound{6, 6}},
			on(team, "0"), 0,
			Bounds{Max: Bound{1, 9}, Min: Bound{1, 6}, Annotations: both},
		},
		"a minimum above its maximum is for the API server": {
			Bounds{Max: Bound{6, 0}, Min: Bound{9, 0}},
			on(team, "5"), 0,
			Bounds{Max: Bound{6, 0}, Min: Bound{9, 0}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := Request{Object: hpa, Workload: web, Measure: Replicas, Above: []Setting{c.ceiling}, Standing: c.standing, Bounds: &c.bounds}
			if diff := cmp.Diff(c.want, after(t, c.bounds, Clamps().Review(r).Patch)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClampScale(t *testing.T) {
	five := on(Object{Kind: "Namespace", Name: "team"}, "5")
	cases := map[string]struct {
		write      write
		autoscaler bool
		override   string
		want       int64 // 0 for no patch
		wantReason Reason
	}{
		"above":                   {write{OldReplicas: 3, Replicas: 9, Above: []Setting{five}}, true, "", 5, ReasonClamped},
		"within":                  {write{OldReplicas: 3, Replicas: 5, Above: []Setting{five}}, true, "", 0, ReasonWithinCeiling},
		"nothing binds":           {write{OldReplicas: 3, Replicas: 9}, true, "", 0, ReasonNoCeiling},
		"grandfathered":           {write{OldReplicas: 8, Replicas: 9, Above: []Setting{five}}, true, "", 8, ReasonClamped},
		"down":                    {write{OldReplicas: 9, Replicas: 8, Above: []Setting{five}}, true, "", 0, ReasonNotGrowing},
		"a person":                {write{OldReplicas: 3, Replicas: 9, Above: []Setting{five}}, false, "", 0, ReasonWithinCeiling},
		"owned":                   {write{OldReplicas: 3, Replicas: 9, Above: []Setting{five}, Owner: &Owner{Bound: 9}}, true, "", 0, ReasonOwned},
		"mode warn":               {write{OldReplicas: 3, Replicas: 9, Above: []Setting{five}, Mode: Warn}, true, "", 0, ReasonWithinCeiling},
		"up to an override":       {write{OldReplicas: 3, Replicas: 9, Above: []Setting{five}}, true, "7 until 2026-12-01T00:00:00Z: sale", 7, ReasonClamped},
		"an override that is too": {write{OldReplicas: 3, Replicas: 9, Above: []Setting{five}}, true, "7 until 2026-11-01T00:00:00Z: sale", 5, ReasonClamped},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.write.Object = web
			r := c.write.request()
			r.Autoscaler, r.Now = c.autoscaler, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
			r.Override = Setting{On: web, Annotation: CeilingOverride, Set: c.override != "", Value: c.override}
			got := Clamps().Review(r)
			if got.Verdict != Allow || got.Reason != c.wantReason {
				t.Errorf("got %+v, want %s", got, c.wantReason)
			}
			if c.want == 0 {
				if len(got.Patch) > 0 {
					t.Errorf("patch %+v, want none", got.Patch)
				}
				return
			}
			if diff := cmp.Diff([]Operation{{Op: "add", Path: "/spec/replicas", Value: c.want}}, got.Patch); diff != "" {
				t.Errorf("patch:\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"clamped-from": "9", "clamped-to": fmt.Sprint(c.want)}, got.Audit); diff != "" {
				t.Errorf("audit:\n%s", diff)
			}
			for _, says := range []string{"Deployment team/web: 9 replicas asked for", fmt.Sprintf("to %d", c.want), "on "} {
				if !strings.Contains(strings.Join(got.Warnings, ""), says) {
					t.Errorf("warnings %q lack %q", got.Warnings, says)
				}
			}
		})
	}
}

// TestStanding: what an autoscaler's object may reach already is no growth of the workload.
func TestStanding(t *testing.T) {
	r := write{Object: hpa, Create: true, Replicas: 8, Above: []Setting{on(Object{Kind: "Namespace", Name: "team"}, "5")}}.request()
	for standing, want := range map[int64]Verdict{0: Deny, 7: Deny, 8: Allow} {
		r.Standing = standing
		if got := Ceilings().Review(r); got.Verdict != want {
			t.Errorf("with %d standing: got %+v, want %s", standing, got, want)
		}
	}
}

// FuzzClampBounds: asked again about its own outcome it changes nothing, it never lets an HPA
// past its ceiling and what stands, a lower ceiling never gives more, and no minimum ends up above
// its maximum.
func FuzzClampBounds(f *testing.F) {
	f.Add(uint16(9), uint16(1), uint16(5), "9", uint16(5), uint16(0), true)
	f.Add(uint16(5), uint16(1), uint16(5), "9", uint16(7), uint16(8), true)
	f.Add(uint16(5), uint16(5), uint16(0), "", uint16(3), uint16(0), false)
	f.Fuzz(func(t *testing.T, most, least, old uint16, original string, limit, standing uint16, annotated bool) {
		b := Bounds{Max: Bound{int64(most), int64(old)}, Min: Bound{int64(least), int64(old)}}
		if annotated {
			b.Annotations = map[string]string{OriginalMaxReplicas: original, OriginalMinReplicas: original}
		}
		if least > most {
			return // never stored
		}
		at := func(b Bounds, limit uint16) Bounds {
			r := Request{
				Object: hpa, Workload: web, Measure: Replicas, Standing: int64(standing), Bounds: &b,
				Above: []Setting{on(Object{Kind: "Namespace", Name: "team"}, fmt.Sprint(limit))},
			}
			return after(t, b, Clamps().Review(r).Patch)
		}
		once := at(b, limit)
		if diff := cmp.Diff(once, at(once, limit)); diff != "" {
			t.Errorf("%+v: asked again:\n%s", b, diff)
		}
		if once.Max.Written > int64(max(limit, standing, 1)) || once.Min.Written > once.Max.Written {
			t.Errorf("%+v at %d became %+v", b, limit, once)
		}
		if limit > 0 && at(b, limit-1).Max.Written > once.Max.Written {
			t.Errorf("%+v: %+v at %d, but more at %d", b, once, limit, limit-1)
		}
	})
}

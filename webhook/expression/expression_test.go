package expression

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	yaml "sigs.k8s.io/json"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	var out any
	if err := yaml.UnmarshalCaseSensitivePreserveInts([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExpression(t *testing.T) {
	cases := map[string]struct {
		expression, object string
		want               int64
	}{
		"a value":                {"spec.replicas=1", `{"spec":{"replicas":5}}`, 5},
		"absent":                 {"spec.replicas=1", `{"spec":{}}`, 1},
		"no object":              {"spec.replicas=1", `null`, 1},
		"below zero is absent":   {"spec.replicas=1", `{"spec":{"replicas":-5}}`, 1},
		"a string is a quantity": {"spec.limits.nodes=0", `{"spec":{"limits":{"nodes":"10"}}}`, 10},
		"a fraction rounds up":   {"spec.limits.nodes=0", `{"spec":{"limits":{"nodes":2.2}}}`, 3},
		"not a number":           {"spec.limits.nodes=7", `{"spec":{"limits":{"nodes":"many"}}}`, 7},
		"a product":              {"spec.replicas=1 * spec.size=1", `{"spec":{"replicas":3,"size":4}}`, 12},
		"a list":                 {"1 + spec.groups[]: replicas=1 * hosts=1", `{"spec":{"groups":[{"replicas":2,"hosts":3},{}]}}`, 8},
		"a list that is none":    {"spec.groups[]: replicas=1", `{"spec":{"groups":{"a":{}}}}`, 0},
		"a map":                  {"spec.roles{}: replicas=1", `{"spec":{"roles":{"a":{"replicas":2},"b":{}}}}`, 3},
		"the smaller":            {"min(spec.a=1, spec.b=9)", `{"spec":{"a":4}}`, 4},
		"the greater":            {"max(a=0, @example.com/max=0)", `{"a":4,"metadata":{"annotations":{"example.com/max":"6"}}}`, 6},
		"an annotation":          {"@example.com/max.size=0", `{"metadata":{"annotations":{"example.com/max.size":"6"}}}`, 6},
		"one of a template":      {"@spec.template:example.com/max=0", `{"spec":{"template":{"metadata":{"annotations":{"example.com/max":"6"}}}}}`, 6},
		"suspended":              {"spec.replicas=1 * not(spec.suspend)", `{"spec":{"replicas":5,"suspend":true}}`, 0},
		"not suspended":          {"spec.replicas=1 * not(spec.suspend)", `{"spec":{"replicas":5,"suspend":false}}`, 5},
		"switched on":            {"spec.n=1 * is(spec.on)", `{"spec":{"n":5}}`, 0},
		"an annotation is there": {"spec.n=1 * not(@managed-by)", `{"spec":{"n":5},"metadata":{"annotations":{"managed-by":"others"}}}`, 0},
		"an annotation says no":  {"spec.n=1 * not(@managed-by)", `{"spec":{"n":5},"metadata":{"annotations":{"managed-by":"false"}}}`, 5},
		"an annotation is not":   {"spec.n=1 * is(@managed-by)", `{"spec":{"n":5}}`, 0},
		"from the object itself": {"spec.groups[]: n=1 * not(/spec.suspend)", `{"spec":{"suspend":true,"groups":[{"n":5}]}}`, 0},
		"a product that is huge": {"a=0 * a=0", `{"a":9223372036854775807}`, math.MaxInt64},
		"a sum that is huge":     {"a=0 + a=0", `{"a":9223372036854775807}`, math.MaxInt64},
		"a huge number":          {"a=0", `{"a":1e300}`, math.MaxInt64},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e, err := Parse(c.expression)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Evaluate(decode(t, c.object)); got != c.want {
				t.Errorf("%s of %s: got %d, want %d", c.expression, c.object, got, c.want)
			}
		})
	}
}

// TestOutside: wherever a value is read from is told, once, and from the object on.
func TestOutside(t *testing.T) {
	for text, want := range map[string][]Path{
		"spec.replicas=1 * spec.size=1 * not(spec.suspend)":         nil,
		"1 + spec.groups[]: n=1 * not(/spec.suspend)":               nil,
		"@spec.template:example.com/max=0":                          nil,
		"max(spec.a=0, @example.com/max=0) + @example.com/max=0":    {{"metadata", "annotations", "example.com/max"}},
		"1 + groups{}: n=1 * is(/on) * @example.com/max=0 + size=1": {{"groups"}, {"on"}, {"size"}},
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, e.Outside("spec")); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "spec..replicas", "spec.replicas=-1", "spec.replicas=x", "sum(a, b)", "min(a", "not(a, b)", "a b", "[]: n", "@", "@spec.template:", "a + ", "-1"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// FuzzExpression: whatever is asked of whatever object ends in a number from zero on.
func FuzzExpression(f *testing.F) {
	f.Add("1 + spec.groups[]: replicas=1 * min(hosts=1, a=2) * not(/spec.suspend)", `{"spec":{"groups":[{"replicas":2}]}}`)
	f.Add("max(a=0, @example.com/max=0) + b{}: c", `{"a":-4,"b":{"c":{"c":"1Gi"}}}`)
	f.Fuzz(func(t *testing.T, text, object string) {
		var out any
		if json.Unmarshal([]byte(object), &out) != nil {
			return
		}
		if e, err := Parse(text); err == nil {
			if n := e.Evaluate(decode(t, object)); n < 0 {
				t.Errorf("%s of %s: %d", text, object, n)
			}
		}
	})
}

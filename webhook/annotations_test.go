package webhook

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseWorkloads(t *testing.T) {
	cases := map[string]struct {
		want   map[string]int64
		wantOK bool
	}{
		"deployment/web=10":                      {map[string]int64{"deployment/web": 10}, true},
		" deployment/web=10,statefulset/db=0 ":   {map[string]int64{"deployment/web": 10, "statefulset/db": 0}, true},
		"":                                       {},
		"web=10":                                 {},
		"Deployment/web=10":                      {},
		"deployment/web":                         {},
		"deployment/web=lots":                    {},
		"deployment/web=1, deployment/web=2":     {},
		"deployment/web=1,":                      {},
		"deployment/a/b=1":                       {},
		"deployment/web=99999999999999999999999": {},
	}
	for value, c := range cases {
		got, err := ParseWorkloads(value)
		if !c.wantOK {
			got = nil
		}
		if diff := cmp.Diff(c.want, got); diff != "" || (err == nil) != c.wantOK {
			t.Errorf("%q: %v\n%s", value, err, diff)
		}
	}
}

// TestExamples: what an error tells people to write can be read.
func TestExamples(t *testing.T) {
	for _, annotation := range Written() {
		if err := Malformed(annotation, example[annotation]); err != nil {
			t.Errorf("%s: %v", annotation, err)
		}
		if Malformed(annotation, "?") == nil {
			t.Errorf("%s: %q can be read", annotation, "?")
		}
	}
}

package monitoring

import (
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestDashboards: every panel has a question, says what is to be seen, has a place of its own within the
// 24 columns, and asks by the pools that a person chose.
func TestDashboards(t *testing.T) {
	boards, err := dashboards()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, b := range []board{warmCapacity(), admission()} {
		if *boards[i].Uid != b.uid || *boards[i].Title != b.title || seen[b.uid] {
			t.Errorf("dashboard %d is %s, %q, want %s, %q, once", i, *boards[i].Uid, *boards[i].Title, b.uid, b.title)
		}
		seen[b.uid] = true
		ids, places := map[uint32]bool{}, map[[2]uint32]string{}
		for _, p := range boards[i].Panels {
			if p.Panel == nil {
				continue // a heading
			}
			title, at := *p.Panel.Title, p.Panel.GridPos
			if ids[*p.Panel.Id] || at == nil || at.X+at.W > 24 {
				t.Fatalf("%s: panel %q has id %d and place %+v", b.uid, title, *p.Panel.Id, at)
			}
			ids[*p.Panel.Id] = true
			if config := p.Panel.FieldConfig; p.Panel.Type == "stat" && config.Defaults.Thresholds == nil {
				t.Errorf("%s: panel %q says no thresholds, so that Grafana paints 80 and more red", b.uid, title)
			} else if p.Panel.Type == "timeseries" && len(config.Overrides) != 1 {
				t.Errorf("%s: panel %q has lines that stay at zero in its legend", b.uid, title)
			}
			for x := at.X; x < at.X+at.W; x++ {
				for y := at.Y; y < at.Y+at.H; y++ {
					if other, taken := places[[2]uint32{x, y}]; taken {
						t.Fatalf("%s: panels %q and %q overlap", b.uid, title, other)
					}
					places[[2]uint32{x, y}] = title
				}
			}
		}
		for _, r := range b.rows {
			for _, p := range r.panels {
				if p.title == "" || p.says == "" || len(p.queries) == 0 || len(p.queries) > 26 {
					t.Errorf("%s: panel %q says %q and asks %d queries", b.uid, p.title, p.says, len(p.queries))
				}
				if b.pools && slices.ContainsFunc(p.queries, func(q query) bool {
					return strings.Contains(q.expr, "(pool") && !strings.Contains(q.expr, `pool=~"$pool"`)
				}) {
					t.Errorf("%s: panel %q tells pools apart, and does not ask for those that were chosen", b.uid, p.title)
				}
			}
		}
	}
}

func TestPrometheusRule(t *testing.T) {
	text, err := prometheusRule([]byte("groups: [{name: g, rules: [{record: a:b, expr: sum(b)}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Kind string
		Spec struct {
			Groups []struct{ Rules []map[string]string }
		}
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	if object.Kind != "PrometheusRule" || len(object.Spec.Groups) != 1 || object.Spec.Groups[0].Rules[0]["expr"] != "sum(b)" {
		t.Errorf("got %+v", object)
	}
	if _, err := Files([]byte("groups: [")); err == nil || !strings.Contains(err.Error(), "read rules.yaml") {
		t.Errorf("rules that are no YAML: %v", err)
	}
}

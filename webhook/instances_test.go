package webhook

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/webhook/expression"
)

func TestParseInstances(t *testing.T) {
	for value, want := range map[string]map[string]bool{
		"m5.large":         {"m5.large": true, "m5xlarge": false, "m5.larger": false, expression.AnyInstance: false},
		"p4d.*, g5.xlarge": {"p4d.24xlarge": true, "p4de.24xlarge": false, "g5.xlarge": true, "p4d.*": true, "p*": false, "xg5.xlarge": false},
		"*":                {"anything": true, expression.AnyInstance: true, "m5.*": true},
		"Standard_NC*":     {"Standard_NC24ads_A100_v4": true, "standard_nc24": false},
	} {
		approved, err := expression.ParseInstances(value)
		if err != nil {
			t.Fatal(err)
		}
		for asked, is := range want {
			if approved.MatchString(asked) != is {
				t.Errorf("%q approves %q: %t, want %t", value, asked, !is, is)
			}
		}
	}
	for _, value := range []string{"", " ", ",", "m5.large,", "m5 large", "m5.large;g5", "(", "a\n"} {
		if _, err := expression.ParseInstances(value); err == nil {
			t.Errorf("%q was read", value)
		}
	}
}

func TestSelection(t *testing.T) {
	pool := expression.Selection{Requirements: "spec.requirements", Labels: "spec.labels"}
	for object, want := range map[string][]string{
		`{}`: {expression.AnyInstance},
		`{"spec":{"requirements":[{"key":"node.kubernetes.io/instance-type","operator":"In","values":["a","b"]}]}}`:                          {"a", "b"},
		`{"spec":{"requirements":[{"key":"node.kubernetes.io/instance-type","operator":"NotIn","values":["a"]}]}}`:                           {expression.AnyInstance},
		`{"spec":{"requirements":[{"key":"karpenter.k8s.aws/instance-family","operator":"In","values":["m5","g5"]}]}}`:                       {"m5.*", "g5.*"},
		`{"spec":{"labels":{"node.kubernetes.io/instance-type":"c"}}}`:                                                                       {"c"},
		`{"spec":{"requirements":[{"key":"karpenter.sh/capacity-type","operator":"In","values":["spot"]},"odd",{"operator":"In"}]}}`:         {expression.AnyInstance},
		`{"spec":{"requirements":[{"key":"node.kubernetes.io/instance-type","operator":"In","values":["a",1]}],"labels":{"other":"label"}}}`: {"a"},
	} {
		var o any
		if err := json.Unmarshal([]byte(object), &o); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, pool.Of(o)); diff != "" {
			t.Errorf("%s: %s", object, diff)
		}
	}
}

func TestInstances(t *testing.T) {
	pool, system := Object{Kind: "NodePool", Name: "a100"}, Object{Kind: "Namespace", Name: "kube-system"}
	list := func(o Object, value string) Setting {
		return Setting{On: o, Annotation: AllowedInstanceTypes, Set: value != "", Value: value}
	}
	for name, c := range map[string]struct {
		asked, before []string
		lists         []Setting
		mode          Mode
		want          Reason
		warned        bool
	}{
		"approved":                       {asked: []string{"p4d.24xlarge"}, lists: []Setting{list(pool, "p4d.*")}, want: ReasonNotGrowing},
		"not approved":                   {asked: []string{"p4d.24xlarge", "m5.large"}, lists: []Setting{list(pool, "p4d.*")}, want: ReasonUnapprovedInstanceType},
		"not approved by the cluster":    {asked: []string{"p4d.24xlarge"}, lists: []Setting{list(pool, "p4d.*"), list(system, "m5.*")}, want: ReasonUnapprovedInstanceType},
		"any":                            {asked: []string{expression.AnyInstance}, lists: []Setting{list(pool, "p4d.*")}, want: ReasonUnapprovedInstanceType},
		"no list":                        {asked: []string{expression.AnyInstance}, lists: []Setting{list(pool, "")}, want: ReasonNotGrowing},
		"stands already":                 {asked: []string{"m5.large"}, before: []string{"m5.large", "m5.xlarge"}, lists: []Setting{list(pool, "p4d.*")}, want: ReasonNotGrowing},
		"any stood already":              {asked: []string{"m5.large"}, before: []string{expression.AnyInstance}, lists: []Setting{list(pool, "p4d.*")}, want: ReasonNotGrowing},
		"widened to any":                 {asked: []string{expression.AnyInstance}, before: []string{"p4d.*"}, lists: []Setting{list(pool, "p4d.*")}, want: ReasonUnapprovedInstanceType},
		"warn":                           {asked: []string{expression.AnyInstance}, lists: []Setting{list(pool, "p4d.*")}, mode: Warn, want: ReasonNotGrowing, warned: true},
		"audit":                          {asked: []string{expression.AnyInstance}, lists: []Setting{list(pool, "p4d.*")}, mode: Audit, want: ReasonNotGrowing},
		"unreadable, none known":         {asked: []string{expression.AnyInstance}, lists: []Setting{list(pool, "(")}, want: ReasonNotGrowing, warned: true},
		"unreadable, last good in force": {asked: []string{expression.AnyInstance}, lists: []Setting{lastGood(list(pool, "("), "m5.*")}, want: ReasonUnapprovedInstanceType, warned: true},
	} {
		got := Ceilings().Review(Request{Object: pool, Mode: c.mode, Instances: &Instances{New: c.asked, Old: c.before, Lists: c.lists}})
		if got.Reason != c.want || (len(got.Warnings) > 0) != c.warned {
			t.Errorf("%s: got %s, warnings %q; want %s, warned %t", name, got.Reason, got.Warnings, c.want, c.warned)
		}
	}
	got := Ceilings().Review(Request{Object: pool, Instances: &Instances{New: []string{"a", "b", "c", "d", "e"}, Lists: []Setting{list(system, "m5.*")}}})
	want := `NodePool a100: instance type a, b, c and 2 more allowed by it and not approved by annotation forewarm.dev/allowed-instance-types="m5.*" on Namespace kube-system; require node.kubernetes.io/instance-type In approved ones, or have somebody who may edit Namespace kube-system approve more`
	if got.Message != want {
		t.Errorf("got  %s\nwant %s", got.Message, want)
	}
}

func TestInstancesLoosened(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		old, now *string
		want     bool
	}{
		{nil, text("m5.*"), false},
		{text("m5.*"), nil, true},
		{text("m5.*"), text("m5.large"), false},
		{text("m5.large"), text("m5.*"), true},
		{text("m5.*, g5.*"), text("g5.*"), false},
		{text("m5.*"), text("m5.*,g5.*"), true},
		{text("("), text("*"), false},
		{text("("), nil, true},
	} {
		if _, got := needs(AllowedInstanceTypes, Rewrite{Old: c.old, New: c.now}); got != c.want {
			t.Errorf("%s to %s: needs a right %t, want %t", quoted(c.old), quoted(c.now), got, c.want)
		}
	}
}

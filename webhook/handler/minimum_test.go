package handler

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/sources"
)

// TestMinimum: what a WarmPool always keeps is held to max-nodes, as far as its nodes tell how many
// it needs.
func TestMinimum(t *testing.T) {
	node := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n", "labels": map[string]any{webhook.NodePoolOf: "a100"}},
		"status": map[string]any{"allocatable": map[string]any{"nvidia.com/gpu": "8"}},
	}}
	small := node.DeepCopy()
	small.Object["status"] = map[string]any{"allocatable": map[string]any{"nvidia.com/gpu": "1"}}
	pool := func(least, annotations string) string {
		return `{"metadata":{"name":"a100","annotations":{` + annotations + `}},"spec":{"nodes":{"selector":{"matchLabels":{"karpenter.sh/nodepool":"a100"}}},` +
			`"chunks":[{"name":"single","requests":{"nvidia.com/gpu":1},"min":` + least + `}]}}`
	}
	moved := func(pool string) string {
		return strings.ReplaceAll(pool, `"karpenter.sh/nodepool":"a100"`, `"karpenter.sh/nodepool":"old"`)
	}
	const own, warns = `"forewarm.dev/max-nodes":"2"`, `"forewarm.dev/max-nodes":"2","forewarm.dev/ceiling-mode":"warn"`
	for name, c := range map[string]struct {
		old, now  string
		live      *unstructured.Unstructured // nil for no node
		ofPool    map[string]string          // annotations of the NodePool
		ofCluster map[string]string
		deny      bool
		says      string
	}{
		"within":                             {"", pool("16", own), node, nil, nil, false, ""},
		"above its own":                      {"", pool("17", own), node, nil, nil, true, `WarmPool a100: 3 nodes asked for by spec.chunks[].min, at most 2 allowed by annotation forewarm.dev/max-nodes="2" on WarmPool a100`},
		"warned by its mode":                 {pool("16", warns), pool("17", warns), node, nil, nil, false, "3 nodes asked for"},
		"raised":                             {pool("16", own), pool("17", own), node, nil, nil, true, "3 nodes asked for"},
		"above, and not raised":              {pool("20", own), pool("18", own), node, nil, nil, false, ""},
		"above that of the NodePool":         {"", pool("17", ""), node, map[string]string{webhook.MaxNodes: "2"}, nil, true, `on NodePool a100`},
		"above that of the cluster":          {"", pool("17", ""), node, nil, map[string]string{webhook.MaxNodes: "1"}, true, `on Namespace kube-system`},
		"no node tells":                      {"", pool("17", own), nil, nil, nil, false, "spec.chunks[].min needs 17 nodes unless one holds more than the largest chunk"},
		"moved to a NodePool with less":      {moved(pool("17", "")), pool("17", ""), node, map[string]string{webhook.MaxNodes: "2"}, nil, true, `on NodePool a100`},
		"moved and lowered":                  {moved(pool("17", "")), pool("16", ""), node, map[string]string{webhook.MaxNodes: "2"}, nil, false, ""},
		"moved from nodes as large":          {moved(pool("24", own)), pool("20", own), node, nil, nil, false, ""},
		"moved to smaller nodes":             {moved(pool("24", own)), pool("17", own), small, nil, nil, true, "17 nodes asked for"},
		"selected otherwise in the NodePool": {strings.Replace(pool("17", ""), `"matchLabels":{`, `"matchLabels":{"zone":"a",`, 1), pool("17", ""), node, map[string]string{webhook.MaxNodes: "2"}, nil, false, ""},
		"none is allowed":                    {"", pool("1", `"forewarm.dev/max-nodes":"0"`), nil, nil, nil, true, "1 nodes asked for"},
		"no ceiling":                         {"", pool("900", ""), node, nil, nil, false, ""},
	} {
		var live []runtime.Object
		if c.ofPool != nil {
			live = append(live, metadataOf("karpenter.sh/v1", "NodePool", "a100", "1", c.ofPool))
		}
		w := newWorld(t, append(team(nil)[:1], metadataOf("v1", "Namespace", "kube-system", "1", c.ofCluster)), live...)
		objects := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{sources.Nodes: "NodeList"})
		for name, like := range map[string]*unstructured.Unstructured{"a100": c.live, "old": node} {
			if like == nil {
				continue
			}
			like = like.DeepCopy()
			like.SetName(name)
			like.SetLabels(map[string]string{webhook.NodePoolOf: name, "zone": "a"})
			if err := objects.Tracker().Add(like); err != nil {
				t.Fatal(err)
			}
		}
		conv := w.options.converter()
		conv.owners = &sources.Owners{Live: objects}
		r := &admissionv1.AdmissionRequest{Operation: admissionv1.Create, Name: "a100", Resource: metav1.GroupVersionResource{Group: "forewarm.dev", Version: "v1alpha1", Resource: "warmpools"}}
		r.Object.Raw = []byte(c.now)
		if c.old != "" {
			r.Operation, r.OldObject.Raw = admissionv1.Update, []byte(c.old)
		}
		out, err := conv.ceilings(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		d := webhook.Ceilings().Review(out.request)
		said := d.Message + strings.Join(append(d.Warnings, out.warnings...), "")
		if (d.Verdict == webhook.Deny) != c.deny || !strings.Contains(said, c.says) || c.says == "" && said != "" {
			t.Errorf("%s: %s, %q; want it refused: %t, and said %q", name, d.Verdict, said, c.deny, c.says)
		}
	}
}

// TestOnePool: the NodePool whose ceiling binds a WarmPool's min is found however the selector names it.
func TestOnePool(t *testing.T) {
	in := func(operator metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: webhook.NodePoolOf, Operator: operator, Values: values}}}
	}
	for name, c := range map[string]struct {
		selector *metav1.LabelSelector
		want     string
	}{
		"by a label":         {&metav1.LabelSelector{MatchLabels: map[string]string{webhook.NodePoolOf: "a100"}}, "a100"},
		"by a list":          {in(metav1.LabelSelectorOpIn, "a100"), "a100"},
		"by the same twice":  {in(metav1.LabelSelectorOpIn, "a100", "a100"), "a100"},
		"by several":         {in(metav1.LabelSelectorOpIn, "a100", "h100"), ""},
		"by what it is not":  {in(metav1.LabelSelectorOpNotIn, "a100"), ""},
		"by something other": {&metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := onePool(c.selector); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

package zones

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/karpenter"
)

func node(name, zone string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"zone": zone}}}
}

func TestOf(t *testing.T) {
	nodes := []*corev1.Node{node("1", "c"), node("2", "a"), node("3", "a"), node("4", "")}
	offers := []karpenter.NodePool{{Choices: map[string][]string{"zone": {"b", "c"}}}, {Labels: map[string]string{"zone": "d"}}, {}}
	lists := []metav1.LabelSelectorRequirement{{Key: "team", Operator: metav1.LabelSelectorOpExists}, {Key: "zone", Operator: metav1.LabelSelectorOpIn, Values: []string{"z", "a", "z"}}}
	for name, c := range map[string]struct {
		spread *v1alpha1.ZoneSpread
		listed []metav1.LabelSelectorRequirement
		offers []karpenter.NodePool
		want   string
	}{
		"not spread":              {nil, nil, offers, ""},
		"of nodes":                {&v1alpha1.ZoneSpread{Key: "zone"}, nil, nil, "a c"},
		"of nodes and NodePools":  {&v1alpha1.ZoneSpread{Key: "zone"}, nil, offers, "a b c d"},
		"listed by the selector":  {&v1alpha1.ZoneSpread{Key: "zone"}, lists, offers, "a z"},
		"a label that nobody has": {&v1alpha1.ZoneSpread{Key: "rack"}, lists, offers, ""},
	} {
		pool := &v1alpha1.WarmPool{}
		pool.Spec.Nodes.Zones, pool.Spec.Nodes.Selector.MatchExpressions = c.spread, c.listed
		if got := strings.Join(Of(pool, nodes, c.offers).Names, " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestWhereAPlaceholderIs(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Nodes.Zones = &v1alpha1.ZoneSpread{Key: "zone"}
	nodes := []*corev1.Node{node("1", "a"), node("2", "b")}
	z := Of(pool, nodes, nil)
	for name, c := range map[string]struct{ node, sent, want string }{
		"on a node":            {"2", "", "b"},
		"sent to a zone":       {"", "c", "c"},
		"neither":              {"", "", ""},
		"on a node of another": {"9", "", ""},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{NodeName: c.node, NodeSelector: map[string]string{"zone": c.sent}}}
		if got := z.At(pool, pod); got != c.want {
			t.Errorf("%s: in %q, want %q", name, got, c.want)
		}
	}
	if in := z.In("b", nodes); len(in) != 1 || in[0].Name != "2" || len(nodes) != 2 {
		t.Errorf("%d nodes in b", len(in))
	}
}

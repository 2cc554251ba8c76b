package room

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/internal/demand"
)

func poolOf(edit ...func(*v1alpha1.WarmPool)) *v1alpha1.WarmPool {
	p := &v1alpha1.WarmPool{}
	p.Name, p.Spec.Demand.Resource = "a100", gpu
	p.Spec.Nodes.Selector.MatchLabels = map[string]string{"accelerator": "a100"}
	p.Spec.Chunks = []v1alpha1.Chunk{{Name: "node", Requests: corev1.ResourceList{gpu: resource.MustParse("8")}}}
	for _, e := range edit {
		e(p)
	}
	return p
}

func labelled(labels ...string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Labels = map[string]string{"accelerator": "a100"}
		for i := 0; i < len(labels); i += 2 {
			n.Labels[labels[i]] = labels[i+1]
		}
	}
}

func selects(labels ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.NodeSelector = map[string]string{}
		for i := 0; i < len(labels); i += 2 {
			p.Spec.NodeSelector[labels[i]] = labels[i+1]
		}
	}
}

// requires has a pod run where any of some labels has a value.
func requires(value string, keys ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		required := &corev1.NodeSelector{}
		for _, k := range keys {
			required.NodeSelectorTerms = append(required.NodeSelectorTerms, corev1.NodeSelectorTerm{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: k, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}},
			})
		}
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
	}
}

func fittingOf(t *testing.T, pool *v1alpha1.WarmPool, templates []karpenter.NodePool, objects ...client.Object) *Fitting {
	t.Helper()
	class, err := demand.Compile(pool)
	if err != nil {
		t.Fatal(err)
	}
	return NewFitting(take(t, objects...), pool, class, templates)
}

// TestNeverIsWhatTheNodesShow: a pod is left out where it fits none, and counts where that is not known.
func TestNeverIsWhatTheNodesShow(t *testing.T) {
	smaller := func(n *corev1.Node) { n.Status.Allocatable[gpu] = resource.MustParse("1") }
	starting := func(n *corev1.Node) { delete(n.Status.Allocatable, gpu) }
	dedicated := tainted("team", corev1.TaintEffectNoSchedule)
	tolerating := func(p *v1alpha1.WarmPool) {
		p.Spec.Nodes.Tolerations = []corev1.Toleration{{Key: "team", Operator: corev1.TolerationOpExists}}
	}
	cpu := func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2000")
	}
	withCPU := func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("96") }
	template := func(labels map[string]string, zones ...string) []karpenter.NodePool {
		labels[karpenter.NodePoolLabel], labels["accelerator"] = "warm", "a100"
		return []karpenter.NodePool{{Labels: labels, Choices: map[string][]string{"rack": zones}}}
	}
	plain, none := node("a", labelled()), []karpenter.NodePool(nil)
	for name, c := range map[string]struct {
		pool      *v1alpha1.WarmPool
		node      *corev1.Node // nil for none
		templates []karpenter.NodePool
		pod       *corev1.Pod
		never     bool
	}{
		"fits":                                    {poolOf(), plain, none, pod("p", "", "8"), false},
		"too large":                               {poolOf(), plain, none, pod("p", "", "16"), true},
		"too large in another resource":           {poolOf(), node("a", labelled(), withCPU), none, pod("p", "", "8", cpu), true},
		"a label that no node has":                {poolOf(), plain, none, pod("p", "", "8", selects("test", "nowhere")), true},
		"an affinity that no node meets":          {poolOf(), plain, none, pod("p", "", "8", requires("nowhere", "test")), true},
		"one of two that a node meets":            {poolOf(), plain, none, pod("p", "", "8", requires("a100", "test", "accelerator")), false},
		"another pool's label":                    {poolOf(), plain, none, pod("p", "", "8", selects("accelerator", "h100")), true},
		"a taint of the pool":                     {poolOf(tolerating), node("a", labelled(), dedicated), none, pod("p", "", "8"), true},
		"a taint that comes and goes":             {poolOf(), node("a", labelled(), dedicated), none, pod("p", "", "8"), false},
		"the only node is cordoned":               {poolOf(), node("a", labelled(), func(n *corev1.Node) { n.Spec.Unschedulable = true }), none, pod("p", "", "8"), false},
		"another zone":                            {poolOf(), node("a", labelled(corev1.LabelTopologyZone, "a")), none, pod("p", "", "8", selects(corev1.LabelTopologyZone, "b")), false},
		"another zone, by affinity":               {poolOf(), node("a", labelled(corev1.LabelTopologyZone, "a")), none, pod("p", "", "8", requires("b", corev1.LabelTopologyZone)), false},
		"another instance type":                   {poolOf(), plain, none, pod("p", "", "8", selects(corev1.LabelInstanceTypeStable, "big")), false},
		"larger than nodes, as large as a chunk":  {poolOf(), node("a", labelled(), smaller), none, pod("p", "", "8"), false},
		"larger than nodes and chunks":            {poolOf(), node("a", labelled(), smaller), none, pod("p", "", "9"), true},
		"no node, no template":                    {poolOf(), nil, none, pod("p", "", "16", selects("test", "nowhere")), false},
		"a node that does not offer GPUs yet":     {poolOf(), node("a", labelled(), starting), none, pod("p", "", "16"), false},
		"only a node of another pool":             {poolOf(), node("a"), none, pod("p", "", "16"), false},
		"no node, a template":                     {poolOf(), nil, template(map[string]string{}), pod("p", "", "16"), false},
		"no node, a template without the label":   {poolOf(), nil, template(map[string]string{}), pod("p", "", "8", selects("test", "nowhere")), true},
		"no node, a template that has the label":  {poolOf(), nil, template(map[string]string{"test": "x"}), pod("p", "", "8", selects("test", "x")), false},
		"no node, a template that may choose it":  {poolOf(), nil, template(map[string]string{}, "r1", "r2"), pod("p", "", "8", selects("rack", "r2")), false},
		"nodes of others, a template of its own":  {poolOf(), plain, template(map[string]string{"test": "x"}), pod("p", "", "16", selects("test", "x")), false},
		"too large for the nodes of its template": {poolOf(), node("a", labelled(karpenter.NodePoolLabel, "warm")), template(map[string]string{}), pod("p", "", "16"), true},
	} {
		var objects []client.Object
		if c.node != nil {
			objects = append(objects, c.node)
		}
		f := fittingOf(t, c.pool, c.templates, objects...)
		for range 2 { // the second time from memory
			if got := f.Never(c.pod); got != c.never {
				t.Errorf("%s: never %t, want %t", name, got, c.never)
			}
		}
	}
	if (*Fitting)(nil).Never(pod("p", "", "16")) {
		t.Error("what is not known leaves a pod out")
	}
}

// TestPodsAlikeAreAskedOnce, and others by themselves.
func TestPodsAlikeAreAskedOnce(t *testing.T) {
	f := fittingOf(t, poolOf(), nil, node("a", labelled()))
	for _, p := range []*corev1.Pod{pod("a", "", "8"), pod("b", "", "8"), pod("c", "", "16"), pod("d", "", "8", selects("test", "nowhere"))} {
		f.Never(p)
	}
	if len(f.found) != 3 {
		t.Errorf("%d answers, want one of each kind", len(f.found))
	}
}

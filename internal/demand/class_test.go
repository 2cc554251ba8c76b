package demand

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
)

const gpu = "nvidia.com/gpu"

func pool(name string, priority int32) *v1alpha1.WarmPool {
	p := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.Priority = priority
	p.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": name}
	p.Spec.Demand.Resource = gpu
	p.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "ml"}
	p.Spec.Demand.PodSelector.MatchLabels = map[string]string{"kind": "job"}
	return p
}

func pod(edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"kind": "job"}}}
	p.Spec.Containers = []corev1.Container{{Resources: asks(gpu, "1")}}
	for _, e := range edit {
		e(p)
	}
	return p
}

func asks(name corev1.ResourceName, amount string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: corev1.ResourceList{name: resource.MustParse(amount)}}
}

func compile(t *testing.T, pools ...*v1alpha1.WarmPool) []Class {
	t.Helper()
	var classes []Class
	for _, p := range pools {
		c, err := Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		classes = append(classes, c)
	}
	Sort(classes)
	return classes
}

func TestMatches(t *testing.T) {
	tests := map[string]struct {
		pod       *corev1.Pod
		namespace labels.Set
		want      bool
	}{
		"all three":               {pod(), labels.Set{"team": "ml"}, true},
		"another namespace":       {pod(), labels.Set{"team": "web"}, false},
		"unknown namespace":       {pod(), nil, false},
		"other labels":            {pod(func(p *corev1.Pod) { p.Labels = nil }), labels.Set{"team": "ml"}, false},
		"another resource":        {pod(func(p *corev1.Pod) { p.Spec.Containers[0].Resources = asks("amd.com/gpu", "1") }), labels.Set{"team": "ml"}, false},
		"zero of the resource":    {pod(func(p *corev1.Pod) { p.Spec.Containers[0].Resources = asks(gpu, "0") }), labels.Set{"team": "ml"}, false},
		"in an init container":    {pod(func(p *corev1.Pod) { p.Spec.InitContainers, p.Spec.Containers = p.Spec.Containers, nil }), labels.Set{"team": "ml"}, true},
		"as a request of the pod": {pod(func(p *corev1.Pod) { r := asks(gpu, "1"); p.Spec.Resources, p.Spec.Containers = &r, nil }), labels.Set{"team": "ml"}, true},
		"zero for the whole pod":  {pod(func(p *corev1.Pod) { r := asks(gpu, "0"); p.Spec.Resources, p.Spec.Containers = &r, nil }), labels.Set{"team": "ml"}, false},
	}
	class := compile(t, pool("a100", 0))[0]
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := class.Matches(test.pod, test.namespace); got != test.want {
				t.Errorf("Matches = %v, want %v", got, test.want)
			}
		})
	}
}

func TestOwnerIsTheNamedOneElseByPriorityAndName(t *testing.T) {
	classes := compile(t, pool("low", 1), pool("high-b", 9), pool("high-a", 9))
	named := func(name string) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationPool: name} })
	}
	for want, p := range map[string]*corev1.Pod{"high-a": pod(), "low": named("low")} {
		if i := Owner(classes, p, labels.Set{"team": "ml"}); i < 0 || classes[i].Pool != want {
			t.Errorf("owner %d of %v, want %s", i, classes, want)
		}
	}
	if i := Owner(classes, named("gone"), labels.Set{"team": "ml"}); classes[i].Pool != "high-a" {
		t.Errorf("a pool that is not there was obeyed: %s", classes[i].Pool)
	}
	if i := Owner(classes, named("low"), labels.Set{"team": "web"}); i != -1 {
		t.Errorf("a pod of no class has owner %d", i)
	}
}

func TestCompileNamesTheField(t *testing.T) {
	bad := []metav1.LabelSelectorRequirement{{Key: "x", Operator: "Near"}}
	tests := map[string]func(*v1alpha1.WarmPool){
		"spec.nodes.selector":           func(p *v1alpha1.WarmPool) { p.Spec.Nodes.Selector.MatchExpressions = bad },
		"spec.demand.namespaceSelector": func(p *v1alpha1.WarmPool) { p.Spec.Demand.NamespaceSelector.MatchExpressions = bad },
		"spec.demand.podSelector":       func(p *v1alpha1.WarmPool) { p.Spec.Demand.PodSelector.MatchExpressions = bad },
	}
	for field, spoil := range tests {
		p := pool("a100", 0)
		spoil(p)
		if _, err := Compile(p); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v, want one that names %s", err, field)
		}
	}
}

func TestIsPlaceholder(t *testing.T) {
	ours := func() *corev1.Pod {
		p := pod()
		p.Namespace, p.Labels = "hold", map[string]string{v1alpha1.LabelPool: "a100"}
		p.Spec.PriorityClassName = v1alpha1.PlaceholderPriorityClass
		return p
	}
	tests := map[string]struct {
		edit func(*corev1.Pod)
		want bool
	}{
		"ours":                  {func(*corev1.Pod) {}, true},
		"in another namespace":  {func(p *corev1.Pod) { p.Namespace = "team" }, false},
		"without the label":     {func(p *corev1.Pod) { p.Labels = nil }, false},
		"of a later tier":       {func(p *corev1.Pod) { p.Spec.PriorityClassName = v1alpha1.PlaceholderClass(9) }, true},
		"with another priority": {func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" }, false},
	}
	for name, test := range tests {
		p := ours()
		test.edit(p)
		if got := IsPlaceholder(p, "hold"); got != test.want {
			t.Errorf("%s: IsPlaceholder = %v, want %v", name, got, test.want)
		}
	}
}

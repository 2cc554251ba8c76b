package reserver

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

func TestNodesLeft(t *testing.T) {
	nodes := func(n, leaving int) []*corev1.Node {
		var out []*corev1.Node
		for i := range n {
			node := &corev1.Node{}
			if i < leaving {
				node.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			}
			out = append(out, node)
		}
		return out
	}
	for name, c := range map[string]struct {
		own, cluster string
		want         int64 // -1 for any number
	}{
		"none":                 {"", "", -1},
		"of the pool":          {"5", "", 3},
		"of the cluster":       {"", "7", 1},
		"the smaller":          {"3", "7", 1},
		"passed already":       {"1", "", 0},
		"zero":                 {"0", "", 0},
		"not read, none known": {"+5", "", -1},
	} {
		r := &Reserver{memory: map[string]*memory{}}
		pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", Annotations: map[string]string{v1alpha1.AnnotationMaxNodes: c.own}}}
		w := world{maxNodes: c.cluster}
		w.Nodes = nodes(7, 1)
		got := int64(-1)
		if left := r.nodesLeft(w, pool, nodes(3, 1), time.Unix(0, 0)); left != nil {
			got = *left
		}
		if got != c.want {
			t.Errorf("%s: %d left, want %d", name, got, c.want)
		}
		if c.own == "5" {
			pool.Annotations[v1alpha1.AnnotationMaxNodes] = "many"
			if left := r.nodesLeft(w, pool, nodes(3, 1), time.Unix(0, 0)); left == nil || *left != c.want {
				t.Errorf("a value that cannot be read: %v left, want the last good ceiling in force", left)
			}
		}
	}
}

// TestNodesLeftOfTheCluster: what other pools wait for is not there twice.
func TestNodesLeftOfTheCluster(t *testing.T) {
	r := &Reserver{memory: map[string]*memory{}}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	w := world{maxNodes: "9", asked: map[string]int64{"a100": 2, "a10": 3, "l4": 1}}
	w.Nodes = []*corev1.Node{{}, {}}
	if left := r.nodesLeft(w, pool, nil, time.Unix(0, 0)); left == nil || *left != 3 {
		t.Errorf("%v left, want 3: 9 less 2 that are there and 4 that others wait for", left)
	}
}

func TestInTurn(t *testing.T) {
	named := func(name string, priority int32) *v1alpha1.WarmPool {
		return &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.WarmPoolSpec{Priority: priority}}
	}
	var got []string
	for _, pool := range inTurn([]*v1alpha1.WarmPool{named("c", 0), named("a", 0), named("d", -1), named("b", 5)}) {
		got = append(got, pool.Name)
	}
	if want := []string{"b", "a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestPending counts placeholders that are ungated and have no node.
func TestPending(t *testing.T) {
	gated := &corev1.Pod{Spec: corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.GatePrewarm}}}}
	placed := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}}
	if got := pending(map[string][]*corev1.Pod{"a100": {gated, placed, {}, {}}, "a10": {gated}}); got["a100"] != 2 || got["a10"] != 0 {
		t.Errorf("%v, want 2 of a100", got)
	}
}

package reserver

import (
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

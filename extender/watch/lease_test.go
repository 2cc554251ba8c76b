package watch

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

func lease(holder string) *coordinationv1.Lease {
	return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
}

func TestAnotherSchedulerVoidsHolds(t *testing.T) {
	x := handler.NewIndex("hold")
	registry := prometheus.NewRegistry()
	audit := make(chan struct{}, 1)
	e := &Epochs{Index: x, Metrics: metrics.New(x, registry), Audit: audit}
	e.See(lease("a"))
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	node.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8")}
	x.SetNode(node)
	asks := corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}}
	p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: asks}}}
	x.Score(p, []string{"n"})
	e.See(lease("a"))
	e.See(lease(""))
	if x.Holds() != 1 || len(audit) != 0 {
		t.Errorf("%d holds, %d audits while the same scheduler leads", x.Holds(), len(audit))
	}
	e.See(lease("b"))
	if x.Holds() != 0 || len(audit) != 1 || changes(t, registry) != 1 {
		t.Errorf("%d holds, %d audits after another took over", x.Holds(), len(audit))
	}
}

// TestWithoutALeaderNoRoomIsMadeAhead: as where the Lease has another name, and nobody holds this one.
func TestWithoutALeaderNoRoomIsMadeAhead(t *testing.T) {
	left := lease("a")
	left.Spec.RenewTime = &metav1.MicroTime{Time: time.Now().Add(-time.Hour)}
	for name, test := range map[string]struct {
		see  func(e *Epochs)
		want bool
	}{
		"nothing was seen":          {func(*Epochs) {}, false},
		"a scheduler leads":         {func(e *Epochs) { e.See(lease("a")) }, true},
		"it has given the Lease up": {func(e *Epochs) { e.See(lease("a")); e.See(lease("")) }, false},
		"it goes on":                {func(e *Epochs) { e.See(lease("a")); e.See(lease("")); e.See(lease("a")) }, true},
		"it is long gone":           {func(e *Epochs) { e.See(left) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := crowded()
			x.ServeAhead()
			x.Leaderless(true)
			test.see(&Epochs{Index: x, Metrics: metrics.New(x, prometheus.NewRegistry()), Audit: make(chan struct{}, 1)})
			for _, name := range []types.UID{"tried", "untried", "another"} {
				x.SetPod(gpuPod("ml", name, ""))
			}
			x.SelectVictims(gpuPod("ml", "tried", ""), handler.Candidates{"n": {Pods: []types.UID{"hold-0"}}})
			if given, is := x.Ahead(); is != test.want {
				t.Errorf("%v are deleted ahead, want some: %t", given, test.want)
			}
		})
	}
}

// crowded is an index of a node that is full of placeholders.
func crowded() *handler.Index {
	x := handler.NewIndex("hold")
	for _, name := range []string{"ml", "hold"} {
		x.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"pool": "a100"}}}
	node.Status.Allocatable = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8"), corev1.ResourcePods: resource.MustParse("110")}
	x.SetNode(node)
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	pool.Spec.Mode, pool.Spec.Borrow, pool.Spec.Demand.Resource = v1alpha1.ModeEnforce, v1alpha1.BorrowNever, "nvidia.com/gpu"
	pool.Spec.Nodes.Selector.MatchLabels = node.Labels
	x.SetPool(pool)
	for i := range 8 {
		p := gpuPod("hold", types.UID(fmt.Sprint("hold-", i)), "n")
		p.Labels, p.Spec.PriorityClassName, p.Spec.Priority = map[string]string{v1alpha1.LabelPool: "a100"}, v1alpha1.PlaceholderPriorityClass, new(int32(-10))
		x.SetPod(p)
	}
	return x
}

func gpuPod(namespace string, name types.UID, node string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: string(name), UID: name}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}}}}
	return p
}

// changes is how often another scheduler has taken over.
func changes(t *testing.T, registry *prometheus.Registry) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "forewarm_extender_scheduler_changes_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

package watch

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/extender/handler"
)

func lease(holder string) *coordinationv1.Lease {
	return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}
}

func TestAnotherSchedulerVoidsHolds(t *testing.T) {
	x := handler.NewIndex("hold")
	registry := prometheus.NewRegistry()
	audit := make(chan struct{}, 1)
	e := &Epochs{Index: x, Metrics: handler.NewMetrics(x, registry), Audit: audit}
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

package handler

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

// TestRoomOfAResizedPod: what a pod on the node is to give back and has not is no room yet, so that a
// takeover needs both placeholders; once it has, one does.
func TestRoomOfAResizedPod(t *testing.T) {
	asking := func(p *corev1.Pod, cpu string) *corev1.Pod {
		p.Spec.Containers[0].Name = "main"
		p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(cpu)
		return p
	}
	x := cluster()
	sixteen := node("warm-1", "a100")
	sixteen.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("16")
	x.SetNode(sixteen)
	x.SetPod(asking(prioritized(placeholder("hold-1", "warm-1"), -10), "4"))
	x.SetPod(asking(prioritized(placeholder("hold-2", "warm-1"), -10), "4"))
	shrinks := asking(prioritized(pod("web", "shrinks", "warm-1", "1"), -20), "2")
	shrinks.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", AllocatedResources: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8")}}}
	for _, test := range []struct {
		has  string
		want []types.UID
	}{{"8", []types.UID{"hold-1", "hold-2"}}, {"2", []types.UID{"hold-1"}}} {
		shrinks = shrinks.DeepCopy()
		shrinks.Status.ContainerStatuses[0].AllocatedResources[corev1.ResourceCPU] = resource.MustParse(test.has)
		x.SetPod(shrinks)
		asks := asking(taker("asks"), "8")
		var got []types.UID
		for _, v := range x.SelectVictims(asks, Candidates{"warm-1": {Pods: []types.UID{"shrinks"}}})["warm-1"].Pods {
			got = append(got, v.UID)
		}
		x.DropPod(asks)
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("with %s CPUs on the node still: %v go, want %v", test.has, got, test.want)
		}
	}
}

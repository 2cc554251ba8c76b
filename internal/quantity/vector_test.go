package quantity

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-helpers/resource"
)

func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = apiresource.MustParse(pairs[i+1])
	}
	return l
}

func TestOfConvertsToBaseUnits(t *testing.T) {
	got := Of(list("cpu", "1500m", "memory", "1Ki", "nvidia.com/gpu", "8"))
	want := Vector{"cpu": 1500, "memory": 1024, "nvidia.com/gpu": 8}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Of (-want +got):\n%s", diff)
	}
}

// TestOfIsNeverNegative: the sum of two quantities may exceed what an int64 holds.
func TestOfIsNeverNegative(t *testing.T) {
	sum := list("cpu", "9E", "nvidia.com/gpu", "9E", "memory", "9223372036854775807")
	for name, q := range list("cpu", "9E", "nvidia.com/gpu", "9E") {
		total := sum[name]
		total.Add(q)
		sum[name] = total
	}
	want := Vector{"cpu": math.MaxInt64, "nvidia.com/gpu": math.MaxInt64, "memory": math.MaxInt64}
	if diff := cmp.Diff(want, Of(sum)); diff != "" {
		t.Errorf("Of (-want +got):\n%s", diff)
	}
}

func TestOfPodTakesTheHighestInitContainer(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: list("cpu", "3")}}},
		Containers: []corev1.Container{
			{Resources: corev1.ResourceRequirements{Requests: list("cpu", "1", "nvidia.com/gpu", "2")}},
			{Resources: corev1.ResourceRequirements{Requests: list("cpu", "1")}},
		},
	}}
	want := Vector{"cpu": 3000, "nvidia.com/gpu": 2, "pods": 1}
	if diff := cmp.Diff(want, OfPod(pod)); diff != "" {
		t.Errorf("OfPod (-want +got):\n%s", diff)
	}
}

func TestCountInAndFitsIn(t *testing.T) {
	tests := map[string]struct {
		chunk, room Vector
		wantCount   int64
		wantFits    bool
	}{
		"scarcest resource decides": {Vector{"cpu": 10, "gpu": 1}, Vector{"cpu": 35, "gpu": 8}, 3, true},
		"missing resource":          {Vector{"gpu": 1}, Vector{"cpu": 100}, 0, false},
		"negative room":             {Vector{"gpu": 1}, Vector{"gpu": -3}, 0, false},
		"asks for nothing":          {Vector{"gpu": 0}, Vector{"gpu": 5}, 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.chunk.CountIn(test.room); got != test.wantCount {
				t.Errorf("CountIn = %d, want %d", got, test.wantCount)
			}
			if got := test.chunk.FitsIn(test.room); got != test.wantFits {
				t.Errorf("FitsIn = %v, want %v", got, test.wantFits)
			}
		})
	}
}

func TestPlusAndMinusLeaveTheirArgumentsAlone(t *testing.T) {
	v, w := Vector{"gpu": 5}, Vector{"gpu": 2, "cpu": 1}
	if diff := cmp.Diff(Vector{"gpu": 3, "cpu": -1}, v.Minus(w)); diff != "" {
		t.Errorf("Minus (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Vector{"gpu": 7, "cpu": 1}, v.Plus(w)); diff != "" {
		t.Errorf("Plus (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Vector{"gpu": 5}, v); diff != "" {
		t.Errorf("receiver changed:\n%s", diff)
	}
	if diff := cmp.Diff(Vector{"gpu": 2}, Vector(nil).Plus(Vector{"gpu": 2})); diff != "" {
		t.Errorf("Plus on nil (-want +got):\n%s", diff)
	}
}

// TestPodsAreCountedAsTheSchedulerDoes: what is counted without a sum, and what needs one.
func TestPodsAreCountedAsTheSchedulerDoes(t *testing.T) {
	one := corev1.Container{Resources: corev1.ResourceRequirements{Requests: list("cpu", "1500m", "memory", "1Ki")}}
	whole := corev1.ResourceRequirements{Requests: list("cpu", "7")}
	pods := map[string]corev1.PodSpec{
		"one container":      {Containers: []corev1.Container{one}},
		"two containers":     {Containers: []corev1.Container{one, one}},
		"an init container":  {Containers: []corev1.Container{one}, InitContainers: []corev1.Container{{Resources: whole}}},
		"overhead":           {Containers: []corev1.Container{one}, Overhead: list("memory", "1Ki")},
		"requests for a pod": {Containers: []corev1.Container{one}, Resources: &whole},
		"no container":       {},
	}
	for name, spec := range pods {
		pod := &corev1.Pod{Spec: spec}
		want := Of(resource.PodRequests(pod, asScheduled))
		want["pods"] = 1
		if diff := cmp.Diff(want, OfPod(pod)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		room := Vector{"cpu": 20000, "pods": 10}
		if diff := cmp.Diff(room.Minus(want).Minus(want), room.MinusPods([]*corev1.Pod{pod, pod})); diff != "" {
			t.Errorf("%s, room for two (-want +got):\n%s", name, diff)
		}
	}
}

// TestAPodThatIsResized: until its node has done it, or says that it never will, the higher amount counts,
// as for the scheduler (Kubernetes 1.33 and later).
func TestAPodThatIsResized(t *testing.T) {
	status := func(allocated, actual string) corev1.PodStatus {
		return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", AllocatedResources: list("cpu", allocated), Resources: &corev1.ResourceRequirements{Requests: list("cpu", actual)},
		}}}
	}
	infeasible := status("2", "2")
	infeasible.Conditions = []corev1.PodCondition{{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible}}
	forPod := corev1.PodStatus{AllocatedResources: list("cpu", "6"), Resources: &corev1.ResourceRequirements{Requests: list("cpu", "5")}}
	tests := map[string]struct {
		asks   string
		status corev1.PodStatus
		want   int64
	}{
		"not on a node yet":             {"4", corev1.PodStatus{}, 4000},
		"nothing to do":                 {"4", status("4", "4"), 4000},
		"grows":                         {"4", status("2", "2"), 4000},
		"shrinks, not yet allocated":    {"4", status("8", "8"), 8000},
		"shrinks, not yet done":         {"4", status("4", "8"), 8000},
		"is to grow, and never will":    {"4", infeasible, 2000},
		"by the requests of a pod":      {"4", forPod, 6000},
		"shrinks, and has no resources": {"4", corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", AllocatedResources: list("cpu", "8")}}}, 8000},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			one := corev1.Container{Name: "main", Resources: corev1.ResourceRequirements{Requests: list("cpu", test.asks)}}
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{one}}, Status: test.status}
			if got := OfPod(pod)["cpu"]; got != test.want {
				t.Errorf("%d millicores are counted, want %d", got, test.want)
			}
			if got := (Vector{"cpu": 9000}).MinusPods([]*corev1.Pod{pod})["cpu"]; got != 9000-test.want {
				t.Errorf("%d millicores are left of 9000, want %d", got, 9000-test.want)
			}
			scheduler := resource.PodRequests(pod, resource.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true})
			if got := scheduler.Cpu().MilliValue(); got != test.want {
				t.Errorf("the scheduler counts %d millicores, want %d", got, test.want)
			}
		})
	}
}

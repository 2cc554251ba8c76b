package handler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender"
)

// refusedPod is one that the scheduler says we refused for a100.
func refusedPod(name string, priority int32) *corev1.Pod {
	p := pod("web", name, "", "1")
	p.Spec.Priority = &priority
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 " + extender.Filter(&extender.Pod{Requests: map[corev1.ResourceName]int64{gpu: 1}}, []*extender.Node{{Pool: "a100"}}, []extender.Held{{Pool: "a100", Resource: gpu}})[0].Message + ". preemption: none",
	}}
	return p
}

func TestPokes(t *testing.T) {
	x := cluster()
	x.SetPod(refusedPod("low", 0))
	x.SetPod(refusedPod("high", 100))
	x.SetPod(unschedulablePod("somebody-else-refused"))
	if pod, _, ok := x.Due(); ok {
		t.Fatalf("%s is to be touched although the pool holds", pod)
	}
	free := warmPool(0)
	free.ResourceVersion = "7"
	x.SetPool(free)
	var order []string
	for pod, value, ok := x.Due(); ok; pod, value, ok = x.Due() {
		order = append(order, pod.Name+" "+value)
		touched := refusedPod(pod.Name, 0)
		touched.Annotations = map[string]string{v1alpha1.AnnotationRequeued: value}
		x.SetPod(touched) // the watch tells of our own touch; the condition is still the old one
	}
	if diff := cmp.Diff([]string{"high a100/7", "low a100/7"}, order); diff != "" {
		t.Errorf("touched (-want +got):\n%s", diff)
	}
	x.SetPool(warmPool(2))
	again := warmPool(0)
	again.ResourceVersion = "9"
	x.SetPool(again)
	if _, _, ok := x.Due(); !ok {
		t.Error("the pool held and let go once more, and nobody is to be touched")
	}
}

// TestATouchedPodIsNotTouchedForAnother: the scheduler's message about it is still the old one.
func TestATouchedPodIsNotTouchedForAnother(t *testing.T) {
	x := cluster()
	free := warmPool(0)
	free.ResourceVersion = "7"
	x.SetPool(free)
	touched := refusedPod("touched", 0)
	touched.Annotations = map[string]string{v1alpha1.AnnotationRequeued: "a100/7"}
	x.SetPod(touched)
	x.SetPod(refusedPod("other", 0))
	pod, _, _ := x.Due()
	if _, _, more := x.Due(); pod.Name != "other" || more {
		t.Errorf("%s is touched, and another: %v; want other alone", pod, more)
	}
}

// TestWhoIsOfTheClassNowIsPoked: the pool goes on holding.
func TestWhoIsOfTheClassNowIsPoked(t *testing.T) {
	relabelled := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web", ResourceVersion: "5", Labels: map[string]string{"team": "ml"}}}
	for name, c := range map[string]struct {
		change func(x *Index)
		want   string
	}{
		"its namespace is relabelled": {func(x *Index) { x.SetNamespace(relabelled) }, "a100/7/5"},
		"the class takes in its namespace": {func(x *Index) {
			wider := warmPool(2)
			wider.ResourceVersion, wider.Generation = "8", 2
			wider.Spec.Demand.NamespaceSelector.MatchLabels = nil
			x.SetPool(wider)
		}, "a100/8/3"},
		"its own pool turns to this one": {func(x *Index) {
			own := warmPool(0)
			own.Name, own.ResourceVersion = "own", "9"
			own.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "web"}
			x.SetPool(own)
			if _, _, ok := x.Due(); ok {
				t.Error("due before anything is turned to")
			}
			out := own.DeepCopy()
			out.ResourceVersion, out.Status.Supply = "10", &v1alpha1.SupplyStatus{State: "Open", Diverted: []v1alpha1.DivertedChunk{{Pool: "a100"}}}
			x.SetPool(out)
		}, "own/10/3"},
		"another label": {func(x *Index) {
			other := relabelled.DeepCopy()
			other.Labels = map[string]string{"team": "ops"}
			x.SetNamespace(other)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := cluster()
			held := warmPool(2)
			held.ResourceVersion = "7"
			x.SetPool(held)
			x.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web", ResourceVersion: "3", Labels: map[string]string{"team": "web"}}})
			x.SetPod(refusedPod("p", 0))
			c.change(x)
			if _, value, _ := x.Due(); value != c.want {
				t.Errorf("touched with %q, want %q", value, c.want)
			}
		})
	}
}

func TestALateMessageIsPokedAtOnce(t *testing.T) {
	x := cluster()
	x.SetPool(warmPool(0))
	x.SetPod(refusedPod("late", 0)) // it was refused before, and the scheduler says so only now
	if _, value, ok := x.Due(); !ok || !strings.HasPrefix(value, "a100/") {
		t.Errorf("due %v, %q", ok, value)
	}
}

// TestDevices: GPUs that claims ask for and hold count as those of the plugin do.
func TestDevices(t *testing.T) {
	x := cluster()
	class := &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu.nvidia.com"}}
	class.Spec.Selectors = []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "gpu.nvidia.com" && true`}}}
	x.SetDeviceClass(class)
	bare := node("dra", "")
	bare.Status.Allocatable = corev1.ResourceList{}
	x.SetNode(bare)
	slice := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	slice.Spec.Driver, slice.Spec.Pool.Name, slice.Spec.NodeName = "gpu.nvidia.com", "dra", new("dra")
	slice.Spec.Devices = make([]resourcev1.Device, 4)
	x.SetSlice(slice)
	two := []resourcev1.DeviceRequest{{Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu.nvidia.com", Count: 2}}}
	template := &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "two"}}
	template.Spec.Spec.Devices.Requests = two
	x.SetTemplate(template)
	asking := pod("ml", "asking", "", "0")
	asking.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "c", ResourceClaimTemplateName: new("two")}}
	const devices = "gpu.nvidia.com/devices"
	if got := x.pod(asking).Requests[devices]; got != 2 {
		t.Errorf("the pod asks for %d devices, want 2", got)
	}
	if got := x.node("dra").Allocatable[devices]; got != 4 {
		t.Errorf("the node offers %d devices, want 4", got)
	}
	claim := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "held"}}
	claim.Spec.Devices.Requests = two
	claim.Status.Allocation = &resourcev1.AllocationResult{}
	claim.Status.Allocation.Devices.Results = []resourcev1.DeviceRequestAllocationResult{
		{Driver: "gpu.nvidia.com", Pool: "dra"}, {Driver: "gpu.nvidia.com", Pool: "dra", AdminAccess: new(true)},
	}
	x.SetClaim(claim)
	if got := x.node("dra").Allocatable[devices]; got != 3 {
		t.Errorf("with one allocated, %d are offered, want 3", got)
	}
	if scores := x.Score(asking, []string{"dra", "plain"}); scores[0] != extender.MaxScore || scores[1] != 0 {
		t.Errorf("scores %v, want the node with devices", scores)
	}
	x.DropSlice(slice)
	x.SetSlice(slice) // as at a start, when claims may be seen before slices
	if got := x.node("dra").Allocatable[devices]; got != 3 {
		t.Errorf("with the slice seen after the claim, %d are offered, want 3", got)
	}
	named := pod("ml", "named", "", "0")
	named.Spec.Containers[0].Resources.Requests["deviceclass.resource.kubernetes.io/gpu.nvidia.com"] = resource.MustParse("2")
	if got := x.pod(named).Requests[devices]; got != 2 {
		t.Errorf("by the name of a class the pod asks for %d devices, want 2", got)
	}
	named.UID, named.Spec.NodeName = "bound", "dra" // the claim that the scheduler made for it is not counted
	x.SetPod(named)
	for _, seen := range []func(){func() {}, func() { x.DropDeviceClass(class); x.SetDeviceClass(class) }} {
		seen() // as at a start, when pods may be seen before classes
		if got := x.node("dra").Real; got[devices] != 2 || got["deviceclass.resource.kubernetes.io/gpu.nvidia.com"] != 0 {
			t.Errorf("%v are used on the node, want 2 devices", got)
		}
	}
	named = named.DeepCopy()
	named.UID, named.Spec.NodeName = "unbound", ""
	named.Spec.Containers[0].Resources.Requests["deviceclass.resource.kubernetes.io/gpu.nvidia.com"] = resource.MustParse("1")
	if scores := x.Score(named, []string{"plain", "dra"}); scores[0] != 0 || scores[1] != extender.MaxScore {
		t.Errorf("scores %v by the name of a class, want the node with devices", scores)
	}
	class = class.DeepCopy()
	class.Spec.ExtendedResourceName = new(gpu)
	x.SetDeviceClass(class) // now claims and plugin share a name
	if got := x.node("dra").Real; got[gpu] != 2 || got[devices] != 0 {
		t.Errorf("%v are used on the node, want 2 GPUs", got)
	}
	x.DropPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "bound"}})
	if got := x.pod(asking).Requests[gpu]; got != 2 {
		t.Errorf("by the extended resource the pod asks for %d, want 2", got)
	}
	if got := x.pod(asking).Classes; len(got) != 1 || got[0] != "a100" {
		t.Errorf("the pod is of classes %v, want that of the pool whose devices it claims", got)
	}
	x.DropClaim(claim)
	x.DropSlice(slice)
	x.DropTemplate(template)
	x.DropDeviceClass(class)
	if got := x.node("dra").Allocatable; len(got) != 0 {
		t.Errorf("without anything the node offers %v", got)
	}
}

// TestExplain: why a pod waits, by node.
func TestExplain(t *testing.T) {
	x := cluster()
	x.SetPod(placeholder("hold-2", "warm-1"))
	eight := pod("ml", "eight", "", "8")
	e := x.Explain(eight)
	var lines []string
	for _, n := range e.Nodes {
		lines = append(lines, n.String())
	}
	want := []string{"plain  score 10", "warm-1  lacks nvidia.com/gpu (6 of 8 free) (WarmPool a100)", "warm-2  lacks nvidia.com/gpu (4 of 8 free) (WarmPool a100)"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, edit := range map[string]func(*corev1.Node, *corev1.Pod){
		"plain  it is cordoned": func(n *corev1.Node, _ *corev1.Pod) { n.Spec.Unschedulable = true },
		"plain  the pod does not tolerate its taint nvidia.com/gpu": func(n *corev1.Node, _ *corev1.Pod) {
			n.Spec.Taints = []corev1.Taint{{Key: "nvidia.com/gpu", Effect: corev1.TaintEffectNoSchedule}}
		},
		"plain  the pod's node selector or node affinity does not match it": func(_ *corev1.Node, p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"pool": "a100"} },
	} {
		n, p := node("plain", ""), pod("ml", "eight", "", "8")
		edit(n, p)
		x.SetNode(n)
		if last := x.Explain(p).Nodes[2]; last.String() != name || last.Score != 0 {
			t.Errorf("said last %q with score %d, want %q", last, last.Score, name)
		}
	}
	x.SetNode(node("plain", ""))
	outsider := x.Explain(pod("web", "p", "", "1"))
	if text := outsider.Nodes[1].String(); !strings.Contains(text, "HeldForOthers") {
		t.Errorf("another class is told %q", text)
	}
	if x.Holds() != 0 {
		t.Error("to explain leaves a hold")
	}
}

// TestFailClosed leaves it to the scheduler what becomes of a pod that nothing is known of.
func TestFailClosed(t *testing.T) {
	h := serve(cluster(), func(o *Options) { o.Synced = func() bool { return false }; o.FailClosed = true })
	recorder := postRaw(h, "/filter", `{"Pod":{},"NodeNames":["warm-1"]}`)
	if recorder.Code != 503 || !strings.Contains(recorder.Body.String(), "unsynced") {
		t.Errorf("status %d: %s", recorder.Code, recorder.Body)
	}
}

package devices

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/internal/quantity"
)

const (
	driver  = "gpu.example.com"
	devices = driver + "/devices"
	plugin  = "example.com/gpu"
)

func class(extended string) *resourcev1.DeviceClass {
	c := &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}
	c.Spec.Selectors = []resourcev1.DeviceSelector{{}, {CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "` + driver + `"`}}}
	if extended != "" {
		c.Spec.ExtendedResourceName = &extended
	}
	return c
}

func slice(name, node, pool string, n int) *resourcev1.ResourceSlice {
	s := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: name}}
	s.Spec.Driver, s.Spec.Pool.Name, s.Spec.Devices = driver, pool, make([]resourcev1.Device, n)
	if node != "" {
		s.Spec.NodeName = &node
	}
	return s
}

// claim asks for a number of devices, and holds one of each pool named.
func claim(asks int64, pools ...string) *resourcev1.ResourceClaim {
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "c"}}
	c.Spec.Devices.Requests = []resourcev1.DeviceRequest{{Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", Count: asks}}}
	if len(pools) > 0 {
		c.Status.Allocation = &resourcev1.AllocationResult{}
	}
	for _, pool := range pools {
		c.Status.Allocation.Devices.Results = append(c.Status.Allocation.Devices.Results, resourcev1.DeviceRequestAllocationResult{Driver: driver, Pool: pool})
	}
	return c
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	got = slices.DeleteFunc(slices.Clone(got), func(node string) bool { return node == "" })
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("%s: nodes that may offer something else: %s", what, diff)
	}
}

func offers(t *testing.T, d *Devices, node string, want int64) {
	t.Helper()
	if got := d.Offers(node, nil)[devices]; got != want {
		t.Errorf("node %s offers %d devices, want %d", node, got, want)
	}
}

// TestOffers: a node offers what its slices list less what claims hold, in whatever order they are seen.
func TestOffers(t *testing.T) {
	d := New()
	d.SetClass(class(""))
	same(t, "a claim before its slice", d.SetClaim(claim(1, "p")), []string{})
	same(t, "a slice", d.SetSlice(slice("s", "a", "p", 4)), []string{"a"})
	offers(t, d, "a", 3)
	same(t, "a second slice of the pool", d.SetSlice(slice("s2", "a", "p", 2)), []string{"a"})
	offers(t, d, "a", 5)
	same(t, "the same claim holds two", d.SetClaim(claim(1, "p", "p")), []string{"a"})
	offers(t, d, "a", 4)
	same(t, "a slice that moves", d.SetSlice(slice("s2", "b", "q", 2)), []string{"a", "b"})
	offers(t, d, "a", 2)
	offers(t, d, "b", 2)
	same(t, "a slice of no single node", d.SetSlice(slice("s2", "", "q", 2)), []string{"b"})
	offers(t, d, "b", 0)
	same(t, "no claim", d.DropClaim(claim(1)), []string{"a"})
	offers(t, d, "a", 4)
	same(t, "no slice", d.DropSlice(slice("s", "a", "p", 4)), []string{"a"})
	offers(t, d, "a", 0)
}

// TestAClaimOfThePluginCountsOnce: what the scheduler made for extended resources is the pod's own request,
// by whatever name that asks for it.
func TestAClaimOfThePluginCountsOnce(t *testing.T) {
	d := New()
	d.SetClass(class(plugin))
	d.SetSlice(slice("s", "a", "p", 4))
	made := claim(1, "p")
	made.Annotations = map[string]string{resourcev1.ExtendedResourceClaimAnnotation: "true"}
	d.SetClaim(made)
	offered := d.Offers("a", nil)
	for _, name := range []corev1.ResourceName{plugin, corev1.ResourceName(resourcev1.ResourceDeviceClassPrefix + "gpu")} {
		asks := d.Counted(quantity.Vector{name: 1})
		if left := offered.Minus(asks); left[plugin] != 3 || len(left) != 1 {
			t.Errorf("beside a pod that asks for %s are left %v, want 3 of %s", name, left, plugin)
		}
	}
}

// TestWhatANodeCountsItselfStays: plugin and claims share a name where the class says so.
func TestWhatANodeCountsItselfStays(t *testing.T) {
	d := New()
	d.SetClass(class(plugin))
	d.SetSlice(slice("s", "a", "p", 4))
	itself := quantity.Vector{plugin: 8}
	if got := d.Offers("a", itself); got[plugin] != 8 {
		t.Errorf("%d, want what the node says", got[plugin])
	}
	if got := d.Offers("a", quantity.Vector{corev1.ResourceCPU: 1}); got[plugin] != 4 || got[corev1.ResourceCPU] != 1 {
		t.Errorf("%v, want the slice's beside the rest", got)
	}
	if len(itself) != 1 {
		t.Errorf("what the node says was changed: %v", itself)
	}
}

func TestRequests(t *testing.T) {
	all := claim(1)
	all.Spec.Devices.Requests[0].Exactly.AllocationMode = resourcev1.DeviceAllocationModeAll
	admin := claim(3)
	admin.Spec.Devices.Requests[0].Exactly.AdminAccess = new(true)
	first := claim(0)
	first.Spec.Devices.Requests = []resourcev1.DeviceRequest{{FirstAvailable: []resourcev1.DeviceSubRequest{{DeviceClassName: "gpu", Count: 2}, {DeviceClassName: "gpu", Count: 4}}}}
	for name, c := range map[string]struct {
		claim *resourcev1.ResourceClaim
		want  int64
	}{
		"a number":           {claim(3), 3},
		"none said":          {claim(0), 1},
		"all of a node":      {all, allDevices},
		"to look at only":    {admin, 0},
		"first alternative":  {first, 2},
		"one that is absent": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := New()
			d.SetClass(class(""))
			if c.claim != nil {
				d.SetClaim(c.claim)
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml"}}
			pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "x", ResourceClaimName: new("c")}}
			if got := d.Requests(pod, quantity.Vector{})[devices]; got != c.want {
				t.Errorf("asks for %d, want %d", got, c.want)
			}
		})
	}
}

// TestRequestsOfTemplatesAndClasses: by a template and by the name of a class; an unknown class adds nothing.
func TestRequestsOfTemplatesAndClasses(t *testing.T) {
	d := New()
	template := &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "two"}}
	template.Spec.Spec.Devices.Requests = claim(2).Spec.Devices.Requests
	d.SetTemplate(template)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml"}}
	pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "x", ResourceClaimTemplateName: new("two")}}
	pod.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceName(resourcev1.ResourceDeviceClassPrefix + "gpu"): resource.MustParse("3")}}}}
	if got := d.Requests(pod, quantity.OfPod(pod))[devices]; got != 0 {
		t.Errorf("of an unknown class: %d", got)
	}
	d.SetClass(class(""))
	if got := d.Requests(pod, quantity.OfPod(pod))[devices]; got != 5 {
		t.Errorf("asks for %d, want 5", got)
	}
	d.DropTemplate(template)
	if got := d.Requests(pod, quantity.OfPod(pod))[devices]; got != 3 {
		t.Errorf("without the template %d, want 3", got)
	}
	d.DropClass(class(""))
	if got := d.Requests(pod, quantity.OfPod(pod))[devices]; got != 0 {
		t.Errorf("without the class %d", got)
	}
}

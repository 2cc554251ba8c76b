package devices

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"

	"forewarm.dev/webhook"
)

// installed is a cache that has every kind, and one informer for all.
type installed struct {
	cache.Cache
	reader   client.Reader
	informer *controllertest.FakeInformer
}

func (i installed) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return i.informer, nil
}

func (i installed) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	return i.reader.Get(ctx, key, o, options...)
}

func (i installed) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return i.reader.List(ctx, list, options...)
}

func class(name, driver string) *resourcev1.DeviceClass {
	c := &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Spec.Selectors = []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "` + driver + `"`}}}
	return c
}

func asks(n int64) resourcev1.ResourceClaimSpec {
	return resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
		Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpus", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: n},
	}}}}
}

func template(name string, n int64) *resourcev1.ResourceClaimTemplate {
	return &resourcev1.ResourceClaimTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}, Spec: resourcev1.ResourceClaimTemplateSpec{Spec: asks(n)},
	}
}

func resourceClaim(name string, n int64) *resourcev1.ResourceClaim {
	return &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name}, Spec: asks(n)}
}

// world has what a cache has, what only the API server has, and an informer.
func world(t *testing.T, cached []client.Object, live ...runtime.Object) (*Claims, *kubefake.Clientset, *controllertest.FakeInformer) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := resourcev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api, informer := kubefake.NewClientset(live...), controllertest.NewFakeInformer()
	return New(installed{reader: fake.NewClientBuilder().WithScheme(scheme).WithObjects(cached...).Build(), informer: informer}, api.ResourceV1(), logr.Discard()), api, informer
}

func start(t *testing.T, c *Claims) {
	t.Helper()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestClaims(t *testing.T) {
	gpus := func(n int64) []webhook.GPUSet {
		return []webhook.GPUSet{{Vendor: "nvidia", Taint: "nvidia.com/gpu", Shape: "gpus", Count: n}}
	}
	cached := []client.Object{class("gpus", "gpu.nvidia.com"), class("nics", "nic.example.com"), template("two", 2), resourceClaim("shared", 4)}
	c, api, _ := world(t, cached, template("late", 3), resourceClaim("late", 5))
	refs := []webhook.ClaimRef{
		{Source: webhook.FromTemplate, Name: "two"},
		{Source: webhook.FromClaim, Name: "shared"},
		{Source: webhook.FromTemplate, Name: "late"},
		{Source: webhook.FromClaim, Name: "late"},
		{Source: webhook.FromClass, Name: "gpus"},
		{Source: webhook.FromClass, Name: "nics"},
		{Source: webhook.FromTemplate, Name: "never"},
		{Source: webhook.FromClaim, Name: "never"},
	}
	if got, err := c.Of(t.Context(), "team", refs); err != nil || got != nil {
		t.Errorf("before the kinds are known: %v, %v", got, err)
	}
	start(t, c)
	want := webhook.Claims{refs[0]: gpus(2), refs[1]: gpus(4), refs[2]: gpus(3), refs[3]: gpus(5), refs[4]: gpus(1)}
	got, err := c.Of(t.Context(), "team", refs)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims:\n%s", diff)
	}
	delete(want, refs[2])
	delete(want, refs[3])
	api.ClearActions()
	if got, err = c.Cached(t.Context(), "team", refs); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(api.Actions()) > 0 {
		t.Errorf("cached, with %d looks at the API server:\n%s", len(api.Actions()), diff)
	}
	api.PrependReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("busy") })
	if _, err := c.Of(t.Context(), "team", refs); err == nil || !strings.Contains(err.Error(), "get ResourceClaimTemplate team/late: busy") {
		t.Errorf("error %v, want one that says what failed", err)
	}
}

// TestNoGPUClasses: a cluster whose devices are no GPUs costs no look at its claims.
func TestNoGPUClasses(t *testing.T) {
	c, api, _ := world(t, []client.Object{class("nics", "nic.example.com")})
	start(t, c)
	got, err := c.Of(t.Context(), "team", []webhook.ClaimRef{{Source: webhook.FromTemplate, Name: "two"}})
	if err != nil || got != nil || len(api.Actions()) > 0 {
		t.Errorf("got %v, %v after %d looks", got, err, len(api.Actions()))
	}
}

// TestChanges: the namespaces in which claims change, all for a class, and none for what was made
// for one pod.
func TestChanges(t *testing.T) {
	c, _, informer := world(t, nil)
	var told []string
	c.OnChange(func(namespace string) { told = append(told, namespace) })
	start(t, c)
	made := resourceClaim("web-gpu-abc", 1)
	made.Annotations = map[string]string{resourcev1.PodResourceClaimAnnotation: "gpu"}
	took := func(what string, want string) {
		t.Helper()
		// Each kind has a handler, and here all of them one informer.
		if got := strings.Join(told, ","); got != strings.TrimSuffix(strings.Repeat(want+",", 3), ",") {
			t.Errorf("%s: told %q, want %q", what, got, want)
		}
		told = nil
	}
	informer.Add(template("two", 2))
	took("a template", "team")
	informer.Delete(resourceClaim("shared", 4))
	took("a claim that goes", "team")
	informer.Update(class("gpus", "x"), class("gpus", "y"))
	took("a class", "")
	for what, act := range map[string]func(){
		"made for a pod": func() { informer.Add(made) },
		"a status":       func() { informer.Update(resourceClaim("shared", 4), resourceClaim("shared", 4)) },
	} {
		if act(); len(told) > 0 {
			t.Errorf("%s: told %q, want nothing", what, told)
		}
	}
}

func TestSlim(t *testing.T) {
	claim := resourceClaim("shared", 4)
	claim.UID, claim.ResourceVersion, claim.Labels = "u", "7", map[string]string{"a": "b"}
	claim.Annotations = map[string]string{resourcev1.PodResourceClaimAnnotation: "gpu", "a": "b"}
	claim.Status.Allocation = &resourcev1.AllocationResult{}
	claim.Spec.Devices.Config = []resourcev1.DeviceClaimConfiguration{{}}
	want := resourceClaim("shared", 4)
	want.UID, want.ResourceVersion = "u", "7"
	want.Annotations = map[string]string{resourcev1.PodResourceClaimAnnotation: "gpu"}
	big := template("two", 2)
	big.Labels, big.Spec.Labels = map[string]string{"a": "b"}, map[string]string{"a": "b"}
	nic := class("nics", "nic.example.com")
	for _, c := range []struct{ in, want any }{{claim, want}, {big, template("two", 2)}, {nic, nic}} {
		got, err := Slim(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%T:\n%s", c.in, diff)
		}
	}
}

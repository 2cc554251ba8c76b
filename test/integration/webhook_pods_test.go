package integration

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// webhookClass is a class of NVIDIA's DRA driver, as its chart makes it.
const webhookClass = "gpu.nvidia.com"

func webhookDeviceClass() *resourcev1.DeviceClass {
	return &resourcev1.DeviceClass{ObjectMeta: metav1.ObjectMeta{Name: webhookClass}, Spec: resourcev1.DeviceClassSpec{
		Selectors: []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: "device.driver == 'gpu.nvidia.com'"}}},
	}}
}

// webhookAsks asks for n devices; with other, for so many more where n cannot be had.
func webhookAsks(n, other int64) resourcev1.ResourceClaimSpec {
	exactly := func(n int64) *resourcev1.ExactDeviceRequest {
		return &resourcev1.ExactDeviceRequest{DeviceClassName: webhookClass, AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: n}
	}
	request := resourcev1.DeviceRequest{Name: "gpu", Exactly: exactly(n)}
	if other > 0 {
		alternative := func(name string, n int64) resourcev1.DeviceSubRequest {
			return resourcev1.DeviceSubRequest{Name: name, DeviceClassName: webhookClass, Count: n}
		}
		request.Exactly, request.FirstAvailable = nil, []resourcev1.DeviceSubRequest{alternative("few", n), alternative("many", other)}
	}
	return resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{request}}}
}

func webhookTemplate(namespace, name string, n, other int64) *resourcev1.ResourceClaimTemplate {
	return &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: resourcev1.ResourceClaimTemplateSpec{Spec: webhookAsks(n, other)}}
}

func webhookSharedClaim(namespace string, n int64) *resourcev1.ResourceClaim {
	return &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shared"}, Spec: webhookAsks(n, 0)}
}

// webhookClaims: what a pod claims is found out when it is created, from what has just been
// written too.
func webhookClaims(t *testing.T, e *webhookEnv) {
	needs(t, e.Cluster, "ResourceClaim")
	e.namespace(t, "claims", nil)
	ctx := t.Context()
	for _, o := range []client.Object{
		webhookDeviceClass(), webhookTemplate("claims", "two", 2, 0), webhookSharedClaim("claims", 4),
		&resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "claims", Name: "all"}, Spec: resourcev1.ResourceClaimTemplateSpec{
			Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
				Name: "gpu", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: webhookClass, AllocationMode: resourcev1.DeviceAllocationModeAll},
			}}}},
		}},
	} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	attempts := 0
	annotated := func(claim corev1.PodResourceClaim, edit func(*corev1.Pod)) (map[string]string, error) {
		attempts++
		pod := webhookPod("claims", fmt.Sprintf("p-%d", attempts), 0)
		if claim.ResourceClaimName != nil || claim.ResourceClaimTemplateName != nil {
			claim.Name = "gpu"
			pod.Spec.ResourceClaims = []corev1.PodResourceClaim{claim}
		}
		edit(pod)
		err := e.Client.Create(ctx, pod)
		return pod.Annotations, err
	}
	nothing := func(*corev1.Pod) {}
	says := func(count string) map[string]string {
		return map[string]string{v1alpha1.AnnotationGPUVendor: "nvidia", v1alpha1.AnnotationGPUCount: count, v1alpha1.AnnotationGPUShape: webhookClass}
	}
	cluster.Eventually(t, webhookWait, func() error { // until the class is known
		got, err := annotated(corev1.PodResourceClaim{ResourceClaimTemplateName: new("two")}, nothing)
		if diff := cmp.Diff(says("2"), got); err != nil || diff != "" {
			return fmt.Errorf("%w\n%s", err, diff)
		}
		return nil
	})
	if err := e.Client.Create(ctx, webhookTemplate("claims", "just-now", 1, 3)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		claim corev1.PodResourceClaim
		edit  func(*corev1.Pod)
		want  map[string]string
	}{
		"alternatives, just written": {corev1.PodResourceClaim{ResourceClaimTemplateName: new("just-now")}, nothing, says("3")},
		"a shared claim":             {corev1.PodResourceClaim{ResourceClaimName: new("shared")}, nothing, says("4")},
		"all devices":                {corev1.PodResourceClaim{ResourceClaimTemplateName: new("all")}, nothing, says("32")},
		"a template to come":         {corev1.PodResourceClaim{ResourceClaimTemplateName: new("tomorrow")}, nothing, nil},
		"a class as a resource": {corev1.PodResourceClaim{}, func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"deviceclass.resource.kubernetes.io/" + webhookClass: resource.MustParse("5")}
		}, says("5")},
		"none": {corev1.PodResourceClaim{}, func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{cluster.GPU: resource.MustParse("0")}
		}, nil},
		"more than there are": {corev1.PodResourceClaim{}, func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"nvidia.com/gpu.shared": resource.MustParse("9223372036854775807")}
		}, map[string]string{v1alpha1.AnnotationGPUVendor: "nvidia", v1alpha1.AnnotationGPUCount: "9223372036854775807", v1alpha1.AnnotationGPUShape: "shared"}},
	} {
		got, err := annotated(c.claim, c.edit)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// webhookWarm: a pod prefers its pool from when the reserver says that a chunk stands ready which
// takes it. The pool is the sample of the part before.
func webhookWarm(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	cold := webhookPod("ml", "cold", 2)
	if err := e.Client.Create(ctx, cold); err != nil {
		t.Fatal(err)
	}
	if cold.Spec.Affinity != nil {
		t.Errorf("affinity %v where nothing stands ready", cold.Spec.Affinity)
	}
	pool := &v1alpha1.WarmPool{}
	if err := e.Client.Get(ctx, client.ObjectKey{Name: "a100"}, pool); err != nil {
		t.Fatal(err)
	}
	pool.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "node", Reserved: 1}}
	if err := e.Client.Status().Update(ctx, pool); err != nil {
		t.Fatal(err)
	}
	want := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
		Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: "karpenter.sh/nodepool", Operator: corev1.NodeSelectorOpIn, Values: []string{"a100"}},
		}},
	}}}}
	attempt := 0
	cluster.Eventually(t, webhookWait, func() error {
		attempt++
		pod := webhookPod("ml", fmt.Sprintf("warm-%d", attempt), 2)
		if err := e.Client.Create(ctx, pod); err != nil {
			return err
		}
		if diff := cmp.Diff(want, pod.Spec.Affinity); diff != "" {
			return fmt.Errorf("affinity:\n%s", diff)
		}
		return nil
	})
	own := webhookPod("ml", "own", 2)
	own.Spec.NodeSelector = map[string]string{"zone": "b"}
	if err := e.Client.Create(ctx, own); err != nil {
		t.Fatal(err)
	}
	if own.Spec.Affinity != nil {
		t.Errorf("a pod that says where to go got affinity %v", own.Spec.Affinity)
	}
}

// totalsOfClaims: what pods claim counts for each of them, what they share once; a template that
// comes later is followed, and bound by the quota.
func totalsOfClaims(t *testing.T, e *totalsEnv) {
	needs(t, e.Cluster, "ResourceClaim")
	e.counting(t, "claims", map[string]string{totalGPUs: "8"})
	ctx := t.Context()
	with := func(name string, replicas int64, claim map[string]any) *unstructured.Unstructured {
		o := webhookWorkload("Deployment", "claims", name, replicas, "")
		claim["name"] = "gpu"
		_ = unstructured.SetNestedSlice(o.Object, []any{claim}, "spec", "template", "spec", "resourceClaims")
		return o
	}
	for _, o := range []client.Object{webhookDeviceClass(), webhookTemplate("claims", "two", 2, 0), webhookSharedClaim("claims", 3)} {
		if err := e.Client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	cluster.Eventually(t, webhookWait, func() error { // until the leader knows the class, and soon all do
		quota := &corev1.ResourceQuota{}
		if err := e.Client.Get(ctx, client.ObjectKey{Namespace: "claims", Name: "forewarm-max-gpus"}, quota); err != nil {
			return err
		}
		if n := quota.Status.Hard[corev1.ResourceName(webhookClass+corev1.ResourceClaimsPerClass)]; n.Value() != 8 {
			return fmt.Errorf("hard %v, want 8 of the class", quota.Status.Hard)
		}
		return nil
	})
	train, serve := with("train", 2, map[string]any{"resourceClaimTemplateName": "two"}), with("serve", 3, map[string]any{"resourceClaimName": "shared"})
	for _, o := range []*unstructured.Unstructured{train, serve, with("late", 2, map[string]any{"resourceClaimTemplateName": "late"})} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	e.settled(t, "namespace.claims", v1alpha1.LedgerAmounts{Replicas: 7, GPUs: 7})
	if err := webhookDenied(webhookScale(ctx, e.Client, train, 3), "Deployment claims/train: 6 GPUs asked for, 3 used by others, at most 8 in all"); err != nil {
		t.Errorf("scale: %v", err)
	}
	if err := webhookScale(ctx, e.Client, serve, 30); err != nil {
		t.Errorf("more pods for the same claim: %v", err)
	}
	err := e.Client.Patch(ctx, train.DeepCopy(), client.RawPatch("application/json-patch+json",
		[]byte(`[{"op":"add","path":"/spec/template/spec/resourceClaims/-","value":{"name":"more","resourceClaimTemplateName":"two"}}]`)))
	if err := webhookDenied(err, "8 GPUs asked for"); err != nil {
		t.Errorf("more claims per replica: %v", err)
	}
	if err := e.Client.Create(ctx, webhookTemplate("claims", "late", 1, 0)); err != nil {
		t.Fatal(err)
	}
	e.settled(t, "namespace.claims", v1alpha1.LedgerAmounts{Replicas: 34, GPUs: 9})
	claim := webhookSharedClaim("claims", 9)
	claim.Name = "bare"
	if err := e.Client.Create(ctx, claim); !apierrors.IsForbidden(err) {
		t.Errorf("a bare claim above the total: %v, want the quota's refusal", err)
	}
}

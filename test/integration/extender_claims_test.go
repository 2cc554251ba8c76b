package integration

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// TestExtenderClaims: pods that get their GPUs by claims alone are marked by the webhook, so that
// the scheduler asks the extender about them as about all others. Nodes, claims and DeviceClass are
// as NVIDIA's DRA driver makes them, beside a device plugin.
func TestExtenderClaims(t *testing.T) {
	t.Parallel()
	e := newExtenderEnv(t)
	needs(t, e.Cluster, "ResourceClaim")
	hook := newWebhookEnvBeside(t, e.Cluster, "markClaims: true")
	class := webhookDeviceClass()
	class.Spec.ExtendedResourceName = new(string(cluster.GPU))
	objects := []client.Object{class, claimableDevices("plain-0", 8), claimableDevices("warm-0", 8)}
	for _, namespace := range []string{"web", "ml"} {
		objects = append(objects, webhookTemplate(namespace, "two", 2, 0))
	}
	for _, o := range objects {
		if err := e.Client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	claimsKnown(t, hook)

	before := e.requests(t)
	e.create(t, extenderPod("web", "no-gpu", "plain", 0))
	if diff := cmp.Diff(before, e.requests(t)); diff != "" {
		t.Errorf("calls for a pod without GPUs (-before +after):\n%s", diff)
	}
	seen := claimingPod("web", "seen", "plain")
	if node := e.create(t, seen); node != "plain-0" {
		t.Errorf("bound to %s, want the node that has the devices", node)
	}
	if after := e.requests(t)["filter ok"]; after <= before["filter ok"] {
		t.Errorf("filter was called %v times before and %v after a pod with a claim", before["filter ok"], after)
	}
	guest := claimingPod("web", "guest", "warm")
	if err := e.Client.Create(t.Context(), guest); err != nil {
		t.Fatal(err)
	}
	e.refused(t, guest, "kept warm for the demand class of WarmPool a100")
	e.create(t, claimingPod("ml", "owner", "warm"))
}

// claimableDevices are n GPUs of a node.
func claimableDevices(node string, n int) *resourcev1.ResourceSlice {
	slice := &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: resourcev1.ResourceSliceSpec{
		Driver: "gpu.nvidia.com", Pool: resourcev1.ResourcePool{Name: node, ResourceSliceCount: 1}, NodeName: &node,
	}}
	for i := range n {
		slice.Spec.Devices = append(slice.Spec.Devices, resourcev1.Device{Name: fmt.Sprintf("gpu-%d", i)})
	}
	return slice
}

// claimingPod gets two GPUs by a claim on the nodes of a pool.
func claimingPod(namespace, name, pool string) *corev1.Pod {
	pod := extenderPod(namespace, name, pool, 0)
	pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: new("two")}}
	pod.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "gpu"}}
	return pod
}

// claimsKnown waits until the webhook marks pods, and shows that nothing else of them changes.
func claimsKnown(t *testing.T, e *webhookEnv) {
	t.Helper()
	attempt := 0
	cluster.Eventually(t, webhookWait, func() error {
		attempt++
		pod := claimingPod("web", fmt.Sprintf("try-%d", attempt), "nowhere")
		want := pod.Spec.Containers[0].Resources.DeepCopy()
		want.Requests = corev1.ResourceList{v1alpha1.ResourceManaged: {Format: "DecimalSI"}}
		want.Limits = want.Requests
		if err := e.Client.Create(t.Context(), pod, client.DryRunAll); err != nil {
			return err
		}
		if diff := cmp.Diff(*want, pod.Spec.Containers[0].Resources); diff != "" {
			return fmt.Errorf("resources of a pod with a claim (-want +got):\n%s", diff)
		}
		return nil
	})
}

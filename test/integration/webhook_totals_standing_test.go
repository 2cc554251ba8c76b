package integration

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// totalsStanding: the quota of GPUs lets what stood above the total lose pods and have them again, and follows it
// down to the total.
func totalsStanding(t *testing.T, e *totalsEnv) {
	ctx := t.Context()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "standing"}}
	if err := e.CreateNamespace(ctx, namespace); err != nil {
		t.Fatal(err)
	}
	train := webhookWorkload("Deployment", "standing", "train", 3, "")
	containers, _, _ := unstructured.NestedSlice(train.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["resources"] = map[string]any{"limits": map[string]any{"nvidia.com/gpu": "2"}}
	if err := unstructured.SetNestedSlice(train.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	if err := e.Client.Create(ctx, train); err != nil {
		t.Fatal(err)
	}
	e.pods(t, 3)
	if err := e.Client.Patch(ctx, namespace, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"4"}}}`, totalGPUs))); err != nil {
		t.Fatal(err)
	}
	bound := func(want int64) {
		t.Helper()
		cluster.Eventually(t, webhookWait, func() error {
			quota := &corev1.ResourceQuota{}
			if err := e.Client.Get(ctx, client.ObjectKey{Namespace: "standing", Name: "forewarm-max-gpus"}, quota); err != nil {
				return err
			}
			if n := quota.Status.Hard["requests.nvidia.com/gpu"]; n.Value() != want {
				return fmt.Errorf("hard %v, want %d", quota.Status.Hard, want)
			}
			return nil
		})
	}
	bound(6)
	e.settled(t, "namespace.standing", v1alpha1.LedgerAmounts{Replicas: 3, GPUs: 6})
	if err := e.Client.Delete(ctx, &e.pods(t, 3)[0]); err != nil {
		t.Fatal(err)
	}
	e.pods(t, 3)
	if err := webhookDenied(webhookScale(ctx, e.Client, train, 4), "8 GPUs asked for", "at most 4 in all"); err != nil {
		t.Errorf("more than stands: %v", err)
	}
	if err := webhookScale(ctx, e.Client, train, 1); err != nil {
		t.Fatal(err)
	}
	bound(4)
}

// pods are those of Namespace standing that are not being deleted, once there are so many.
func (e *totalsEnv) pods(t *testing.T, want int) []corev1.Pod {
	t.Helper()
	var out []corev1.Pod
	cluster.Eventually(t, webhookWait, func() error {
		var err error
		if out, err = standingPods(t.Context(), e.Client); err != nil || len(out) != want {
			return fmt.Errorf("%d pods, want %d (%w)", len(out), want, err)
		}
		return nil
	})
	return out
}

func standingPods(ctx context.Context, c client.Client) (out []corev1.Pod, err error) {
	var list corev1.PodList
	err = c.List(ctx, &list, client.InNamespace("standing"))
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			out = append(out, pod)
		}
	}
	return out, err
}

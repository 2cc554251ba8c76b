package chart

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

// secondMode asks for the second scheduler.
const secondMode = "mode: SecondScheduler"

// generous asks, beside the addresses of newEnv, for what gives the processes the most rights.
func generous(t *testing.T, addresses string) string {
	t.Helper()
	port, err := cluster.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(
		"extender: {", "extender: {"+secondMode+", ",
		"reserver: {config: {", fmt.Sprintf("reserver: {drain: true, callsSecret: calls, config: {calls: {address: '127.0.0.1:%d'}, ", port),
	).Replace(addresses) + "criticalPodsQuota: {enabled: true}\n"
}

// takeovers: pods that name the second scheduler find the cluster full of placeholders, and take two over: one by
// preemption, and one that may not preempt because the extender deletes a placeholder for it.
func (e *env) takeovers(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	const gpus = 8 // of newEnv's nodes
	body := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"chunks":[{"name":"single","tier":1,"requests":{%q:"1"},"waitCostPerHour":"60","idleCostPerHour":"3","min":%d,"max":%d}]}}`, cluster.GPU, gpus, gpus))
	if err := e.Client.Patch(ctx, &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "warm"}}, body); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		placeholders, held := &corev1.PodList{}, 0
		if err := e.Client.List(ctx, placeholders, client.InNamespace(v1alpha1.PlaceholderNamespace)); err != nil {
			return err
		}
		for _, p := range placeholders.Items {
			if p.Spec.NodeName != "" {
				held++
			}
		}
		if held != gpus {
			return fmt.Errorf("%d placeholders of %d hold a GPU, want %d", held, len(placeholders.Items), gpus)
		}
		return nil
	})
	polite := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "polite"}, PreemptionPolicy: new(corev1.PreemptNever)}
	if err := e.Client.Create(ctx, polite); err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{"", polite.Name} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "takes" + class}}
		pod.Spec.SchedulerName, pod.Spec.PriorityClassName = "forewarm-scheduler", class
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "none", Resources: corev1.ResourceRequirements{Limits: warm().Chunks[0].Requests}}}
		if err := e.Client.Create(ctx, pod); err != nil {
			t.Fatal(err)
		}
		cluster.Eventually(t, patience, func() error {
			if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil || pod.Spec.NodeName == "" {
				return fmt.Errorf("pod %s has no node: %v, %w", pod.Name, pod.Status.Conditions, err)
			}
			return nil
		})
		if err := e.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Client.Delete(ctx, polite); err != nil {
		t.Fatal(err)
	}
	lease := &coordinationv1.Lease{}
	if err := e.Client.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: "forewarm-scheduler"}, lease); err != nil || lease.Spec.HolderIdentity == nil {
		t.Errorf("nobody leads the second scheduler: %v, %v", lease.Spec, err)
	}
}

// autoscaled gives the cluster a NodePool of Karpenter's, the kind of quotas on nodes, and ceilings for both.
func (e *env) autoscaled(t *testing.T) {
	t.Helper()
	crds, err := assets.Find(assets.KarpenterCRDs)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("Karpenter's CRDs: %v, %v", files, err)
	}
	if err := e.ApplyFiles(t.Context(), append(files, filepath.Join(root, "test", "integration", "testdata", "capacityquotas.yaml"))...); err != nil {
		t.Fatal(err)
	}
	pool := object("karpenter.sh", "v1", "NodePool", "bought")
	pool.Object["spec"] = map[string]any{"template": map[string]any{"spec": map[string]any{
		"nodeClassRef": map[string]any{"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"}, "requirements": []any{},
	}}}
	pool.SetAnnotations(map[string]string{"forewarm.dev/max-nodes": "2"})
	if err := e.Client.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	body := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"forewarm.dev/max-nodes":"20"}}}`))
	if err := e.Client.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}, body); err != nil {
		t.Fatal(err)
	}
}

// limits waits until the NodePool is limited to n nodes and the cluster has a quota, or for neither if n is empty.
func (e *env) limits(t *testing.T, n string) {
	t.Helper()
	pool, quota := object("karpenter.sh", "v1", "NodePool", "bought"), object("autoscaling.x-k8s.io", "v1alpha1", "CapacityQuota", "forewarm-cluster")
	cluster.Eventually(t, patience, func() error {
		if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
			return err
		}
		value, set, err := unstructured.NestedFieldNoCopy(pool.Object, "spec", "limits", "nodes")
		if err != nil || set != (n != "") || set && fmt.Sprint(value) != n {
			return fmt.Errorf("the NodePool is limited to %v nodes, want %q: %w", value, n, err)
		}
		if err := e.Client.Get(t.Context(), client.ObjectKeyFromObject(quota), quota); n != "" && err != nil || n == "" && !apierrors.IsNotFound(err) {
			return fmt.Errorf("the cluster's quota, wanted: %t: %w", n != "", err)
		}
		return nil
	})
}

func object(group, version, kind, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
	o.SetName(name)
	return o
}

package integration

import (
	"fmt"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// totalsOfRuntimes: a TrainJob may leave the number of its nodes, and what each gets, to its runtime. What the
// operator makes of both is a JobSet, which counts, and which the ceilings of the TrainJob and of its Namespace bind.
func totalsOfRuntimes(t *testing.T, e *totalsEnv) {
	e.counting(t, "runtimes", map[string]string{totalReplicas: "10", totalGPUs: "16"})
	ctx := t.Context()
	const user = "system:serviceaccount:kubeflow-system:kubeflow-trainer-controller-manager"
	operator := e.having(t, "runtimes", user, "cluster-admin")
	made := func(name, ceiling string, nodes int) *unstructured.Unstructured {
		job := twinObject(t, fmt.Sprintf("{apiVersion: trainer.kubeflow.org/v1alpha1, kind: TrainJob, metadata: {namespace: runtimes, name: %s, annotations: {%s}}, spec: {runtimeRef: {name: torch}}}", name, ceiling))
		if err := e.Client.Create(ctx, job); err != nil {
			t.Fatal(err)
		}
		set := twinObject(t, fmt.Sprintf(`{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {namespace: runtimes, name: %s}, spec: {replicatedJobs: [{name: node,
			template: {spec: {parallelism: %d, template: {spec: {containers: [{name: node, image: a, resources: {limits: {nvidia.com/gpu: "2"}}}]}}}}}]}}`, name, nodes))
		set.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "trainer.kubeflow.org/v1alpha1", Kind: "TrainJob", Name: name, UID: job.GetUID(), Controller: new(true)}})
		return set
	}
	first := made("first", "", 4)
	cluster.Eventually(t, webhookWait, func() error { return operator.Create(ctx, first.DeepCopy()) }) // once its rights are known
	if err := operator.Create(ctx, made("second", "", 4)); err != nil {
		t.Errorf("within the totals: %v", err)
	}
	e.settled(t, "namespace.runtimes", v1alpha1.LedgerAmounts{Replicas: 8, GPUs: 16})
	if err := webhookDenied(operator.Create(ctx, made("third", "", 3)), "JobSet runtimes/third: 3 replicas asked for, 8 used by others, at most 10"); err != nil {
		t.Errorf("above the total: %v", err)
	}
	if err := webhookDenied(operator.Create(ctx, made("fourth", "", 1)), "2 GPUs asked for, 16 used by others"); err != nil {
		t.Errorf("above that of GPUs: %v", err)
	}
	if err := webhookDenied(operator.Create(ctx, made("fifth", `forewarm.dev/max-replicas: "1"`, 2)), "JobSet runtimes/fifth: 2 replicas", "at most 1", "on TrainJob runtimes/fifth"); err != nil {
		t.Errorf("above what the TrainJob says: %v", err)
	}
	e.settled(t, "namespace.runtimes", v1alpha1.LedgerAmounts{Replicas: 8, GPUs: 16})
}

// totalsOfReferences: a Rollout whose pods are those of a Deployment counts their GPUs, and follows its template; what
// that comes to above the total is not what the quota allows.
func totalsOfReferences(t *testing.T, e *totalsEnv) {
	e.counting(t, "references", map[string]string{totalGPUs: "8"})
	ctx := t.Context()
	web := webhookWorkload("Deployment", "references", "web", 0, "")
	asks := func(gpus string) {
		t.Helper()
		before := web.DeepCopy()
		containers, _, _ := unstructured.NestedSlice(web.Object, "spec", "template", "spec", "containers")
		containers[0].(map[string]any)["resources"] = map[string]any{"limits": map[string]any{"nvidia.com/gpu": gpus}, "requests": map[string]any{"nvidia.com/gpu": gpus}}
		if err := unstructured.SetNestedSlice(web.Object, containers, "spec", "template", "spec", "containers"); err != nil {
			t.Fatal(err)
		}
		if err := e.Client.Patch(ctx, web, client.MergeFrom(before)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Client.Create(ctx, web); err != nil {
		t.Fatal(err)
	}
	asks("2")
	rollout := twinObject(t, "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {namespace: references, name: web}, spec: {replicas: 3, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}")
	if err := e.Client.Create(ctx, rollout); err != nil {
		t.Fatal(err)
	}
	e.settled(t, "namespace.references", v1alpha1.LedgerAmounts{Replicas: 3, GPUs: 6})
	if err := webhookDenied(webhookScale(ctx, e.Client, rollout, 5), "Rollout references/web: 10 GPUs asked for, 0 used by others, at most 8"); err != nil {
		t.Errorf("scale: %v", err)
	}
	if err := webhookDenied(e.Client.Create(ctx, totalsWithGPUs("references", "other", 3)), "3 GPUs asked for, 6 used by others"); err != nil {
		t.Errorf("another: %v", err)
	}
	big := totalsWithGPUs("references", "big", 4)
	if err := unstructured.SetNestedField(big.Object, int64(0), "spec", "replicas"); err != nil {
		t.Fatal(err)
	}
	if err := e.Client.Create(ctx, big); err != nil {
		t.Fatal(err)
	}
	err := e.Client.Patch(ctx, rollout.DeepCopy(), twinPatch(`{"spec":{"workloadRef":{"name":"big"}}}`))
	if err := webhookDenied(err, "12 GPUs asked for"); err != nil {
		t.Errorf("pods of another Deployment: %v", err)
	}
	asks("4") // which asks nobody: the Deployment itself has no pods
	e.settled(t, "namespace.references", v1alpha1.LedgerAmounts{Replicas: 3, GPUs: 12})
	if err := webhookDenied(e.Client.Create(ctx, totalsWithGPUs("references", "other", 1)), "1 GPUs asked for, 12 used by others"); err != nil {
		t.Errorf("while more stands than the total: %v", err)
	}
	quota := &corev1.ResourceQuota{}
	cluster.Eventually(t, webhookWait, func() error {
		return e.Client.Get(ctx, client.ObjectKey{Namespace: "references", Name: "forewarm-max-gpus"}, quota)
	})
	if n := quota.Spec.Hard["requests.nvidia.com/gpu"]; n.Value() != 8 {
		t.Errorf("the quota allows %s GPUs, want 8: what a template came to asked nobody", n.String())
	}
	asks("1")
	e.settled(t, "namespace.references", v1alpha1.LedgerAmounts{Replicas: 3, GPUs: 3})
}

// kindsOf installs the kinds of groups, of which those are counted from half a minute later on.
func (e *totalsEnv) kindsOf(t *testing.T, groups ...string) {
	t.Helper()
	for _, group := range groups {
		if err := e.ApplyFiles(t.Context(), filepath.Join("..", "bypass", "testdata", "crds", group+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
}

// totalsWithGPUs is a Deployment of one pod with GPUs.
func totalsWithGPUs(namespace, name string, gpus int) *unstructured.Unstructured {
	o := webhookWorkload("Deployment", namespace, name, 1, "")
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["resources"] = map[string]any{"limits": map[string]any{"nvidia.com/gpu": fmt.Sprint(gpus)}}
	_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
	return o
}

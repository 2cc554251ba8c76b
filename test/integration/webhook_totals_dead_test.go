package integration

import (
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// restarting makes a JobSet that counts, and an operator and a tenant of its Namespace, for what they may do without
// a webhook.
func (e *totalsEnv) restarting(t *testing.T, namespace string) func(*testing.T) {
	t.Helper()
	ctx := t.Context()
	if err := e.ApplyFiles(ctx, filepath.Join("..", "bypass", "testdata", "crds", "jobset.x-k8s.io.yaml")); err != nil {
		t.Fatal(err)
	}
	operator, tenant := e.having(t, namespace, "system:serviceaccount:jobset-system:jobset", "cluster-admin"), e.having(t, namespace, "system:serviceaccount:mine:ci", "edit")
	set := twinObject(t, "{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {namespace: "+namespace+", name: train}, spec: {replicatedJobs: [{name: a, replicas: 2, template: {spec: {parallelism: 1}}}]}}")
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, set) })
	return func(t *testing.T) {
		t.Helper()
		job := twinObject(t, "{apiVersion: batch/v1, kind: Job, metadata: {namespace: "+namespace+", name: train-a-0}, spec: {parallelism: 1, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}")
		job.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "jobset.x-k8s.io/v1alpha2", Kind: "JobSet", Name: "train", UID: set.GetUID(), Controller: new(true)}})
		create := func(c client.Client, o *unstructured.Unstructured) error { return c.Create(ctx, o.DeepCopy()) }
		if err := create(tenant, job); !unanswered(err) {
			t.Errorf("a Job that a tenant says is the JobSet's: %v, want that no webhook answered", err)
		}
		if err := create(operator, job); err != nil {
			t.Errorf("a Job of a JobSet that restarts: %v", err)
		}
	}
}

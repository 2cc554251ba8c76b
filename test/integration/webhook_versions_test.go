package integration

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// versionsJob is an MPIJob of the training operator, with a launcher.
func versionsJob(t *testing.T, namespace, name string, workers int64) *unstructured.Unstructured {
	t.Helper()
	return twinObject(t, fmt.Sprintf("{apiVersion: kubeflow.org/v1, kind: MPIJob, metadata: {namespace: %s, name: %s}, spec: {mpiReplicaSpecs: {Launcher: {}, Worker: {replicas: %d}}}}", namespace, name, workers))
}

// totalsOtherVersion: the server has a kind that counts for totals in a version that the table
// does not name first. Its CRD comes while the replicas run, one of which finds and watches it.
func totalsOtherVersion(t *testing.T, e *totalsEnv) {
	ctx := t.Context()
	if err := e.ApplyFiles(ctx, "testdata/mpijobs.yaml"); err != nil {
		t.Fatal(err)
	}
	e.counting(t, "versions", map[string]string{totalReplicas: "7", v1alpha1.AnnotationMaxReplicas: "5"})
	job := versionsJob(t, "versions", "train", 3)
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, job) })
	e.settled(t, "namespace.versions", v1alpha1.LedgerAmounts{Replicas: 4})
	if err := webhookDenied(e.Client.Create(ctx, versionsJob(t, "versions", "large", 5)), "MPIJob versions/large: 6 replicas", "at most 5"); err != nil {
		t.Errorf("above the ceiling of the Namespace: %v", err)
	}
	if err := webhookDenied(e.Client.Create(ctx, versionsJob(t, "versions", "more", 3)), "MPIJob versions/more: 4 replicas asked for, 4 used by others, at most 7 in all"); err != nil {
		t.Errorf("above the total: %v", err)
	}
	grow := func(workers int) error {
		body := fmt.Appendf(nil, `{"spec":{"mpiReplicaSpecs":{"Worker":{"replicas":%d}}}}`, workers)
		return e.Client.Patch(ctx, job.DeepCopy(), client.RawPatch("application/merge-patch+json", body))
	}
	if err := webhookDenied(grow(5), "MPIJob versions/train: 6 replicas", "at most 5"); err != nil {
		t.Errorf("grown above the ceiling: %v", err)
	}
	if err := grow(4); err != nil {
		t.Errorf("grown to the ceiling: %v", err)
	}
	e.settled(t, "namespace.versions", v1alpha1.LedgerAmounts{Replicas: 5})
	if err := e.Client.Delete(ctx, job); err != nil {
		t.Fatal(err)
	}
	e.settled(t, "namespace.versions", v1alpha1.LedgerAmounts{})

	if err := e.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "policies", Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: "5"}}}); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		return e.Client.Get(ctx, client.ObjectKey{Namespace: "policies", Name: v1alpha1.CeilingSetName}, &v1alpha1.CeilingSet{})
	})
}

// versionsDead: while no webhook answers, the policies hold the kind.
func versionsDead(t *testing.T, e *totalsEnv) {
	t.Helper()
	create := func(workers int64) error {
		return e.Client.Create(t.Context(), versionsJob(t, "policies", "train", workers), client.DryRunAll)
	}
	cluster.Eventually(t, webhookWait, func() error { // the API server may still be compiling
		return webhookDenied(create(5), "ValidatingAdmissionPolicy", "6 replicas asked for by spec.mpiReplicaSpecs, at most 5")
	})
	if err := create(4); err != nil {
		t.Errorf("within the ceiling, while no webhook answers: %v", err)
	}
}

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// knownWorkloads is as much of Kueue's CRD as we read.
const knownWorkloads = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: workloads.kueue.x-k8s.io}
spec:
  group: kueue.x-k8s.io
  names: {kind: Workload, listKind: WorkloadList, plural: workloads, singular: workload}
  scope: Namespaced
  versions:
  - name: v1beta2
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// TestKnownFuture: a CronJob that runs within the lead time, and a Workload of Kueue that has its
// quota, have their capacity before they have pods; a namespace gets no more than its quota leaves.
func TestKnownFuture(t *testing.T) {
	t.Parallel()
	e := newLoopEnv(t)
	ctx := t.Context()
	file := filepath.Join(t.TempDir(), "workloads.yaml")
	if err := os.WriteFile(file, []byte(knownWorkloads), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.ApplyFiles(ctx, file); err != nil {
		t.Fatal(err)
	}
	pool := loopPool(loopName, "warm", 0, 8)
	pool.Spec.Mode, pool.Spec.Sizing.LeadTime = v1alpha1.ModeEnforce, "90m"
	pool.Spec.Chunks[0].Requests = extenderGPUs(8)
	pool.Spec.Demand.Future = &v1alpha1.FutureSpec{NamespaceSharePercent: new(int32(50))}
	e.create(t, pool)
	e.start(t, "reserver", "reserver")
	wanted := func(n int32) {
		t.Helper()
		cluster.Eventually(t, loopWait, func() error {
			_, chunk, err := e.status(ctx, loopName)
			if err == nil && (chunk.Wanted != n || chunk.Reserved != n) {
				err = fmt.Errorf("%+v, want %d", chunk, n)
			}
			return err
		})
	}
	wanted(0)

	job := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "hourly"}}
	job.Spec.Schedule = fmt.Sprintf("%d * * * *", time.Now().UTC().Add(30*time.Minute).Minute())
	job.Spec.ConcurrencyPolicy = batchv1.ForbidConcurrent
	job.Spec.TimeZone = new("Etc/UTC")
	job.Spec.JobTemplate.Spec.Parallelism = new(int32(3))
	job.Spec.JobTemplate.Spec.Template.Spec = loopPod("", "", 8, nil).Spec
	job.Spec.JobTemplate.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	e.create(t, job)
	wanted(3)
	reserved, _, err := e.status(ctx, loopName)
	if err != nil || !strings.Contains(reserved.Status.LastPlan.Reason, "KnownDemand") {
		t.Errorf("last plan %+v, %v; want the reason KnownDemand", reserved.Status.LastPlan, err)
	}

	w := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "metadata": map[string]any{"namespace": "ml", "name": "training"},
		"spec": map[string]any{"podSets": []any{map[string]any{"name": "main", "count": int64(9), "template": map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": "main", "image": "x", "resources": map[string]any{"requests": map[string]any{"nvidia.com/gpu": "8"}}}},
		}}}}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "QuotaReserved", "status": "True", "reason": "QuotaReserved", "message": "", "lastTransitionTime": "2026-11-29T12:00:00Z"}}},
	}}
	e.create(t, w)
	wanted(4) // half of eight, for one namespace

	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "gpus"}}
	quota.Spec.Hard = corev1.ResourceList{"requests.nvidia.com/gpu": resource.MustParse("20")}
	e.create(t, quota)
	cluster.Eventually(t, loopWait, func() error {
		_, chunk, err := e.status(ctx, loopName)
		if err == nil && chunk.Wanted != 2 {
			err = fmt.Errorf("%+v, want what the quota leaves", chunk)
		}
		return err
	})
}

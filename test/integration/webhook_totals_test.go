package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

const (
	totalReplicas = "forewarm.dev/max-total-replicas"
	totalGPUs     = "forewarm.dev/max-gpus"
)

// TestTotals shows what totals do with three replicas of cmd/webhook. The parts run in this
// order, since the last one takes them away.
func TestTotals(t *testing.T) {
	t.Parallel()
	e := newTotalsEnv(t, cluster.Options{ControllerManager: true}, 3)
	e.kindsOf(t, "trainer.kubeflow.org", "jobset.x-k8s.io", "argoproj.io", "karpenter.sh")
	for _, part := range []struct {
		name string
		run  func(*testing.T, *totalsEnv)
	}{
		{"the sum of a Namespace's workloads", totalsSum},
		{"a dry run leaves no trace", totalsDryRun},
		{"forewarmctl explains totals", totalsExplained},
		{"an owner that is forged counts for nothing", totalsForgedOwner},
		{"the groups of a LeaderWorkerSet", totalsGroups},
		{"what a runtime says counts by what is made of it", totalsOfRuntimes},
		{"pods of a template that stands elsewhere", totalsOfReferences},
		{"a create that is refused later is given back", totalsGivenBack},
		{"GPUs", totalsOfGPUs},
		{"totals that refuse nothing", totalsTold},
		{"GPUs of claims", totalsOfClaims},
		{"200 writers, and replicas that are killed", totalsRace},
		{"a thousand workloads", totalsOfMany},
		{"a burst of NodeClaims", totalsOfNodeClaims},
		{"the quota of GPUs is kept, but not while disarmed", totalsQuota},
		{"pods that stand above a total come back", totalsStanding},
		{"a kind that counts, of which the server has another version", totalsOtherVersion},
		{"a total that goes leaves nothing", totalsRemoved},
		{"without a webhook growth is refused where a total is set", totalsDead},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

func totalsSum(t *testing.T, e *totalsEnv) {
	e.counting(t, "sum", map[string]string{totalReplicas: "10"})
	ctx := t.Context()
	web, db := webhookWorkload("Deployment", "sum", "web", 4, ""), webhookWorkload("StatefulSet", "sum", "db", 3, "")
	for _, o := range []*unstructured.Unstructured{web, db} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	says := []string{"7 used by others", "at most 10 in all", `forewarm.dev/max-total-replicas="10" on Namespace sum`, "who may edit"}
	if err := webhookDenied(e.Client.Create(ctx, webhookWorkload("ReplicationController", "sum", "rc", 4, "")), append(says, "ReplicationController sum/rc: 4 replicas")...); err != nil {
		t.Errorf("create: %v", err)
	}
	for way, set := range webhookWays {
		e.settled(t, "namespace.sum", v1alpha1.LedgerAmounts{Replicas: 7}) // what was given back counts until it is seen
		if err := webhookDenied(set(ctx, e.Client, web.DeepCopy(), 8), "Deployment sum/web: 8 replicas asked for, 3 used by others"); err != nil {
			t.Errorf("%s above: %v", way, err)
		}
		if err := set(ctx, e.Client, web.DeepCopy(), 7); err != nil {
			t.Errorf("%s to the total: %v", way, err)
		}
		if err := set(ctx, e.Client, web.DeepCopy(), 4); err != nil {
			t.Errorf("%s back: %v", way, err)
		}
	}
	// What one gives back another may have: a refusal waits for the ledger to follow.
	for i := range int64(10) {
		from, to := web, db
		if i%2 == 1 {
			from, to = db, web
		}
		if err := webhookScale(ctx, e.Client, from, 1); err != nil {
			t.Fatal(err)
		}
		cluster.Eventually(t, webhookWait, func() error { return webhookScale(ctx, e.Client, to, 9) })
	}
	e.settled(t, "namespace.sum", v1alpha1.LedgerAmounts{Replicas: 10})
	if err := e.Client.Delete(ctx, db); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error { return webhookScale(ctx, e.Client, web, 10) })
}

func totalsDryRun(t *testing.T, e *totalsEnv) {
	e.counting(t, "dry", map[string]string{totalReplicas: "5"})
	ctx := t.Context()
	if err := e.Client.Create(ctx, webhookWorkload("Deployment", "dry", "web", 2, "")); err != nil {
		t.Fatal(err)
	}
	e.settled(t, "namespace.dry", v1alpha1.LedgerAmounts{Replicas: 2})
	before, err := e.ledger(ctx, "namespace.dry")
	if err != nil {
		t.Fatal(err)
	}
	dry := client.NewDryRunClient(e.Client)
	for i := range int64(100) {
		if err := dry.Create(ctx, webhookWorkload("Deployment", "dry", fmt.Sprintf("new-%d", i), 1+i%3, "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := webhookDenied(dry.Create(ctx, webhookWorkload("Deployment", "dry", "new", 4, "")), "4 replicas asked for, 2 used by others"); err != nil {
		t.Error(err)
	}
	after, err := e.ledger(ctx, "namespace.dry")
	if err != nil {
		t.Fatal(err)
	}
	if before.ResourceVersion != after.ResourceVersion {
		t.Errorf("the ledger went from version %s to %s: %+v", before.ResourceVersion, after.ResourceVersion, after.Data)
	}
}

// totalsGivenBack: the API server asks ResourceQuota after us.
func totalsGivenBack(t *testing.T, e *totalsEnv) {
	e.counting(t, "later", map[string]string{totalReplicas: "5"})
	ctx := t.Context()
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "later", Name: "none"}, Spec: corev1.ResourceQuotaSpec{
		Hard: corev1.ResourceList{"count/deployments.apps": *resource.NewQuantity(0, resource.DecimalSI)},
	}}
	if err := e.Client.Create(ctx, quota); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(quota), quota); err != nil || len(quota.Status.Hard) == 0 {
			return fmt.Errorf("the quota has no status yet: %w", err)
		}
		return nil
	})
	if err := e.Client.Create(ctx, webhookWorkload("Deployment", "later", "web", 5, "")); !apierrors.IsForbidden(err) {
		t.Fatalf("got %v, want the quota's refusal", err)
	}
	held, err := e.ledger(ctx, "namespace.later")
	if err != nil || len(held.Data.Entries) != 1 || held.Data.Entries[0].Replicas != 5 {
		t.Errorf("ledger %+v (%v), want the claim", held.Data, err)
	}
	started := time.Now()
	cluster.Eventually(t, 2*webhookWait, func() error {
		return e.Client.Create(ctx, webhookWorkload("StatefulSet", "later", "db", 5, ""))
	})
	t.Logf("given back after %s", time.Since(started).Round(time.Second))
	e.settled(t, "namespace.later", v1alpha1.LedgerAmounts{Replicas: 5})
}

func totalsOfGPUs(t *testing.T, e *totalsEnv) {
	e.counting(t, "gpus", map[string]string{totalGPUs: "8"})
	ctx := t.Context()
	with := func(kind, name string, replicas int64, gpus map[string]any) *unstructured.Unstructured {
		o := webhookWorkload(kind, "gpus", name, replicas, "")
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		containers[0].(map[string]any)["resources"] = map[string]any{"limits": gpus}
		_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
		return o
	}
	train := with("Deployment", "train", 2, map[string]any{"nvidia.com/gpu": "2"})
	for _, o := range []*unstructured.Unstructured{
		train, with("StatefulSet", "slices", 1, map[string]any{"nvidia.com/mig-1g.5gb": "1"}), webhookWorkload("Deployment", "gpus", "plain", 50, ""),
	} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := webhookDenied(webhookScale(ctx, e.Client, train, 4), "Deployment gpus/train: 8 GPUs asked for, 1 used by others, at most 8 in all", `forewarm.dev/max-gpus="8"`); err != nil {
		t.Errorf("scale: %v", err)
	}
	err := e.Client.Patch(ctx, train.DeepCopy(), client.RawPatch("application/json-patch+json",
		[]byte(`[{"op":"replace","path":"/spec/template/spec/containers/0/resources/limits/nvidia.com~1gpu","value":"4"},{"op":"replace","path":"/spec/template/spec/containers/0/resources/requests","value":{"nvidia.com/gpu":"4"}}]`)))
	if err := webhookDenied(err, "8 GPUs asked for"); err != nil {
		t.Errorf("more GPUs per replica: %v", err)
	}
	if err := webhookScale(ctx, e.Client, train, 3); err != nil {
		t.Errorf("within: %v", err)
	}
	if err := webhookDenied(e.Client.Create(ctx, with("ReplicaSet", "amd", 1, map[string]any{"amd.com/gpu": "2"})), "2 GPUs asked for, 7 used by others"); err != nil {
		t.Errorf("another vendor: %v", err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		quota := &corev1.ResourceQuota{}
		if err := e.Client.Get(ctx, client.ObjectKey{Namespace: "gpus", Name: "forewarm-max-gpus"}, quota); err != nil {
			return err
		}
		if n := quota.Status.Hard["requests.nvidia.com/gpu"]; n.Value() != 8 {
			return fmt.Errorf("hard %v, want 8", quota.Status.Hard)
		}
		return nil
	})
	if err := e.Client.Create(ctx, webhookPod("gpus", "bare", 9)); !apierrors.IsForbidden(err) {
		t.Errorf("a bare pod above the total: %v, want the quota's refusal", err)
	}
}

// totalsQuota: what somebody does to the quota is undone within seconds, and what it does goes with
// Forewarm.
func totalsQuota(t *testing.T, e *totalsEnv) {
	e.counting(t, "quota", map[string]string{totalGPUs: "8"})
	ctx, key := t.Context(), client.ObjectKey{Namespace: "quota", Name: "forewarm-max-gpus"}
	run := forewarmctl(t, e.Cluster)
	quota := &corev1.ResourceQuota{}
	kept := func(after string) {
		t.Helper()
		started := time.Now()
		cluster.Eventually(t, webhookWait, func() error {
			*quota = corev1.ResourceQuota{}
			if err := e.Client.Get(ctx, key, quota); err != nil {
				return err
			}
			if n := quota.Spec.Hard["requests.nvidia.com/gpu"]; n.Value() != 8 || len(quota.Spec.Hard) < 5 {
				return fmt.Errorf("hard %v, want 8 of every resource", quota.Spec.Hard)
			}
			return nil
		})
		t.Logf("as it should be %s after %s", time.Since(started).Round(time.Millisecond), after)
	}
	kept("it was made")
	if err := e.Client.Patch(ctx, quota, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"hard":{"requests.nvidia.com/gpu":"99","requests.amd.com/gpu":null}}}`))); err != nil {
		t.Fatal(err)
	}
	kept("an edit")
	if err := e.Client.Delete(ctx, quota); err != nil {
		t.Fatal(err)
	}
	kept("it was deleted")
	if said := run("disarm", "--reason", "a test"); !strings.Contains(said, "took back ResourceQuota quota/forewarm-max-gpus") {
		t.Errorf("disarm:\n%s", said)
	}
	loopNever(t, 7*time.Second, func() error { // longer than the leader waits to look again
		if err := e.Client.Get(ctx, key, quota); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the quota while disarmed: %w, want none", err)
		}
		return nil
	})
	run("arm")
	kept("arm")
}

// totalsOfMany: what a claim costs does not grow with what stands in its Namespace. A claim that
// waits longer for the ledger than a review may is refused, and written again; few are.
func totalsOfMany(t *testing.T, e *totalsEnv) {
	// With twenty writers, on a machine where one claim takes 40 ms, some wait longer than a review may.
	const workloads, writes, writers = 1000, 100, 5
	e.counting(t, "many", map[string]string{totalReplicas: fmt.Sprint(workloads + writes)})
	ctx := t.Context()
	var again atomic.Int64
	each := func(n int, do func(i int) error) {
		var group sync.WaitGroup
		for worker := range writers {
			group.Go(func() {
				for i := worker; i < n; i += writers {
					err := do(i)
					for ; unanswered(err) && ctx.Err() == nil && again.Load() < workloads; err = do(i) {
						again.Add(1)
					}
					if err != nil {
						t.Errorf("%d: %v", i, err)
					}
				}
			})
		}
		group.Wait()
	}
	started := time.Now()
	each(workloads, func(i int) error {
		return e.Client.Create(ctx, webhookWorkload("ReplicationController", "many", fmt.Sprintf("it-%d", i), 1, ""))
	})
	t.Logf("%d creates in %s, %d of them written again", workloads, time.Since(started).Round(time.Millisecond), again.Load())
	if again.Load() > workloads/50 {
		t.Errorf("%d creates were not answered in time, want at most %d", again.Load(), workloads/50)
	}
	e.settled(t, "namespace.many", v1alpha1.LedgerAmounts{Replicas: workloads})
	took := make([]time.Duration, writes)
	for i := range writes {
		started := time.Now()
		if err := webhookScale(ctx, e.Client, webhookWorkload("ReplicationController", "many", fmt.Sprintf("it-%d", i), 1, ""), 2); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(started)
	}
	slices.Sort(took)
	t.Logf("one scale: p50 %s, p95 %s", took[writes/2], took[writes*95/100])
	if err := webhookDenied(webhookScale(ctx, e.Client, webhookWorkload("ReplicationController", "many", "it-999", 1, ""), 2), "1099 used by others"); err != nil {
		t.Error(err)
	}
	e.settled(t, "namespace.many", v1alpha1.LedgerAmounts{Replicas: workloads + writes})
	l, err := e.ledger(ctx, "namespace.many")
	if err != nil {
		t.Fatal(err)
	}
	l.ManagedFields = nil
	body, err := json.Marshal(l)
	if err != nil || len(body) > 1024 {
		t.Errorf("the ledger has %d bytes (%v), want at most 1024: %s", len(body), err, body)
	}
}

func totalsRemoved(t *testing.T, e *totalsEnv) {
	ctx := t.Context()
	body := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:null}}}`, totalGPUs)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gpus"}}
	if err := e.Client.Patch(ctx, namespace, client.RawPatch("application/merge-patch+json", body)); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(namespace), namespace); err != nil {
			return err
		}
		if value, set := namespace.Labels[v1alpha1.LabelTotals]; set {
			return fmt.Errorf("the label is still %q", value)
		}
		if _, err := e.ledger(ctx, "namespace.gpus"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the ledger is still there (%w)", err)
		}
		err := e.Client.Get(ctx, client.ObjectKey{Namespace: "gpus", Name: "forewarm-max-gpus"}, &corev1.ResourceQuota{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("the quota is still there (%w)", err)
		}
		return nil
	})
	if err := e.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "sum"}}); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		if _, err := e.ledger(ctx, "namespace.sum"); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the ledger of a Namespace that is deleted is still there (%w)", err)
		}
		return nil
	})
}

func totalsDead(t *testing.T, e *totalsEnv) {
	e.counting(t, "dead", map[string]string{totalReplicas: "10"})
	ctx := t.Context()
	o := webhookWorkload("Deployment", "dead", "web", 5, "")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	e.counting(t, "dead-told", map[string]string{totalReplicas: "10", ceilingMode: "audit"})
	restarts := e.restarting(t, "dead")
	for _, p := range e.replicas {
		p.Kill()
	}
	restarts(t)
	if err := e.Client.Create(ctx, webhookWorkload("Deployment", "dead-told", "web", 50, "")); err != nil {
		t.Errorf("where a total refuses nothing: %v", err)
	}
	if err := webhookScale(ctx, e.Client, o, 6); !unanswered(err) {
		t.Errorf("scale: %v, want that no webhook answered", err)
	}
	if err := e.Client.Create(ctx, webhookWorkload("StatefulSet", "dead", "db", 1, "")); !unanswered(err) {
		t.Errorf("create: %v, want that no webhook answered", err)
	}
	if err := webhookScale(ctx, e.Client, o, 4); err != nil {
		t.Errorf("a decrease: %v", err)
	}
	if err := e.Client.Patch(ctx, o.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"template":{"metadata":{"labels":{"version":"2"}}}}}`))); err != nil {
		t.Errorf("a rollout: %v", err)
	}
	e.rolled(t, "dead", 1)
	if err := e.Client.Create(ctx, webhookWorkload("Deployment", "default", "web", 50, "")); err != nil {
		t.Errorf("where no total is set: %v", err)
	}
	versionsDead(t, e)
}

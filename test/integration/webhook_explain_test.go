package integration

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// totalsExplained: forewarmctl says of each number what the API server then does under totals, and
// what is used of them.
func totalsExplained(t *testing.T, e *totalsEnv) {
	e.counting(t, "told", map[string]string{totalReplicas: "10", totalGPUs: "8"})
	ctx := t.Context()
	web, train := webhookWorkload("Deployment", "told", "web", 3, ""), webhookWorkload("Deployment", "told", "train", 2, "")
	containers, _, _ := unstructured.NestedSlice(train.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["resources"] = map[string]any{"limits": map[string]any{"nvidia.com/gpu": "2"}}
	_ = unstructured.SetNestedSlice(train.Object, containers, "spec", "template", "spec", "containers")
	job := webhookWorkload("ReplicationController", "told", "rc", 1, "")
	for _, o := range []*unstructured.Unstructured{web, train, job} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	e.settled(t, "namespace.told", v1alpha1.LedgerAmounts{Replicas: 6, GPUs: 4})
	run := forewarmctl(t, e.Cluster)
	for resource, o := range map[string]*unstructured.Unstructured{"deployment/web": web, "deployment/train": train, "rc/rc": job} {
		for n := range int64(9) {
			said := run("explain", resource, "-n", "told", "--replicas", fmt.Sprint(n))
			body := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n))
			err := e.Client.Patch(ctx, o.DeepCopy(), body, client.DryRunAll)
			if allowed := strings.Contains(said, ": Allow"); allowed != (err == nil) {
				t.Errorf("%s to %d: the API server says %v, forewarmctl\n%s", resource, n, err, said)
			}
			if err != nil && !strings.Contains(err.Error(), strings.TrimSpace(said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:])) {
				t.Errorf("%s to %d: the API server says %v, forewarmctl\n%s", resource, n, err, said)
			}
		}
	}
	for _, object := range []string{"ns/told", "deployment/web"} {
		said := run("explain", object, "-n", "told")
		for _, want := range []string{"used      6 of 10, by forewarm.dev/max-total-replicas on Namespace told", "used      4 of 8, by forewarm.dev/max-gpus on Namespace told"} {
			if !strings.Contains(said, want) {
				t.Errorf("explain %s does not say %q:\n%s", object, want, said)
			}
		}
	}
	lower := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"5"}}}`, totalReplicas))
	if err := e.Client.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "told"}}, lower); err != nil {
		t.Fatal(err)
	}
	if said := run("audit"); !strings.Contains(said, "Namespace told   6      5         forewarm.dev/max-total-replicas on Namespace told   enforce") {
		t.Errorf("audit:\n%s", said)
	}
}

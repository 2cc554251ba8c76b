package integration

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

const ceilingMode = "forewarm.dev/ceiling-mode"

// totalsTold: in the modes warn and audit a total refuses nothing, neither of workloads nor of pods, and counts
// all the same; it refuses at once when the mode says so.
func totalsTold(t *testing.T, e *totalsEnv) {
	e.counting(t, "on-trial", map[string]string{totalReplicas: "5", totalGPUs: "2", ceilingMode: "warn"})
	ctx := t.Context()
	web := webhookWorkload("Deployment", "on-trial", "web", 8, "")
	if err := e.Client.Create(ctx, web); err != nil {
		t.Errorf("above the total: %v", err)
	}
	if err := e.Client.Create(ctx, webhookPod("on-trial", "bare", 3)); err != nil {
		t.Errorf("a bare pod above the total: %v", err)
	}
	e.settled(t, "namespace.on-trial", v1alpha1.LedgerAmounts{Replicas: 8})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "on-trial"}}
	became := func(mode, label string, quota bool) {
		t.Helper()
		body := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, ceilingMode, mode)
		if err := e.Client.Patch(ctx, namespace, client.RawPatch("application/merge-patch+json", body)); err != nil {
			t.Fatal(err)
		}
		cluster.Eventually(t, webhookWait, func() error {
			if err := e.Client.Get(ctx, client.ObjectKeyFromObject(namespace), namespace); err != nil || namespace.Labels[v1alpha1.LabelTotals] != label {
				return fmt.Errorf("the label is %q, want %q (%w)", namespace.Labels[v1alpha1.LabelTotals], label, err)
			}
			err := e.Client.Get(ctx, client.ObjectKey{Namespace: "on-trial", Name: "forewarm-max-gpus"}, &corev1.ResourceQuota{})
			if client.IgnoreNotFound(err) != nil || apierrors.IsNotFound(err) == quota {
				return fmt.Errorf("the quota: %w, want there: %t", err, quota)
			}
			return nil
		})
	}
	became("enforce", "true", true)
	if err := webhookDenied(webhookScale(ctx, e.Client, web, 9), "9 replicas asked for", "at most 5 in all"); err != nil {
		t.Errorf("the mode enforce: %v", err)
	}
	became("audit", "told", false)
	if err := webhookScale(ctx, e.Client, web, 9); err != nil {
		t.Errorf("the mode audit: %v", err)
	}
}

package integration

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// reserverGuards: not even an admin makes, opens or relabels a placeholder, and a quota bounds
// them without us.
func reserverGuards(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	gated, _, err := e.stands(ctx)
	if err != nil || len(gated) == 0 {
		t.Fatalf("no gated placeholder: %v", err)
	}
	var one corev1.Pod
	for _, pod := range gated {
		one = pod
	}
	copied := func(namespace, class string) *corev1.Pod {
		pod := &corev1.Pod{Spec: *one.Spec.DeepCopy()}
		pod.Namespace, pod.Name = namespace, "forged"
		pod.Spec.PriorityClassName, pod.Spec.Priority, pod.Spec.PreemptionPolicy = class, nil, nil
		return pod
	}
	patch := func(body string) func() error {
		return func() error {
			pod := &corev1.Pod{}
			pod.Namespace, pod.Name = one.Namespace, one.Name
			return e.Client.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(body)))
		}
	}
	later := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PlaceholderClass(4)}, Value: -6}
	e.create(t, later)                             // as where some pool has that tier
	cluster.Eventually(t, loopWait, func() error { // the API server reads PriorityClasses from a cache
		if err := e.Client.Create(ctx, copied("ml", later.Name), client.DryRunAll); strings.Contains(fmt.Sprint(err), "no PriorityClass") {
			return err
		}
		return nil
	})
	for name, try := range map[string]struct {
		write func() error
		says  string
	}{
		"a pod with the PriorityClass elsewhere": {func() error { return e.Client.Create(ctx, copied("ml", v1alpha1.PlaceholderPriorityClass)) }, "use another namespace"},
		"a pod with that of a later tier":        {func() error { return e.Client.Create(ctx, copied("ml", v1alpha1.PlaceholderClass(4))) }, "use another namespace"},
		"a pod among the placeholders":           {func() error { return e.Client.Create(ctx, copied(v1alpha1.PlaceholderNamespace, "")) }, "use another namespace"},
		"a gate removed":                         {patch(`{"spec":{"schedulingGates":null}}`), "only Forewarm's reserver removes the scheduling gate"},
		"another pool's label":                   {patch(`{"metadata":{"labels":{"forewarm.dev/pool":"other"}}}`), "which pool and chunk"},
		"no chunk's label":                       {patch(`{"metadata":{"labels":{"forewarm.dev/chunk":null}}}`), "which pool and chunk"},
	} {
		if err := try.write(); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), try.says) {
			t.Errorf("%s: got %v, want a refusal that says %q", name, err, try.says)
		}
	}
	if err := patch(`{"metadata":{"annotations":{"team/note":"ours"}}}`)(); err != nil {
		t.Errorf("a note on a placeholder: %v", err)
	}
	var quota corev1.ResourceQuota
	if err := e.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.PlaceholderNamespace, Name: v1alpha1.PlaceholderPriorityClass}, &quota); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[corev1.ResourceName]int64{corev1.ResourcePods: loopMost, "requests.nvidia.com/gpu": loopMost} {
		if got := quota.Status.Hard[name]; got.Value() != want {
			t.Errorf("the quota of %s is %s, want %d: the sum of max over the pools that act", name, got.String(), want)
		}
	}
}

// reserverLead: the node that was bought is measured, and a lead time in the spec wins.
func reserverLead(t *testing.T, e *loopEnv) {
	cluster.Eventually(t, loopWait, func() error {
		pool, _, err := e.status(t.Context(), loopName)
		if err != nil {
			return err
		}
		lead := pool.Status.LeadTime
		if lead == nil || lead.Source != "Set" || lead.Used.Duration.String() != "3s" || len(lead.Recent) != 1 {
			return fmt.Errorf("lead time %+v, want 3s from the spec, and one node measured", lead)
		}
		// Kubernetes' timestamps have no fractions of a second.
		if took := lead.Recent[0].Took.Duration; took < loopBoot/2 || took > loopWait || lead.Recent[0].Node != e.warmNode(t) {
			return fmt.Errorf("%+v, want what the node %s took, at least its boot of %s", lead.Recent[0], e.warmNode(t), loopBoot)
		}
		return nil
	})
}

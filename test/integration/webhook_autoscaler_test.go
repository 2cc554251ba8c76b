package integration

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/registration"
)

const (
	autoscalerUser = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
	// autoscalerWindow is how long nothing may change: ten rounds of the HPA controller.
	autoscalerWindow = 10 * time.Second
)

// autoscalerMetric serves an external metric without a metrics server: its API is plain REST,
// a list of objects whose resource is the metric's name.
const autoscalerMetric = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
"metadata":{"name":"queuelength.external.metrics.k8s.io","annotations":{"api-approved.kubernetes.io":"unapproved, test only"}},
"spec":{"group":"external.metrics.k8s.io","scope":"Namespaced","names":{"plural":"queuelength","singular":"queuelength","kind":"ExternalMetricValue"},
"versions":[{"name":"v1beta1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`

// TestAutoscaler shows ceilings and the real HPA controller, which looks every second.
func TestAutoscaler(t *testing.T) {
	t.Parallel()
	c := cluster.ForTest(t, cluster.Options{
		ControllerManager: true,
		ExtraArgs:         map[string][]string{assets.ControllerManager: {"--horizontal-pod-autoscaler-sync-period=1s"}},
	})
	if err := c.CreateNamespace(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SystemNamespace}}); err != nil {
		t.Fatal(err)
	}
	if err := c.ApplyFiles(t.Context(), filepath.Join("..", "..", "manifests", "crd", "forewarm.dev_ledgers.yaml")); err != nil {
		t.Fatal(err)
	}
	e := newWebhookEnvBeside(t, c, "")
	crd := &unstructured.Unstructured{}
	if err := crd.UnmarshalJSON([]byte(autoscalerMetric)); err != nil {
		t.Fatal(err)
	}
	if err := e.Apply(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	for _, part := range []struct {
		name string
		run  func(*testing.T, *webhookEnv)
	}{
		{"the HPA is brought under a ceiling, says so, and gets back what it had", autoscalerCeiling},
		{"an HPA that is created above the ceiling is brought under it", autoscalerCreate},
		{"a workload that stands above is not scaled down", autoscalerGrandfathered},
		{"a minimum above the ceiling does not make the HPA ask again and again", autoscalerMinimum},
		{"an autoscaler's own write is clamped, a person's refused", autoscalerScale},
		{"an HPA fills what a total leaves", autoscalerTotal},
		{"an HPA that wants more than a total leaves, by its metric", autoscalerTotalWanted},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

// autoscalerCeiling runs on an HPA that is applied from Git.
func autoscalerCeiling(t *testing.T, e *webhookEnv) {
	ctx, namespace := t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "scaled"}}
	e.autoscaled(t, "scaled", 3)
	e.applied(t, "scaled")
	if err := e.annotate(ctx, namespace, "5"); err != nil {
		t.Fatal(err)
	}
	hpa := e.eventually(t, "scaled", 5, "9", 3)
	for _, entry := range hpa.ManagedFields {
		if entry.Manager == registration.TouchManager {
			t.Errorf("%s owns fields of the HPA, want what Git applies to stay Git's: %s", entry.Manager, entry.FieldsV1)
		}
	}
	e.queue(t, "scaled", 9)
	cluster.Eventually(t, webhookWait, func() error { return e.limited(ctx, "scaled") })
	e.eventually(t, "scaled", 5, "9", 5)

	before := e.events(t, "scaled")
	e.steady(t, "scaled", 5, 5)
	if after := e.events(t, "scaled"); after != before {
		t.Errorf("events within %s:\n%s\nbefore:\n%s", autoscalerWindow, after, before)
	}
	if !strings.Contains(before, "SuccessfulRescale") || strings.Contains(before, "FailedRescale") {
		t.Errorf("events, want the autoscaler never refused:\n%s", before)
	}
	hpa = e.eventually(t, "scaled", 5, "9", 5)
	for range 3 {
		if again := e.applied(t, "scaled"); again.ResourceVersion != hpa.ResourceVersion || again.Generation != hpa.Generation {
			t.Errorf("applied from Git: version %s generation %d, want still %s and %d", again.ResourceVersion, again.Generation, hpa.ResourceVersion, hpa.Generation)
		}
	}

	if err := e.annotate(ctx, namespace, nil); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, "scaled", 9, "", 9)
}

func autoscalerCreate(t *testing.T, e *webhookEnv) {
	e.namespace(t, "late", map[string]string{v1alpha1.AnnotationMaxReplicas: "5"})
	e.warnings.take()
	if err := e.Client.Create(t.Context(), autoscalerOf("late", 1)); err != nil {
		t.Errorf("created above the ceiling: %v", err)
	}
	if got := e.warnings.take(); !strings.Contains(got, "HorizontalPodAutoscaler late/web: 9 replicas asked for, brought down to 5") {
		t.Errorf("warnings %q, want the writer told", got)
	}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: "late", Name: "web"}, hpa); err != nil {
		t.Fatal(err)
	}
	if hpa.Spec.MaxReplicas != 5 || hpa.Annotations[webhook.OriginalMaxReplicas] != "9" {
		t.Errorf("maxReplicas %d, annotations %v; want 5, and 9 kept", hpa.Spec.MaxReplicas, hpa.Annotations)
	}
	high := autoscalerOf("late", 6)
	high.Name = "high"
	if err := e.Client.Create(t.Context(), high); err != nil || high.Spec.MaxReplicas != 5 || *high.Spec.MinReplicas != 5 || high.Annotations[webhook.OriginalMinReplicas] != "6" {
		t.Errorf("with a minimum above the ceiling: %v, %d to %d, annotations %v; want 5 to 5, and 6 kept", err, *high.Spec.MinReplicas, high.Spec.MaxReplicas, high.Annotations)
	}
}

// autoscalerGrandfathered: the HPA's maximum follows the workload down, and stops at the
// ceiling.
func autoscalerGrandfathered(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	e.autoscaled(t, "tall", 8)
	if err := e.Client.Create(ctx, autoscalerOf("tall", 1)); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, "tall", 9, "", 8)
	cluster.Eventually(t, webhookWait, func() error {
		hpa := &autoscalingv2.HorizontalPodAutoscaler{}
		if err := e.Client.Get(ctx, client.ObjectKey{Namespace: "tall", Name: "web"}, hpa); err != nil || hpa.Status.CurrentReplicas != 8 {
			return fmt.Errorf("the HPA sees %d replicas: %w", hpa.Status.CurrentReplicas, err)
		}
		return nil
	})
	if err := e.annotate(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "tall"}}, "5"); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, "tall", 8, "9", 8)
	e.steady(t, "tall", 8, 8)
	e.queue(t, "tall", 6)
	e.eventually(t, "tall", 6, "9", 6)
	e.queue(t, "tall", 2)
	e.eventually(t, "tall", 5, "9", 2)
	e.queue(t, "tall", 9)
	e.eventually(t, "tall", 5, "9", 5)
}

// autoscalerMinimum: the ceiling comes below the minimum, and the workload below both.
func autoscalerMinimum(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	e.autoscaled(t, "floor", 1)
	if err := e.Client.Create(ctx, autoscalerOf("floor", 6)); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, "floor", 9, "", 6)
	if err := e.annotate(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "floor"}}, "5"); err != nil {
		t.Fatal(err)
	}
	e.eventually(t, "floor", 6, "9", 6)
	if err := webhookScale(ctx, e.Client, webhookWorkload("Deployment", "floor", "web", 6, ""), 1); err != nil {
		t.Fatal(err)
	}
	hpa := e.eventually(t, "floor", 5, "9", 5)
	if *hpa.Spec.MinReplicas != 5 || hpa.Annotations[webhook.OriginalMinReplicas] != "6" {
		t.Errorf("minReplicas %d, annotations %v; want 5, and 6 kept", *hpa.Spec.MinReplicas, hpa.Annotations)
	}
	before := e.events(t, "floor")
	e.steady(t, "floor", 5, 5)
	if after := e.events(t, "floor"); after != before {
		t.Errorf("events within %s:\n%s\nbefore:\n%s", autoscalerWindow, after, before)
	}
	if err := e.annotate(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "floor"}}, nil); err != nil {
		t.Fatal(err)
	}
	if hpa := e.eventually(t, "floor", 9, "", 6); *hpa.Spec.MinReplicas != 6 {
		t.Errorf("minReplicas %d after the ceiling has lifted, want 6", *hpa.Spec.MinReplicas)
	}
}

func autoscalerScale(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	e.namespace(t, "alone", map[string]string{v1alpha1.AnnotationMaxReplicas: "5"})
	o := webhookWorkload("Deployment", "alone", "web", 3, "")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	if err := webhookDenied(webhookScale(ctx, e.Client, o, 9), "at most 5"); err != nil {
		t.Errorf("a person: %v", err)
	}
	e.warnings.take()
	if err := webhookWays["scale update"](ctx, e.as(t, autoscalerUser), o, 9); err != nil {
		t.Errorf("the autoscaler: %v", err)
	}
	if got := e.warnings.take(); !strings.Contains(got, "Deployment alone/web: 9 replicas asked for, brought down to 5") {
		t.Errorf("warnings %q, want the clamp", got)
	}
	stored := &appsv1.Deployment{}
	if err := e.Client.Get(ctx, client.ObjectKeyFromObject(o), stored); err != nil || *stored.Spec.Replicas != 5 {
		t.Errorf("stored: %v, %v; want 5", stored.Spec.Replicas, err)
	}
}

// autoscaled makes a namespace with a Deployment, and as much work as it has replicas.
func (e *webhookEnv) autoscaled(t *testing.T, namespace string, replicas int64) {
	t.Helper()
	e.namespace(t, namespace, nil)
	e.queue(t, namespace, replicas)
	if err := e.Client.Create(t.Context(), webhookWorkload("Deployment", namespace, "web", replicas, "")); err != nil {
		t.Fatal(err)
	}
}

// queue sets the metric: each replica takes one.
func (e *webhookEnv) queue(t *testing.T, namespace string, length int64) {
	t.Helper()
	metric := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "external.metrics.k8s.io/v1beta1", "kind": "ExternalMetricValue", "metadata": map[string]any{"namespace": namespace, "name": "only"},
		"metricName": "queuelength", "metricLabels": map[string]any{}, "timestamp": "2026-11-24T00:00:00Z", "value": fmt.Sprint(length),
	}}
	cluster.Eventually(t, webhookWait, func() error { return e.Apply(t.Context(), metric) })
}

// autoscalerOf is an HPA that may go to 9, and down without delay.
func autoscalerOf(namespace string, least int32) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    &least, MaxReplicas: 9,
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32)}},
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
				Metric: autoscalingv2.MetricIdentifier{Name: "queuelength"},
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: new(resource.MustParse("1"))},
			}}},
		},
	}
}

// applied applies that HPA as Git does, without force, and returns what the API server has.
func (e *webhookEnv) applied(t *testing.T, namespace string) *autoscalingv2.HorizontalPodAutoscaler {
	t.Helper()
	manifest := fmt.Appendf(nil, `{"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","metadata":{"name":"web"},"spec":{"minReplicas":1,"maxReplicas":9,
		"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}},
		"metrics":[{"type":"External","external":{"metric":{"name":"queuelength"},"target":{"type":"AverageValue","averageValue":"1"}}}]}}`)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	if err := e.Client.Patch(t.Context(), hpa, client.RawPatch(types.ApplyPatchType, manifest), client.FieldOwner("git")); err != nil {
		t.Fatalf("apply from Git: %v", err)
	}
	return hpa
}

// state fails unless the HPA has a maximum and an original, and the workload its replicas.
func (e *webhookEnv) state(ctx context.Context, namespace string, most int32, original string, replicas int32) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	hpa, workload := &autoscalingv2.HorizontalPodAutoscaler{}, &appsv1.Deployment{}
	for _, o := range []client.Object{hpa, workload} {
		if err := e.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web"}, o); err != nil {
			return nil, err
		}
	}
	if hpa.Spec.MaxReplicas != most || hpa.Annotations[webhook.OriginalMaxReplicas] != original || *workload.Spec.Replicas != replicas {
		return nil, fmt.Errorf("maxReplicas %d, original %q, replicas %d; want %d, %q, %d (conditions %v)",
			hpa.Spec.MaxReplicas, hpa.Annotations[webhook.OriginalMaxReplicas], *workload.Spec.Replicas, most, original, replicas, hpa.Status.Conditions)
	}
	return hpa, nil
}

func (e *webhookEnv) eventually(t *testing.T, namespace string, most int32, original string, replicas int32) *autoscalingv2.HorizontalPodAutoscaler {
	t.Helper()
	var out *autoscalingv2.HorizontalPodAutoscaler
	cluster.Eventually(t, webhookWait, func() (err error) {
		out, err = e.state(t.Context(), namespace, most, original, replicas)
		return err
	})
	return out
}

// steady watches that nothing changes for a while.
func (e *webhookEnv) steady(t *testing.T, namespace string, most, replicas int32) {
	t.Helper()
	var moved error
	_ = cluster.Wait(t.Context(), autoscalerWindow, func() error {
		if _, moved = e.state(t.Context(), namespace, most, "9", replicas); moved != nil {
			return nil // ends the wait
		}
		return fmt.Errorf("as it was")
	})
	if moved != nil {
		t.Errorf("within %s: %v", autoscalerWindow, moved)
	}
}

// limited fails unless the HPA says that its maximum holds it.
func (e *webhookEnv) limited(ctx context.Context, namespace string) error {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := e.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web"}, hpa); err != nil {
		return err
	}
	for _, c := range hpa.Status.Conditions {
		if c.Type == autoscalingv2.ScalingLimited && c.Status == corev1.ConditionTrue && c.Reason == "TooManyReplicas" {
			return nil
		}
	}
	return fmt.Errorf("conditions %v, want ScalingLimited with TooManyReplicas", hpa.Status.Conditions)
}

// events are the HPA's, each with its count.
func (e *webhookEnv) events(t *testing.T, namespace string) string {
	t.Helper()
	var list corev1.EventList
	if err := e.Client.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, event := range list.Items {
		if event.InvolvedObject.Kind == "HorizontalPodAutoscaler" {
			fmt.Fprintf(&out, "%s %s (%d): %s\n", event.Type, event.Reason, event.Count, event.Message)
		}
	}
	return out.String()
}

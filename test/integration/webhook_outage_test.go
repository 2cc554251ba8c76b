package integration

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

func webhookPod(namespace, name string, gpus int64) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "registry.k8s.io/pause:3.10"}}},
	}
	if gpus > 0 {
		pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{cluster.GPU: *resource.NewQuantity(gpus, resource.DecimalSI)}
	}
	return pod
}

func webhookGPUPod(t *testing.T, e *webhookEnv) {
	e.namespace(t, "ml", nil)
	ctx := t.Context()
	if err := e.ApplyFiles(ctx, "../../manifests/samples/warmpool.yaml"); err != nil {
		t.Fatal(err)
	}
	attempt := 0
	cluster.Eventually(t, webhookWait, func() error {
		attempt++
		pod := webhookPod("ml", fmt.Sprintf("train-%d", attempt), 2)
		if err := e.Client.Create(ctx, pod); err != nil {
			return err
		}
		want := map[string]string{v1alpha1.AnnotationGPUVendor: "nvidia", v1alpha1.AnnotationGPUCount: "2", v1alpha1.AnnotationGPUShape: "whole", v1alpha1.AnnotationPool: "a100"}
		for key, value := range want {
			if pod.Annotations[key] != value {
				return fmt.Errorf("annotations %v, want %v", pod.Annotations, want)
			}
		}
		for _, toleration := range pod.Spec.Tolerations {
			if toleration.Key == "nvidia.com/gpu" && toleration.Operator == corev1.TolerationOpExists && toleration.Effect == corev1.TaintEffectNoSchedule {
				return nil
			}
		}
		return fmt.Errorf("tolerations %v, want nvidia.com/gpu", pod.Spec.Tolerations)
	})
	plain := webhookPod("ml", "plain", 0)
	if err := e.Client.Create(ctx, plain); err != nil {
		t.Fatal(err)
	}
	if len(plain.Annotations) != 0 {
		t.Errorf("a pod without GPUs got annotations %v", plain.Annotations)
	}
}

// webhookRotation replaces the CA while writes that must be refused keep coming. One that
// is admitted met a certificate which the API server did not trust.
func webhookRotation(t *testing.T, e *webhookEnv) {
	e.namespace(t, "rotation", nil)
	ctx := t.Context()
	o := webhookWorkload("Deployment", "rotation", "web", 1, "1")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	api := kubernetes.NewForConfigOrDie(e.RESTConfig())
	secrets := api.CoreV1().Secrets(v1alpha1.SystemNamespace)
	old, err := secrets.Get(ctx, "forewarm-webhook-ca", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := secrets.Delete(ctx, old.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	signed := bytes.Count([]byte(e.process.Log()), []byte("Serving certificate generated successfully"))
	denied := 0
	cluster.Eventually(t, webhookWait, func() error {
		for range 20 {
			if err := webhookDenied(webhookScale(ctx, e.Client, o, 2)); err != nil {
				t.Fatalf("after %d refusals: %v", denied, err)
			}
			denied++
		}
		if bytes.Count([]byte(e.process.Log()), []byte("Serving certificate generated successfully")) == signed {
			return fmt.Errorf("no new leaf yet after %d refusals", denied)
		}
		return nil
	})
	fresh, err := secrets.Get(ctx, old.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hooks, err := api.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, "forewarm", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ca := range []*corev1.Secret{old, fresh} {
		if !bytes.Contains(hooks.Webhooks[0].ClientConfig.CABundle, ca.Data["ca.crt"]) {
			t.Error("the bundle lacks the old or the new CA")
		}
	}
	for range 50 {
		if err := webhookDenied(webhookScale(ctx, e.Client, o, 2)); err != nil {
			t.Fatalf("behind the new CA: %v", err)
		}
	}
}

// webhookDrain shows that a replica serves on while it says that it is not ready.
func webhookDrain(t *testing.T, e *webhookEnv) {
	e.namespace(t, "drain", nil)
	ctx := t.Context()
	o := webhookWorkload("Deployment", "drain", "web", 1, "1")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(e.process.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		if status := e.process.ready(); status == 200 {
			return fmt.Errorf("still ready")
		}
		return nil
	})
	for range 5 {
		if err := webhookDenied(webhookScale(ctx, e.Client, o, 2)); err != nil {
			t.Errorf("while draining: %v", err)
		}
	}
	<-e.process.Done() // a second SIGTERM would cut the drain short
	if err := e.process.Stop(webhookWait); err != nil {
		t.Errorf("end of the drain: %v", err)
	}
}

// webhookTwin: ceilings are compiled to what the API server reads by itself.
func webhookTwin(t *testing.T, e *webhookEnv) {
	e.namespace(t, "dead", map[string]string{v1alpha1.AnnotationMaxReplicas: "6", "forewarm.dev/workload-max-replicas": "deployment/named=2"})
	ctx := t.Context()
	o, big := deadWorkloads()
	for _, workload := range []*unstructured.Unstructured{o, big, webhookWorkload("Deployment", "dead", "named", 1, "")} {
		if err := e.Client.Create(ctx, workload); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.annotate(ctx, big, "2"); err != nil {
		t.Fatal(err)
	}
	want := v1alpha1.CeilingSetSpec{
		MaxReplicas: new(int64(6)), Named: map[string]int64{"deployments.apps/named": 2}, Own: map[string]int64{"deployments.apps/web": 4, "statefulsets.apps/big": 2},
	}
	set := &v1alpha1.CeilingSet{}
	cluster.Eventually(t, webhookWait, func() error {
		if err := e.Client.Get(ctx, client.ObjectKey{Namespace: "dead", Name: v1alpha1.CeilingSetName}, set); err != nil {
			return err
		}
		if diff := cmp.Diff(want, set.Spec); diff != "" {
			return fmt.Errorf("the set: %s", diff)
		}
		namespace := &corev1.Namespace{}
		if err := e.Client.Get(ctx, client.ObjectKey{Name: "dead"}, namespace); err != nil {
			return err
		}
		if _, labelled := namespace.Labels[v1alpha1.LabelCeilings]; !labelled {
			return fmt.Errorf("the Namespace has no label %s", v1alpha1.LabelCeilings)
		}
		return nil
	})
	cluster.Eventually(t, webhookWait, func() error { // the API server asks its policies first
		err := e.Client.Create(ctx, webhookWorkload("Deployment", "dead", "new", 7, ""), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "forewarm-ceiling-sets") {
			return fmt.Errorf("got %w, want it refused by the twin", webhookNoError(err))
		}
		return nil
	})
	// What somebody deletes comes back.
	if err := e.Client.Delete(ctx, set.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error { return e.Client.Get(ctx, client.ObjectKeyFromObject(set), set) })
}

// deadWorkloads are one within its ceiling and one that will stand above it.
func deadWorkloads() (within, above *unstructured.Unstructured) {
	within, above = webhookWorkload("Deployment", "dead", "web", 3, "4"), webhookWorkload("StatefulSet", "dead", "big", 5, "")
	unstructured.RemoveNestedField(within.Object, "spec", "template", "spec", "nodeSelector")
	return within, above
}

// webhookDead: the configurations are there, and nobody answers. The twin holds the ceilings,
// and nothing else waits for us.
func webhookDead(t *testing.T, e *webhookEnv) {
	ctx := t.Context()
	e.configurations(t)
	o, big := deadWorkloads()
	held := map[string]func() error{
		"its own ceiling, on scale":  func() error { return webhookScale(ctx, e.Client, o, 5) },
		"its own ceiling, on update": func() error { return webhookWays["update"](ctx, e.Client, o.DeepCopy(), 5) },
		"its own ceiling, on create": func() error { return e.Client.Create(ctx, webhookWorkload("Deployment", "dead", "own", 5, "4")) },
		"the Namespace's, on create": func() error { return e.Client.Create(ctx, webhookWorkload("StatefulSet", "dead", "new", 7, "")) },
		"the Namespace's list, on scale": func() error {
			return webhookScale(ctx, e.Client, webhookWorkload("Deployment", "dead", "named", 0, ""), 3)
		},
		"what is made anew": func() error {
			return e.Client.Create(ctx, webhookWorkload("Deployment", "dead", "named", 3, ""), client.DryRunAll)
		},
		"what stands above, growing": func() error { return webhookScale(ctx, e.Client, big, 6) },
	}
	for name, write := range held {
		cluster.Eventually(t, webhookWait, func() error {
			if err := write(); err == nil || !strings.Contains(err.Error(), "forewarm-ceiling-sets") {
				return fmt.Errorf("%s: got %w, want it refused by the twin", name, webhookNoError(err))
			}
			return nil
		})
	}
	for _, passes := range []struct { // in this order: a StatefulSet at zero has nothing to shrink
		name  string
		write func() error
	}{
		{"within", func() error { return webhookScale(ctx, e.Client, o, 4) }},
		{"what stands, shrinks", func() error { return webhookScale(ctx, e.Client, big, 4) }},
		{"to zero", func() error { return webhookScale(ctx, e.Client, big, 0) }},
		{"no ceiling, elsewhere", func() error { return e.Client.Create(ctx, webhookWorkload("Deployment", "default", "free", 50, "")) }},
	} {
		if err := passes.write(); err != nil {
			t.Errorf("%s: %v", passes.name, err)
		}
	}
	webhookDeadCluster(t, e, o, 4)
	webhookDeadTenant(t, e, o)
}

// webhookDeadTenant: the rights of edit do not weaken the twin.
func webhookDeadTenant(t *testing.T, e *webhookEnv, o *unstructured.Unstructured) {
	ctx := t.Context()
	e.grant(t, "dead", "dweller", "edit")
	dweller := e.as(t, "dweller")
	cluster.Eventually(t, webhookWait, func() error { return webhookScale(ctx, dweller, o, 4) }) // rights are cached
	patch := func(o client.Object, body string) error {
		return dweller.Patch(ctx, o.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(body)))
	}
	set := &v1alpha1.CeilingSet{ObjectMeta: metav1.ObjectMeta{Namespace: "dead", Name: v1alpha1.CeilingSetName}}
	for name, err := range map[string]error{
		"raise":                 patch(o, `{"metadata":{"annotations":{"forewarm.dev/max-replicas":"9"}}}`),
		"remove":                patch(o, `{"metadata":{"annotations":{"forewarm.dev/max-replicas":null}}}`),
		"override":              patch(o, `{"metadata":{"annotations":{"forewarm.dev/ceiling-override":"9 until 2999-01-01T00:00:00Z: why not"}}}`),
		"delete the parameter":  dweller.Delete(ctx, set),
		"relabel the Namespace": patch(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dead"}}, `{"metadata":{"labels":{"forewarm.dev/ceilings":null}}}`),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want 403", name, err)
		}
	}
	if err := patch(o, `{"metadata":{"annotations":{"forewarm.dev/max-replicas":"3"}}}`); err != nil {
		t.Errorf("tighten: %v", err)
	}
	// Without its parameter a namespace does not grow; nobody is there to put it back.
	if err := e.Client.Delete(ctx, set); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, webhookWait, func() error {
		err := e.Client.Create(ctx, webhookWorkload("Deployment", "dead", "another", 1, ""), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "no params found") {
			return fmt.Errorf("grow without the parameter: got %w, want it refused", webhookNoError(err))
		}
		return nil
	})
}

// webhookDeadCluster: pods start and workloads run, ours and the system's.
func webhookDeadCluster(t *testing.T, e *webhookEnv, o *unstructured.Unstructured, replicas int32) {
	ctx := t.Context()
	gpu, system := webhookPod("dead", "gpu", 1), webhookPod(metav1.NamespaceSystem, "dns", 0)
	for _, pod := range []*corev1.Pod{gpu, system} {
		if err := e.Client.Create(ctx, pod); err != nil {
			t.Fatalf("create pod %s/%s: %v", pod.Namespace, pod.Name, err)
		}
		cluster.Eventually(t, webhookWait, func() error {
			if err := e.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
				return err
			}
			if pod.Status.Phase != corev1.PodRunning {
				return fmt.Errorf("pod %s/%s is %s", pod.Namespace, pod.Name, pod.Status.Phase)
			}
			return nil
		})
	}
	cluster.Eventually(t, webhookWait, func() error {
		d := &appsv1.Deployment{}
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(o), d); err != nil {
			return err
		}
		if d.Status.AvailableReplicas != replicas {
			return fmt.Errorf("%d of %d replicas run", d.Status.AvailableReplicas, replicas)
		}
		return nil
	})
}

package integration

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
		want := map[string]string{v1alpha1.AnnotationGPUVendor: "nvidia", v1alpha1.AnnotationGPUCount: "2", v1alpha1.AnnotationPool: "a100"}
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

// webhookDead: the configurations are there, and nobody answers.
func webhookDead(t *testing.T, e *webhookEnv) {
	e.namespace(t, "dead", map[string]string{v1alpha1.AnnotationMaxReplicas: "1"})
	ctx := t.Context()
	e.configurations(t)
	o := webhookWorkload("Deployment", "dead", "web", 5, "1")
	unstructured.RemoveNestedField(o.Object, "spec", "template", "spec", "nodeSelector")
	if err := e.Client.Create(ctx, o); err != nil {
		t.Errorf("create above the ceiling: %v", err)
	}
	if err := webhookScale(ctx, e.Client, o, 6); err != nil {
		t.Errorf("scale above the ceiling: %v", err)
	}
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
		if d.Status.AvailableReplicas != 6 {
			return fmt.Errorf("%d of 6 replicas run", d.Status.AvailableReplicas)
		}
		return nil
	})
}

package removal

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clientfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"forewarm.dev/api/v1alpha1"
)

func meta(namespace, name string, labels ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		m.Labels[labels[i]] = labels[i+1]
	}
	return m
}

func remover(objects ...runtime.Object) (Remover, *clientfake.Clientset, *strings.Builder) {
	ledger := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Ledger", "metadata": map[string]any{"namespace": "forewarm-system", "name": "ns-web"},
	}}
	c, said := clientfake.NewClientset(objects...), &strings.Builder{}
	return Remover{Client: c, Output: said, Namespace: "forewarm-system", Objects: fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		v1alpha1.GroupVersion.WithResource("ledgers"): "LedgerList", v1alpha1.GroupVersion.WithResource("ceilingsets"): "CeilingSetList",
	}, ledger)}, c, said
}

// TestRemove: what is ours goes, what is not stays, and a second time finds nothing.
func TestRemove(t *testing.T) {
	r, c, said := remover(
		&corev1.Namespace{ObjectMeta: meta("", "web", v1alpha1.LabelTotals, "true", v1alpha1.LabelCeilings, "true", "team", "web")},
		&corev1.Namespace{ObjectMeta: meta("", "db", "team", "db")},
		&corev1.Namespace{ObjectMeta: meta("", "forewarm-placeholders")},
		&appsv1.Deployment{ObjectMeta: meta("forewarm-system", "forewarm-webhook")},
		&appsv1.Deployment{ObjectMeta: meta("forewarm-system", "forewarm-scheduler")},
		&appsv1.Deployment{ObjectMeta: meta("forewarm-system", "somebody-elses")},
		&corev1.Pod{ObjectMeta: meta("forewarm-system", "forewarm-webhook-1", "app.kubernetes.io/name", "forewarm-webhook")},
		&corev1.Pod{ObjectMeta: meta("forewarm-system", "somebody-elses")},
		&corev1.Pod{ObjectMeta: meta("forewarm-placeholders", "a100-1", v1alpha1.LabelPool, "a100")},
		&corev1.Pod{ObjectMeta: meta("ml", "job", v1alpha1.LabelPool, "a100")},
		&corev1.ResourceQuota{ObjectMeta: meta("forewarm-placeholders", "forewarm-placeholder")},
		&corev1.ResourceQuota{ObjectMeta: meta("web", "own")},
		&schedulingv1.PriorityClass{ObjectMeta: meta("", "forewarm-placeholder")},
		&schedulingv1.PriorityClass{ObjectMeta: meta("", "forewarm-placeholder-3")},
		&schedulingv1.PriorityClass{ObjectMeta: meta("", "own")},
		&corev1.Secret{ObjectMeta: meta("forewarm-system", "forewarm-webhook-ca")},
		&corev1.Secret{ObjectMeta: meta("forewarm-system", "own")},
		&coordinationv1.Lease{ObjectMeta: meta("forewarm-system", "forewarm-reserver")},
	)
	if err := r.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"removed Deployment forewarm-system/forewarm-webhook",
		"removed Deployment forewarm-system/forewarm-scheduler",
		"removed label forewarm.dev/ceilings of Namespace web",
		"removed label forewarm.dev/totals of Namespace web",
		"removed Ledger forewarm-system/ns-web",
		"removed placeholder Pod forewarm-placeholders/a100-1",
		"removed ResourceQuota forewarm-placeholders/forewarm-placeholder",
		"removed PriorityClass forewarm-placeholder",
		"removed PriorityClass forewarm-placeholder-3",
		"removed Secret forewarm-system/forewarm-webhook-ca",
		"removed Lease forewarm-system/forewarm-reserver",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(said.String()), "\n")); diff != "" {
		t.Error(diff)
	}
	pods, err := c.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 2 {
		t.Errorf("%d pods left, want the two that are not ours, %v", len(pods.Items), err)
	}
	web, err := c.CoreV1().Namespaces().Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"team": "web"}, web.Labels); diff != "" {
		t.Error(diff)
	}
	said.Reset()
	if err := r.Remove(t.Context()); err != nil || said.String() != "" {
		t.Errorf("again: %v, %q", err, said.String())
	}
}

// TestProcessesThatStay: nothing is removed that a process which has not ended would write again.
func TestProcessesThatStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c, said := remover(&corev1.Pod{ObjectMeta: meta("forewarm-system", "forewarm-reserver-1", "app.kubernetes.io/name", "forewarm-reserver")},
			&corev1.Namespace{ObjectMeta: meta("", "web", v1alpha1.LabelTotals, "true")})
		c.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
		begin := time.Now()
		err := r.Remove(t.Context())
		if err == nil || !strings.Contains(err.Error(), "1 pods of Forewarm in namespace forewarm-system have not ended") || said.String() != "" || time.Since(begin) != patience {
			t.Errorf("%v after %s, said %q", err, time.Since(begin), said)
		}
	})
}

// TestRestGoes: what cannot be removed is told, and the rest goes.
func TestRestGoes(t *testing.T) {
	r, c, said := remover(&corev1.Namespace{ObjectMeta: meta("", "web", v1alpha1.LabelTotals, "true")})
	c.PrependReactor("patch", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("no") })
	if err := r.Remove(t.Context()); err == nil || !strings.Contains(err.Error(), "remove label forewarm.dev/totals of Namespace web: no") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(said.String(), "removed Ledger forewarm-system/ns-web") {
		t.Errorf("said %q", said)
	}
}

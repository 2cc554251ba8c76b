package main

import (
	"io"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"forewarm.dev/webhook/registration"
)

// TestDisarmWithoutMark: a namespace that is gone does not keep Forewarm in admission.
func TestDisarmWithoutMark(t *testing.T) {
	c := fake.NewClientset(&admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: registration.Name}})
	c.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewNotFound(corev1.Resource("namespaces"), "forewarm-system")
	})
	a := admission{c, noPools(), "forewarm-system", io.Discard}
	if err := a.disarm(t.Context(), "a test"); err == nil || !strings.Contains(err.Error(), "leave the mark") {
		t.Errorf("got %v, want it said that the mark is missing", err)
	}
	if _, err := c.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), registration.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want the configuration deleted", err)
	}
}

// TestDisarmTakesQuotasBack: the quotas that were generated go, and no other.
func TestDisarmTakesQuotasBack(t *testing.T) {
	quota := func(namespace, name string) *corev1.ResourceQuota {
		return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	}
	c := fake.NewClientset(quota("ml", "forewarm-max-gpus"), quota("web", "forewarm-max-gpus"), quota("web", "own"), quota("db", "own"))
	said := &strings.Builder{}
	a := admission{c, noPools(), "forewarm-system", said}
	if err := a.disarm(t.Context(), "a test"); err != nil {
		t.Fatal(err)
	}
	list, err := c.CoreV1().ResourceQuotas("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range list.Items {
		if left.Name != "own" {
			t.Errorf("ResourceQuota %s/%s is left", left.Namespace, left.Name)
		}
	}
	if len(list.Items) != 2 || !strings.Contains(said.String(), "took back ResourceQuota ml/forewarm-max-gpus") {
		t.Errorf("%d quotas left, want 2; said:\n%s", len(list.Items), said)
	}
}

// noPools is a cluster without Karpenter.
func noPools() *dynamicfake.FakeDynamicClient {
	pools := schema.GroupVersionResource{Group: "karpenter.sh", Version: "v1", Resource: "nodepools"}
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{pools: "NodePoolList"})
}

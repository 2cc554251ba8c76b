package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"forewarm.dev/internal/config"
)

func TestSlim(t *testing.T) {
	big := func(namespace string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: namespace, UID: "u", ResourceVersion: "7",
			Annotations:     map[string]string{"forewarm.dev/max-replicas": "5", "kubectl.kubernetes.io/last-applied-configuration": "long"},
			Labels:          map[string]string{"a": "b"},
			OwnerReferences: []metav1.OwnerReference{{Name: "o"}},
			ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "m"}},
		}}
	}
	want := metav1.ObjectMeta{
		Name: "web", Namespace: "team", UID: "u", ResourceVersion: "7",
		Annotations: map[string]string{"forewarm.dev/max-replicas": "5"}, OwnerReferences: []metav1.OwnerReference{{Name: "o"}},
	}
	got, err := slim(big("team"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.(*metav1.PartialObjectMetadata).ObjectMeta); diff != "" {
		t.Errorf("workload:\n%s", diff)
	}
	want.Namespace, want.Labels = "", map[string]string{"a": "b"}
	if got, err = slim(big("")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.(*metav1.PartialObjectMetadata).ObjectMeta); diff != "" {
		t.Errorf("Namespace:\n%s", diff)
	}
}

func TestDrain(t *testing.T) {
	cases := map[string]struct {
		fails    bool
		want     time.Duration
		wantBusy bool
	}{
		"a signal":  {false, 10 * time.Second, true},
		"a failure": {true, 0, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &process{settings: config.Webhook{DrainSeconds: 10}, log: logr.Discard(), reviews: http.NewServeMux()}
				ctx, signal := context.WithCancel(t.Context())
				failed, fail := context.WithCancel(t.Context())
				defer signal()
				defer fail()
				if c.fails {
					fail()
				} else {
					signal()
				}
				started := time.Now()
				p.drain(ctx, failed)
				if took := time.Since(started); took != c.want {
					t.Errorf("took %s, want %s", took, c.want)
				}
				w := httptest.NewRecorder()
				p.handle(w, httptest.NewRequest(http.MethodPost, "/ceilings", nil))
				if closes := w.Header().Get("Connection") == "close"; closes != c.wantBusy {
					t.Errorf("Connection %q, want closing: %t", w.Header().Get("Connection"), c.wantBusy)
				}
				if c.wantBusy {
					if err := p.ready(nil); err == nil || err.Error() != "draining" {
						t.Errorf("ready: %v, want draining", err)
					}
				}
			})
		})
	}
}

func TestEnsureNamespace(t *testing.T) {
	client := fake.NewClientset()
	for range 2 {
		if err := ensureNamespace(t.Context(), client, "forewarm-system"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "forewarm-system", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "other", errors.New("no"))
	client.PrependReactor("create", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, forbidden })
	if err := ensureNamespace(t.Context(), client, "other"); !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want what is forbidden", err)
	}
}

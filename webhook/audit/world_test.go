package audit

import (
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/handler"
	"forewarm.dev/webhook/sources"
)

// world is what an auditor reads from: a cache and an API server with one Deployment.
type world struct {
	live    *metadatafake.FakeMetadataClient
	objects *dynamicfake.FakeDynamicClient
	options handler.Options
}

func metadataOf(apiVersion, kind, name string, annotations map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: apiVersion, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u-1", Annotations: annotations},
	}
}

// newWorld has the Namespace team, and kube-system with annotations.
func newWorld(t *testing.T, system map[string]string) *world {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cached := []client.Object{metadataOf("v1", "Namespace", "team", nil), metadataOf("v1", "Namespace", "kube-system", system)}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(cached...).Build()
	lastGood, live := sources.NewLastGood(), metadatafake.NewSimpleMetadataClient(scheme)
	objects := dynamicfake.NewSimpleDynamicClient(runtime.NewScheme(), deployment())
	return &world{live, objects, handler.Options{
		Namespaces: sources.NewNamespaces(reader, live, lastGood), Parents: sources.NewParents(reader, live, meta.NewDefaultRESTMapper(nil)),
		Owners:   sources.NewOwners(objects, webhook.Kinds(), logr.Discard()),
		LastGood: lastGood, Kinds: webhook.Kinds()[:1], // Deployments
		Registerer: prometheus.NewRegistry(), Clock: clock.RealClock{},
	}}
}

func deployment() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "team"}, "spec": map[string]any{"replicas": int64(3)},
	}}
}

package sources

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metadatafake "k8s.io/client-go/metadata/fake"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// TestNamespaces: what the informer holds comes first, then the cache, then the API server.
func TestNamespaces(t *testing.T) {
	from := func(where string, names ...string) (out []client.Object) {
		for _, name := range names {
			out = append(out, &metav1.PartialObjectMetadata{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
				ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"from": where}},
			})
		}
		return out
	}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cached := fake.NewClientBuilder().WithScheme(scheme).WithObjects(from("cache", "held", "cached")...).Build()
	live := metadatafake.NewSimpleMetadataClient(scheme, from("server", "new")[0])
	namespaces := NewNamespaces(cached, live, NewLastGood())
	informer := toolscache.NewSharedIndexInformer(&toolscache.ListWatch{}, &metav1.PartialObjectMetadata{}, 0, nil)
	if err := informer.GetStore().Add(from("informer", "held")[0]); err != nil {
		t.Fatal(err)
	}
	check := func(name, want string) {
		t.Helper()
		o, err := namespaces.Get(t.Context(), name)
		if err != nil || o.Labels["from"] != want {
			t.Errorf("%s: %v, %v; want it from %s", name, o, err, want)
		}
	}
	check("held", "cache")
	namespaces.Hold(informer)
	check("held", "informer")
	check("cached", "cache")
	check("new", "server")
	if _, err := namespaces.Get(t.Context(), "none"); err == nil {
		t.Error("a Namespace that is not there is found")
	}
}

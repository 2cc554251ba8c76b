package ledger

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	dynamicfake "k8s.io/client-go/dynamic/fake"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// TestVersions: a kind is watched in the version that the server has, and in that of the table as
// soon as it has that one.
func TestVersions(t *testing.T) {
	table := webhook.Kinds()
	kind := table[slices.IndexFunc(table, func(k webhook.Kind) bool { return k.Name == "MPIJob" })]
	lists := map[schema.GroupVersionResource]string{}
	var objects []runtime.Object
	for _, version := range []string{"v1", "v2beta1"} { // a server would show each object in both
		lists[schema.GroupVersionResource{Group: kind.Group, Version: version, Resource: kind.Resource}] = "MPIJobList"
		objects = append(objects, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": kind.Group + "/" + version, "kind": kind.Name,
			"metadata": map[string]any{"namespace": "team", "name": "of-" + version, "resourceVersion": "7", "uid": version},
			"spec":     map[string]any{"mpiReplicaSpecs": map[string]any{"Launcher": map[string]any{}, "Worker": map[string]any{"replicas": int64(2)}}},
		}})
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	term := newTerm(KeeperOptions{
		Live: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...), Mapper: mapper, Kinds: table, Log: logr.Discard(),
	}, nil)
	for _, version := range []string{"v1", "v2beta1"} {
		mapper.Add(schema.GroupVersionKind{Group: kind.Group, Version: version, Kind: kind.Name}, meta.RESTScopeNamespace)
		term.find()
		if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
			ready, err := term.ready(ctx, Namespace)
			w := term.watches.of(schema.GroupResource{Group: kind.Group, Resource: kind.Resource})
			if err == nil && w == nil {
				err = errors.New("there is no watch")
			}
			return ready && err == nil && w.upTo() == "7", err
		}); err != nil {
			t.Fatalf("%s is not shown: %v", version, err)
		}
		got, err := term.sight(t.Context(), team, total.Ledger{})
		if err != nil {
			t.Fatal(err)
		}
		want := map[total.Key]total.Seen{total.KeyOf(kind.Group, kind.Resource, "of-"+version): {Amounts: webhook.Amounts{Replicas: 3}, Version: "7"}}
		if diff := cmp.Diff(want, got.Objects); diff != "" {
			t.Errorf("%s:\n%s", version, diff)
		}
	}
}

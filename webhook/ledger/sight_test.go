package ledger

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// TestSight: a leader whose watch is behind the ledger asks the API server for what counts.
func TestSight(t *testing.T) {
	kind := webhook.Kinds()[0] // Deployment
	workload := func(replicas int64, version string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{"replicas": replicas},
			"metadata": map[string]any{"namespace": "team", "name": "web", "resourceVersion": version, "uid": "u"},
		}}
	}
	live := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{resourceOf(kind): "DeploymentList"}, workload(3, "7"))
	term := newTerm(KeeperOptions{Live: live, Log: logr.Discard()}, nil)
	w, err := term.watches.ensure(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) { return w.upTo() == "7", nil }); err != nil {
		t.Fatalf("shown up to %q, want 7: %v", w.upTo(), err)
	}
	live.PrependReactor("list", "deployments", func(clienttesting.Action) (bool, runtime.Object, error) {
		list := &unstructured.UnstructuredList{Object: map[string]any{"metadata": map[string]any{"resourceVersion": "12"}}}
		list.Items = []unstructured.Unstructured{*workload(5, "9")}
		return true, list, nil
	})
	for counted, want := range map[string]total.Sight{
		"":  {Objects: map[total.Key]total.Seen{"deployments.apps/web": {Amounts: webhook.Amounts{Replicas: 3}, Version: "7"}}, UpTo: map[string]string{"deployments.apps": "7"}},
		"9": {Objects: map[total.Key]total.Seen{"deployments.apps/web": {Amounts: webhook.Amounts{Replicas: 5}, Version: "9"}}, UpTo: map[string]string{"deployments.apps": "12"}},
	} {
		l := total.Ledger{UpTo: map[string]string{}}
		if counted != "" {
			l.UpTo["deployments.apps"] = counted
		}
		got, err := term.sight(t.Context(), team, l)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("counted up to %q:\n%s", counted, diff)
		}
	}
}

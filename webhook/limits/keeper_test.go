package limits

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/webhook"
)

// TestOneThatFails: where a limit cannot be written, those of others are, and what failed is told.
func TestOneThatFails(t *testing.T) {
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	system := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: "kube-system", Annotations: map[string]string{webhook.MaxNodes: "5"}},
	}
	var objects []runtime.Object
	for _, name := range []string{"a", "b", "c"} {
		pool := &unstructured.Unstructured{}
		pool.SetGroupVersionKind(nodePool)
		pool.SetName(name)
		objects = append(objects, pool)
	}
	live := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{nodePools: "NodePoolList"}, objects...)
	var written []string
	live.PrependReactor("patch", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		name := a.(clienttesting.PatchAction).GetName()
		if name == "b" {
			return true, nil, errors.New("refused by a policy")
		}
		written = append(written, name)
		return true, &unstructured.Unstructured{Object: map[string]any{}}, nil
	})
	k := NewKeeper(KeeperOptions{
		Cached: fake.NewClientBuilder().WithScheme(scheme).WithObjects(system).Build(), Live: live,
		Disarmed: func(context.Context) (bool, error) { return false, nil }, Leading: func() bool { return true },
		Events: events.NewFakeRecorder(9), Log: logr.Discard(),
	})
	err := k.round(t.Context())
	if err == nil || !strings.Contains(err.Error(), "limit NodePool b: refused by a policy") {
		t.Errorf("the round says %v, want what failed", err)
	}
	if want := []string{"a", "c", QuotaName}; !slices.Equal(written, want) {
		t.Errorf("limits were written of %v, want %v", written, want)
	}
	k.Leading, written = func() bool { return false }, nil
	if err := k.round(t.Context()); err == nil || len(written) > 0 {
		t.Errorf("who leads no longer says %v and writes those of %v", err, written)
	}
}

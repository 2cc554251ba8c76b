package snapshot

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func pod(name, node string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team"},
		Spec:       corev1.PodSpec{NodeName: node},
		Status:     corev1.PodStatus{Phase: phase},
	}
}

func TestTakeSortsAndLeavesEndedPodsOut(t *testing.T) {
	reader := fake.NewClientBuilder().WithObjects(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}},
		pod("c", "n1", corev1.PodRunning), pod("a", "n1", corev1.PodPending), pod("b", "n1", corev1.PodSucceeded),
		pod("d", "n1", corev1.PodFailed), pod("e", "", corev1.PodPending),
	).Build()
	s, err := Take(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	names := func(pods []*corev1.Pod) (names []string) {
		for _, p := range pods {
			names = append(names, p.Name)
		}
		return names
	}
	if diff := cmp.Diff([]string{"a", "c", "e"}, names(s.Pods)); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "c"}, names(s.PodsOn("n1"))); diff != "" {
		t.Errorf("pods on n1 (-want +got):\n%s", diff)
	}
	if len(s.Nodes) != 2 || s.Nodes[0].Name != "n1" {
		t.Errorf("nodes %v", s.Nodes)
	}
	if got := s.PodsOn("n2"); len(got) != 0 {
		t.Errorf("pods on n2: %v", got)
	}
}

// Informers that keep a store, and that do not.
type (
	scattered struct{ cache.Informer }
	storing   struct {
		cache.Informer
		store toolscache.Store
	}
	someInformers struct {
		cache.Informers
		of func(client.Object) cache.Informer
	}
)

func (f storing) GetStore() toolscache.Store { return f.store }

func (s someInformers) GetInformer(_ context.Context, o client.Object, _ ...cache.InformerGetOption) (cache.Informer, error) {
	return s.of(o), nil
}

// TestStoresAreTakenAsTheyAre: a snapshot of informers has their objects themselves, and is like one of a list.
func TestStoresAreTakenAsTheyAre(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	running, done := pod("b", "n1", corev1.PodRunning), pod("a", "n1", corev1.PodFailed)
	filled := func(objects ...any) cache.Informer {
		store := toolscache.NewStore(toolscache.MetaNamespaceKeyFunc)
		for _, o := range objects {
			if err := store.Add(o); err != nil {
				t.Fatal(err)
			}
		}
		return storing{store: store}
	}
	stores, err := NewStores(t.Context(), someInformers{of: func(o client.Object) cache.Informer {
		if _, ok := o.(*corev1.Node); ok {
			return filled(node)
		}
		return filled(running, done)
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := stores.Take()
	if len(s.Nodes) != 1 || s.Nodes[0] != node || len(s.Pods) != 1 || s.Pods[0] != running || len(s.PodsOn("n1")) != 1 {
		t.Errorf("nodes %v, pods %v, want the informers' own, but for the pod that has ended", s.Nodes, s.Pods)
	}
	if _, err := NewStores(t.Context(), someInformers{of: func(client.Object) cache.Informer { return scattered{} }}); err == nil {
		t.Error("informers without stores are taken")
	}
}

// TestWithWhatWasReadLater: pods that are bound meanwhile count on their node, once, and those that ended do not;
// the snapshot itself stays.
func TestWithWhatWasReadLater(t *testing.T) {
	known, bound := pod("known", "n1", corev1.PodRunning), pod("bound", "n1", corev1.PodPending)
	known.UID, bound.UID = "known", "bound"
	waited := bound.DeepCopy()
	waited.Spec.NodeName = ""
	s, err := Take(t.Context(), fake.NewClientBuilder().WithObjects(known, waited).Build())
	if err != nil {
		t.Fatal(err)
	}
	over, waits := pod("over", "n1", corev1.PodFailed), pod("waits", "", corev1.PodPending)
	over.UID, waits.UID = "over", "waits"
	later := s.With([]*corev1.Pod{known, bound, over, waits})
	var names []string
	for _, p := range later.PodsOn("n1") {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"known", "bound"}, names); diff != "" {
		t.Errorf("pods on n1 (-want +got):\n%s", diff)
	}
	if len(s.PodsOn("n1")) != 1 {
		t.Errorf("before: %d pods on n1, want one", len(s.PodsOn("n1")))
	}
}

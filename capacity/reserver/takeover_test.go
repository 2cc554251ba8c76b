package reserver

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/topology"
)

// takeoverNode runs one placeholder of 8 GPUs; pods need a toleration for dedicated ones.
func takeoverNode(name string, dedicated bool) []client.Object {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"disk": name}}}
	node.Status.Allocatable = corev1.ResourceList{gpu: resource.MustParse("8"), corev1.ResourcePods: resource.MustParse("110")}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if dedicated {
		node.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}}
	}
	held := gpuPod("held-"+name, "8")
	held.Namespace, held.Spec.NodeName, held.Spec.PriorityClassName = "hold", name, v1alpha1.PlaceholderPriorityClass
	held.Labels = map[string]string{v1alpha1.LabelPool: "a100", v1alpha1.LabelChunk: "node"}
	held.Status.Phase = corev1.PodRunning
	return []client.Object{node, held}
}

func TestPlaceholdersGiveWayToThoseWhoCannotPreempt(t *testing.T) {
	stuck := func(edit func(*corev1.Pod)) *corev1.Pod {
		pod := gpuPod("train", "8")
		pod.Spec.Priority, pod.Spec.PreemptionPolicy = new(int32(0)), new(corev1.PreemptNever)
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
		edit(pod)
		return pod
	}
	for name, c := range map[string]struct {
		edit func(*corev1.Pod)
		mode v1alpha1.Mode
		gone []string
	}{
		"policy Never":              {func(*corev1.Pod) {}, v1alpha1.ModeEnforce, []string{"held-a"}},
		"a selector":                {func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "b"} }, v1alpha1.ModeEnforce, []string{"held-b"}},
		"a priority like ours":      {func(p *corev1.Pod) { *p.Spec.Priority, p.Spec.PreemptionPolicy = -10, nil }, v1alpha1.ModeEnforce, []string{"held-a"}},
		"not of its tier":           {func(p *corev1.Pod) { *p.Spec.Priority, p.Spec.NodeSelector = -10, map[string]string{"disk": "d"} }, v1alpha1.ModeEnforce, nil},
		"of its tier":               {func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "d"} }, v1alpha1.ModeEnforce, []string{"held-d"}},
		"who can preempt":           {func(p *corev1.Pod) { p.Spec.PreemptionPolicy = nil }, v1alpha1.ModeEnforce, nil},
		"not tried yet":             {func(p *corev1.Pod) { p.Status.Conditions = nil }, v1alpha1.ModeEnforce, nil},
		"no node may run it":        {func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "c"} }, v1alpha1.ModeEnforce, nil},
		"a pool that only observes": {func(*corev1.Pod) {}, v1alpha1.ModeObserve, nil},
	} {
		pod := stuck(c.edit)
		objects := append(takeoverNode("a", false), takeoverNode("b", false)...)
		objects = append(objects, takeoverNode("c", true)...)
		later := takeoverNode("d", false)
		held := later[1].(*corev1.Pod)
		held.Spec.PriorityClassName, held.Spec.Priority = v1alpha1.PlaceholderClass(3), new(int32(-7))
		objects = append(objects, later...)
		pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}, Spec: v1alpha1.WarmPoolSpec{
			Mode: c.mode, Demand: v1alpha1.DemandSelection{Resource: gpu}, Chunks: []v1alpha1.Chunk{{Name: "node", IdleCostPerHour: "24"}},
		}}
		r := takeoverReserver(t, append(objects, pod, pool)...)
		r.tracker.rebuild([]class{classFor("a100", 0, labels.Everything())}, map[string]labels.Set{"team": nil}, []*corev1.Pod{pod})
		now := time.Now()
		r.takeOver(t.Context(), now)
		r.takeOver(t.Context(), now.Add(time.Second)) // what is on its way is not freed twice
		if diff := cmp.Diff(c.gone, missing(t, r.cached)); diff != "" {
			t.Errorf("%s: gone (-want +got):\n%s", name, diff)
		}
		if paused := r.gaveWay(pool, now) != ""; paused != (len(c.gone) > 0) {
			t.Errorf("%s: paused %v", name, paused)
		}
	}
}

// TestAPodThatDoesNotBindStopsNobody: it finds no room although placeholders gave way, or since none
// can. Its pool grows on, and does not give up placeholders for it again and again.
func TestAPodThatDoesNotBindStopsNobody(t *testing.T) {
	start := time.Now()
	pod := gpuPod("train", "8")
	pod.Spec.PreemptionPolicy = new(corev1.PreemptNever)
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}, Spec: v1alpha1.WarmPoolSpec{
		Mode: v1alpha1.ModeEnforce, Demand: v1alpha1.DemandSelection{Resource: gpu}, Chunks: []v1alpha1.Chunk{{Name: "node", IdleCostPerHour: "24"}},
	}}
	placed := takeoverNode("a", false)
	r := takeoverReserver(t, placed[0], pod, pool)
	r.tracker.rebuild([]class{classFor("a100", 0, labels.Everything())}, map[string]labels.Set{"team": nil}, []*corev1.Pod{pod})
	var gave []time.Duration
	paused := 0
	for after := time.Duration(0); after < time.Hour; after += 10 * time.Second {
		held := placed[1].DeepCopyObject().(client.Object)
		if err := r.cached.Create(t.Context(), held); client.IgnoreAlreadyExists(err) != nil {
			t.Fatal(err) // each placeholder that goes is replaced at once
		}
		r.takeOver(t.Context(), start.Add(after))
		if len(missing(t, r.cached)) == 4 {
			gave = append(gave, after)
		}
		if r.gaveWay(pool, start.Add(after)) != "" {
			paused++
		}
	}
	var want []time.Duration
	for _, seconds := range []time.Duration{0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030} {
		want = append(want, seconds*time.Second)
	}
	if diff := cmp.Diff(want, gave); diff != "" || paused != len(want) {
		t.Errorf("paused %d times, gave way after (-want +got):\n%s", paused, diff)
	}
}

// TestPlaceholdersGoAtOnce: those of a whole Workload do not go one after the other.
func TestPlaceholdersGoAtOnce(t *testing.T) {
	objects := append(takeoverNode("a", false), takeoverNode("b", false)...)
	r := takeoverReserver(t, objects...)
	both, coming := make(chan struct{}), make(chan struct{}, 2)
	r.cached = interceptor.NewClient(r.cached.(client.WithWatch), interceptor.Funcs{Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
		if coming <- struct{}{}; len(coming) == 2 {
			close(both)
		}
		select {
		case <-both:
			return c.Delete(ctx, o, opts...)
		case <-time.After(10 * time.Second):
			return errors.New("no other is deleted meanwhile")
		}
	}})
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	if gave, err := r.giveWay(t.Context(), world{}, pool, gpuPod("train", "16"), []string{"held-a", "held-b"}); !gave || err != nil {
		t.Errorf("gave way: %v, %v", gave, err)
	}
}

// TestLoadsOfOthersAreNotLookedAt: a Workload that no pool acts for does not have the cluster observed.
func TestLoadsOfOthersAreNotLookedAt(t *testing.T) {
	version := schema.GroupVersion{Group: "kueue.x-k8s.io", Version: "v1beta2"}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{version})
	mapper.Add(version.WithKind("Workload"), meta.RESTScopeNamespace)
	load := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": version.String(), "kind": "Workload", "metadata": map[string]any{"namespace": "ml", "name": "train", "uid": "train"},
		"spec": map[string]any{"podSets": []any{map[string]any{"name": "main", "count": int64(1), "template": map[string]any{"spec": map[string]any{"containers": []any{}}}}}},
		"status": map[string]any{"conditions": []any{map[string]any{
			"type": "QuotaReserved", "status": "False", "reason": "Pending", "lastTransitionTime": "2026-11-30T08:00:00Z", "message": `topology "racks" doesn't allow to fit any of 1 pod(s)`,
		}}},
	}}
	kinds := map[schema.GroupVersionResource]string{version.WithResource("workloads"): "WorkloadList"}
	loads := topology.NewWatcher(topology.Options{Client: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, load), Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
	woken := make(chan struct{})
	loads.Wake(func() { close(woken) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- loads.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-woken
	r := takeoverReserver(t)
	r.options.Loads = loads
	observed := 0
	r.live = interceptor.NewClient(r.cached.(client.WithWatch), interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		observed++
		return c.List(ctx, list, opts...)
	}})
	now := time.Now()
	if !loads.Due(now) {
		t.Fatal("no Workload waits")
	}
	r.takeOver(t.Context(), now)
	if observed != 0 || loads.Due(now.Add(time.Second)) {
		t.Errorf("%d live lists for a Workload of no pool; due again at once: %v", observed, loads.Due(now.Add(time.Second)))
	}
}

func takeoverReserver(t *testing.T, objects ...client.Object) *Reserver {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	return New(Options{
		Client: c, Live: c, Registerer: prometheus.NewRegistry(), Log: logr.Discard(), Events: events.NewFakeRecorder(100),
		PlaceholderNamespace: "hold", Priority: -10,
	})
}

// missing are the placeholders that are gone.
func missing(t *testing.T, c client.Client) []string {
	t.Helper()
	var left corev1.PodList
	if err := c.List(context.Background(), &left, client.InNamespace("hold")); err != nil {
		t.Fatal(err)
	}
	var gone []string
	for _, name := range []string{"held-a", "held-b", "held-c", "held-d"} {
		if !slices.ContainsFunc(left.Items, func(p corev1.Pod) bool { return p.Name == name }) {
			gone = append(gone, name)
		}
	}
	return gone
}

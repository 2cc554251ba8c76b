package drainer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
)

const (
	gpu   = "nvidia.com/gpu"
	gke   = "cloud.google.com/impending-node-termination"
	nth   = "aws-node-termination-handler/spot-itn"
	holds = "hold"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func testNode(name string, taints ...string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": "a100"}}}
	node.Status.Allocatable = corev1.ResourceList{gpu: resource.MustParse("8"), corev1.ResourcePods: resource.MustParse("110")}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	for _, key := range taints {
		node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	}
	return node
}

func testPod(name, node, gpus string, edit ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: name, UID: types.UID(name), Annotations: map[string]string{}}}
	pod.Spec.NodeName = node
	pod.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{gpu: resource.MustParse(gpus)}}}}
	pod.Spec.TerminationGracePeriodSeconds = new(int64(10))
	pod.Status.Phase = corev1.PodRunning
	for _, e := range edit {
		e(pod)
	}
	return pod
}

func critical(pod *corev1.Pod) { pod.Annotations[v1alpha1.AnnotationCritical] = "true" }

func stands(pod *corev1.Pod) {
	pod.Namespace, pod.Labels, pod.Spec.PriorityClassName = holds, map[string]string{v1alpha1.LabelPool: "a100"}, v1alpha1.PlaceholderPriorityClass
}

func inTier2(pod *corev1.Pod) {
	pod.Spec.PriorityClassName, pod.Spec.Priority = v1alpha1.PlaceholderClass(2), new(int32(-8))
}

func priority(value int32) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.Priority = &value }
}

func waits(pod *corev1.Pod) { pod.Status.Phase = corev1.PodPending }

func ofDaemonSet(pod *corev1.Pod) {
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "d", UID: "d", Controller: new(true)}}
}

func newDrainer(t *testing.T, drain v1alpha1.Drain, objects ...client.Object) *Drainer {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	pool.Spec.Mode, pool.Spec.Interruption = v1alpha1.ModeEnforce, &v1alpha1.InterruptionSpec{Drain: drain}
	pool.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "a100"}
	return New(Options{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(objects, pool)...).Build(),
		Events: events.NewFakeRecorder(100), Registerer: prometheus.NewRegistry(), Clock: clock.RealClock{}, Log: logr.Discard(), PlaceholderNamespace: holds,
	})
}

// left are the pods that are there after a cycle.
func left(t *testing.T, d *Drainer, after time.Duration) string {
	t.Helper()
	if err := d.cycle(t.Context(), noon.Add(after)); err != nil {
		t.Fatal(err)
	}
	var pods corev1.PodList
	if err := d.Client.List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, pod := range pods.Items {
		names[pod.Name] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), " ")
}

func TestDrain(t *testing.T) {
	for name, c := range map[string]struct {
		drain   v1alpha1.Drain
		taint   string
		objects []client.Object
		after   time.Duration
		want    string
	}{
		"never":                              {v1alpha1.DrainNever, gke, []client.Object{testPod("a", "goes", "1")}, 0, "a"},
		"nobody else does":                   {v1alpha1.DrainIfNobodyDoes, gke, []client.Object{testPod("a", "goes", "1"), testPod("b", "other", "1")}, 0, "b"},
		"somebody else does":                 {v1alpha1.DrainIfNobodyDoes, nth, []client.Object{testPod("a", "goes", "1")}, 0, "a"},
		"whoever else does":                  {v1alpha1.DrainAlways, nth, []client.Object{testPod("a", "goes", "1")}, 0, ""},
		"replaced by its autoscaler":         {v1alpha1.DrainAlways, "karpenter.sh/disrupted", []client.Object{testPod("a", "goes", "1")}, 0, "a"},
		"of a DaemonSet, and a placeholder":  {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "1", ofDaemonSet), testPod("b", "goes", "1", stands)}, 0, "a b"},
		"critical, there is no room":         {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "1", critical), testPod("b", "goes", "1"), testPod("c", "other", "8")}, 0, "a c"},
		"critical, there is free room":       {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "8", critical)}, 0, ""},
		"critical, a placeholder stands":     {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "8", critical), testPod("p", "other", "8", stands)}, 0, "p"},
		"critical, one that it may not take": {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "8", critical, priority(-8)), testPod("p", "other", "8", stands, inTier2)}, 0, "a p"},
		"critical, one that it may take":     {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "8", critical, priority(-7)), testPod("p", "other", "8", stands, inTier2)}, 0, "p"},
		"critical, a placeholder waits":      {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "8", critical), testPod("p", "other", "8", stands, waits)}, 0, "a p"},
		"critical, room for one of them":     {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "4", critical), testPod("b", "goes", "8", critical), testPod("p", "other", "8", stands)}, 0, "b p"},
		"critical, it may not run elsewhere": {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "1", critical, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"x": "y"} })}, 0, "a"},
		"critical, time is left":             {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "1", critical), testPod("c", "other", "8")}, 14 * time.Second, "a c"},
		"critical, time is up but its grace": {v1alpha1.DrainAlways, gke, []client.Object{testPod("a", "goes", "1", critical), testPod("c", "other", "8")}, 15 * time.Second, "c"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDrainer(t, c.drain, append(c.objects, testNode("goes", c.taint), testNode("other"))...)
			got := left(t, d, 0)
			if c.after > 0 {
				got = left(t, d, c.after)
			}
			if got != c.want {
				t.Errorf("pods %q are left, want %q", got, c.want)
			}
		})
	}
}

// TestRoomIsPromisedOnce: what was evicted has not come back yet when the next one asks.
func TestRoomIsPromisedOnce(t *testing.T) {
	d := newDrainer(t, v1alpha1.DrainAlways, testNode("goes", gke), testNode("other"), testPod("a", "goes", "8", critical))
	if got := left(t, d, 0); got != "" {
		t.Fatalf("pods %q are left", got)
	}
	if err := d.Client.Create(t.Context(), testPod("b", "goes", "8", critical)); err != nil {
		t.Fatal(err)
	}
	if got := left(t, d, time.Second); got != "b" {
		t.Errorf("pods %q are left: the room of a was given away again", got)
	}
	if got := left(t, d, promiseHolds+time.Second); got != "" {
		t.Errorf("pods %q are left: the room was not taken, and is free", got)
	}
}

func TestANodeThatStaysIsUncordoned(t *testing.T) {
	for name, c := range map[string]struct {
		before bool
		end    v1alpha1.Drain
		note   string
	}{
		"by us":                          {false, v1alpha1.DrainAlways, "2026-11-29T12:00:00Z"},
		"by us, no pool drains any more": {false, v1alpha1.DrainNever, "2026-11-29T12:00:00Z"},
		"somebody else's cordon is kept": {true, v1alpha1.DrainAlways, "2026-11-29T12:00:00Z cordoned by others"},
	} {
		t.Run(name, func(t *testing.T) {
			goes := testNode("goes", gke)
			goes.Spec.Unschedulable = c.before
			d := newDrainer(t, v1alpha1.DrainAlways, goes, testNode("other"))
			after := time.Duration(0)
			cordoned := func() (bool, string) {
				left(t, d, after)
				var node corev1.Node
				if err := d.Client.Get(t.Context(), client.ObjectKey{Name: "goes"}, &node); err != nil {
					t.Fatal(err)
				}
				return node.Spec.Unschedulable, node.Annotations[v1alpha1.AnnotationInterruptedAt]
			}
			for range 2 {
				if is, at := cordoned(); !is || at != c.note {
					t.Fatalf("cordoned: %v, at %q", is, at)
				}
			}
			drain := fmt.Appendf(nil, `{"spec":{"interruption":{"drain":%q}}}`, c.end)
			pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
			if err := d.Client.Patch(t.Context(), pool, client.RawPatch(types.MergePatchType, drain)); err != nil {
				t.Fatal(err)
			}
			if err := d.Client.Patch(t.Context(), nodeNamed("goes"), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"taints":null}}`))); err != nil {
				t.Fatal(err)
			}
			after = everyIdle
			if is, at := cordoned(); is != c.before || at != "" {
				t.Errorf("cordoned: %v, at %q; want %v and nothing", is, at, c.before)
			}
		})
	}
}

// TestDeadlinesStay: somebody takes a cordon back; the node goes when it goes all the same.
func TestDeadlinesStay(t *testing.T) {
	d := newDrainer(t, v1alpha1.DrainAlways, testNode("goes", gke), testNode("other"), testPod("a", "goes", "1", critical), testPod("c", "other", "8"))
	left(t, d, 0)
	if err := d.Client.Patch(t.Context(), nodeNamed("goes"), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"unschedulable":null}}`))); err != nil {
		t.Fatal(err)
	}
	left(t, d, 10*time.Second)
	if got := left(t, d, 15*time.Second); got != "c" {
		t.Errorf("pods %q are left, want c: the notice is over", got)
	}
}

// TestRightsAreMissed: nothing is evicted from a node that cannot be cordoned, which is said once, and
// counted each time.
func TestRightsAreMissed(t *testing.T) {
	d := newDrainer(t, v1alpha1.DrainAlways, testNode("goes", gke), testNode("other"), testPod("a", "goes", "1"))
	allowed := d.Client
	d.Client = interceptor.NewClient(allowed.(client.WithWatch), interceptor.Funcs{
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return apierrors.NewForbidden(corev1.Resource("nodes"), "goes", errors.New("no right"))
		},
	})
	said := 0
	d.Log = funcr.New(func(_, _ string) { said++ }, funcr.Options{})
	for range 3 {
		d.tell(d.cycle(t.Context(), noon))
	}
	var pod corev1.Pod
	if err := allowed.Get(t.Context(), client.ObjectKey{Namespace: "ml", Name: "a"}, &pod); err != nil {
		t.Errorf("the pod is gone: %v", err)
	}
	if counted := testutil.ToFloat64(d.evictions.WithLabelValues(failed)); said != 1 || counted != 3 {
		t.Errorf("said %d times, counted %v; want 1 and 3", said, counted)
	}
	d.Client = allowed
	d.tell(d.cycle(t.Context(), noon))
	if got := left(t, d, 0); got != "" {
		t.Errorf("pods %q are left after the right was given", got)
	}
}

// TestNoPoolDrains: nodes are hardly looked at.
func TestNoPoolDrains(t *testing.T) {
	d := newDrainer(t, v1alpha1.DrainNever, testNode("goes", gke))
	looks := 0
	d.Client = interceptor.NewClient(d.Client.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if _, ok := list.(*corev1.NodeList); ok {
				looks++
			}
			return c.List(ctx, list, options...)
		},
	})
	for i := range 61 {
		left(t, d, time.Duration(i)*time.Second)
	}
	if looks != 3 {
		t.Errorf("looked at the nodes %d times in a minute, want 3", looks)
	}
}

package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/metrics"
)

const gpu = "nvidia.com/gpu"

// apiServer holds objects, in the order of their keys, and lists them in pages as the real one does.
type apiServer struct {
	client.Reader
	objects map[string]map[string]client.Object // by kind of list
	keys    map[string][]string                 // sorted, as long as nothing is added
	version int
	// expires tells that tokens of lists have expired once.
	expires bool
	// lists and gets are how often it was asked.
	lists, gets int
}

func newAPIServer() *apiServer {
	return &apiServer{objects: map[string]map[string]client.Object{"WarmPoolList": {}, "NamespaceList": {}, "NodeList": {}, "PodList": {}}, keys: map[string][]string{}}
}

// put writes an object in its next version.
func (a *apiServer) put(o client.Object) {
	a.version++
	o.SetResourceVersion(strconv.Itoa(a.version))
	delete(a.keys, kindOf(o))
	a.objects[kindOf(o)][client.ObjectKeyFromObject(o).String()] = o
}

func (a *apiServer) remove(o client.Object) {
	delete(a.objects[kindOf(o)], client.ObjectKeyFromObject(o).String())
}

func kindOf(o client.Object) string {
	switch o.(type) {
	case *corev1.Pod:
		return "PodList"
	case *corev1.Node:
		return "NodeList"
	case *corev1.Namespace:
		return "NamespaceList"
	default:
		return "WarmPoolList"
	}
}

// List answers with metadata alone.
func (a *apiServer) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	a.lists++
	o := (&client.ListOptions{}).ApplyOptions(options)
	into, ok := list.(*metav1.PartialObjectMetadataList)
	if !ok || o.Limit == 0 {
		return fmt.Errorf("lists %T in pages of %d, want metadata in pages", list, o.Limit)
	}
	if a.expires && o.Continue != "" {
		a.expires = false
		expired := apierrors.NewResourceExpired("the token is too old")
		expired.ErrStatus.Continue = o.Continue
		return expired
	}
	objects := a.objects[into.Kind]
	if a.keys[into.Kind] == nil {
		a.keys[into.Kind] = slices.Sorted(maps.Keys(objects))
	}
	keys := a.keys[into.Kind]
	from, _ := slices.BinarySearch(keys, o.Continue+"\x00")
	for _, key := range keys[from:] {
		if objects[key] == nil || o.FieldSelector != nil && !o.FieldSelector.Matches(selectable(objects[key])) {
			continue
		}
		if int64(len(into.Items)) == o.Limit {
			last := into.Items[o.Limit-1]
			into.Continue = client.ObjectKeyFromObject(&last).String()
			return nil
		}
		into.Items = append(into.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: objects[key].GetNamespace(), Name: objects[key].GetName(), UID: objects[key].GetUID(), ResourceVersion: objects[key].GetResourceVersion(),
		}})
	}
	return nil
}

func selectable(o client.Object) fields.Set {
	if p, is := o.(*corev1.Pod); is {
		return fields.Set{"status.phase": string(p.Status.Phase)}
	}
	return nil
}

// Get answers with the whole object.
func (a *apiServer) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	a.gets++
	found := a.objects[kindOf(object)][key.String()]
	if found == nil {
		return apierrors.NewNotFound(corev1.Resource("objects"), key.Name)
	}
	switch into := object.(type) {
	case *corev1.Pod:
		found.(*corev1.Pod).DeepCopyInto(into)
	case *corev1.Node:
		found.(*corev1.Node).DeepCopyInto(into)
	case *corev1.Namespace:
		found.(*corev1.Namespace).DeepCopyInto(into)
	case *v1alpha1.WarmPool:
		found.(*v1alpha1.WarmPool).DeepCopyInto(into)
	}
	return nil
}

func pod(namespace, name, node string) *corev1.Pod {
	asks := corev1.ResourceList{gpu: resource.MustParse("1")}
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Requests: asks}}}
	return p
}

func placeholder(name, node string) *corev1.Pod {
	p := pod("hold", name, node)
	p.Labels, p.Spec.PriorityClassName = map[string]string{v1alpha1.LabelPool: "a100"}, v1alpha1.PlaceholderPriorityClass
	return p
}

func gpuNode(name, pool string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": pool}}}
	n.Status.Allocatable = corev1.ResourceList{gpu: resource.MustParse("8")}
	return n
}

func warmPool(name string) *v1alpha1.WarmPool {
	p := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1}}
	p.Spec.Mode, p.Spec.Borrow, p.Spec.Demand.Resource = v1alpha1.ModeEnforce, v1alpha1.BorrowNever, gpu
	p.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": name}
	p.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": name}
	return p
}

func namespace(name, team string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": team}}}
}

// told has an index see what the API server holds.
func told(a *apiServer) *handler.Index {
	x := handler.NewIndex("hold")
	for _, objects := range a.objects {
		for _, o := range objects {
			tell(x, o)
		}
	}
	return x
}

func tell(x *handler.Index, o client.Object) {
	switch o := o.DeepCopyObject().(type) {
	case *corev1.Pod:
		x.SetPod(o)
	case *corev1.Node:
		x.SetNode(o)
	case *corev1.Namespace:
		x.SetNamespace(o)
	case *v1alpha1.WarmPool:
		x.SetPool(o)
	}
}

// edited is a copy, changed.
func edited[T client.Object](o T, edit func(T)) T {
	c := o.DeepCopyObject().(T)
	edit(c)
	return c
}

// TestAuditRepairsWhatTheWatchLost: an event that never came, of each kind of object and difference; then
// the extender answers as one that has seen all, and the next audit finds nothing.
func TestAuditRepairsWhatTheWatchLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPIServer()
		keptPool, goneNode, ml, web := warmPool("kept"), gpuNode("gone", ""), namespace("ml", "other"), namespace("web", "other")
		ended, moved, gone := pod("ml", "ended", "n"), placeholder("moved", ""), pod("ml", "gone", "n")
		nominated, pending, grown := pod("ml", "nominated", ""), pod("ml", "pending", ""), pod("ml", "grown", "n")
		for _, o := range []client.Object{
			keptPool, warmPool("lifted"), goneNode, gpuNode("n", "kept"), ml, web, namespace("hold", ""),
			ended, moved, gone, nominated, pending, grown, pod("ml", "stays", "n"),
		} {
			a.put(o)
		}
		x := told(a)
		x.Score(pending, []string{"n"}) // expects it there
		for _, o := range []client.Object{
			edited(keptPool, func(p *v1alpha1.WarmPool) { p.Spec.Demand.NamespaceSelector.MatchLabels["team"] = "ml"; p.Generation++ }),
			gpuNode("unseen", "kept"), edited(ml, func(n *corev1.Namespace) { n.Labels["team"] = "ml" }), namespace("new", "ml"),
			edited(ended, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), edited(moved, func(p *corev1.Pod) { p.Spec.NodeName = "n" }),
			edited(nominated, func(p *corev1.Pod) { p.Status.NominatedNodeName = "n" }), pod("ml", "unseen", "n"),
			edited(grown, func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests[gpu] = resource.MustParse("2") }),
		} {
			a.put(o)
		}
		for _, o := range []client.Object{warmPool("lifted"), goneNode, gone, pending} {
			a.remove(o)
		}
		registry := prometheus.NewRegistry()
		auditor := &Auditor{Index: x, Reader: a, Metrics: metrics.New(x, registry), Log: logr.Discard()}
		if err := auditor.Audit(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{
			"node gone": 1, "node missing": 1, "pool stale": 1, "pool gone": 1, "namespace stale": 1, "namespace missing": 1,
			"pod stale": 3, "pod missing": 1, "pod gone": 3,
		}
		if diff := cmp.Diff(want, repairs(t, registry)); diff != "" {
			t.Errorf("repairs (-want +got):\n%s", diff)
		}
		if x.Holds() != 1 {
			t.Errorf("%d pods are expected, want the nominated one alone", x.Holds())
		}
		y := told(a)
		for _, asks := range []*corev1.Pod{pod("ml", "asks", ""), pod("web", "asks", ""), pod("new", "asks", "")} {
			if diff := cmp.Diff(y.Explain(asks), x.Explain(asks)); diff != "" {
				t.Errorf("pod of %s, as one sees it who has seen all (-), and as repaired (+):\n%s", asks.Namespace, diff)
			}
		}
		a.gets = 0
		if err := auditor.Audit(t.Context()); err != nil || a.gets > 0 {
			t.Errorf("the second audit reads %d objects, %v", a.gets, err)
		}
	})
}

// TestAuditWaitsForWhatIsOnItsWay: an index that is behind for a moment is not repaired.
func TestAuditWaitsForWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPIServer()
		a.put(pod("ml", "known", "n"))
		a.put(pod("ml", "going", "n"))
		x := told(a)
		registry := prometheus.NewRegistry()
		auditor := &Auditor{Index: x, Reader: a, Metrics: metrics.New(x, registry), Log: logr.Discard()}
		a.put(edited(pod("ml", "known", "n"), func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }))
		a.put(pod("ml", "new", "n"))
		a.remove(pod("ml", "going", "n"))
		ended := make(chan error, 1)
		go func() { ended <- auditor.Audit(t.Context()) }()
		synctest.Wait() // it has listed, and waits
		for _, o := range a.objects["PodList"] {
			tell(x, o)
		}
		x.DropPod(pod("ml", "going", "n"))
		if err := <-ended; err != nil || a.gets > 0 || len(repairs(t, registry)) > 0 {
			t.Errorf("%v, %d read, repaired %v", err, a.gets, repairs(t, registry))
		}
	})
}

// TestALargeClusterIsComparedInParts: in pages, and within five audits; what comes behind the walk is not
// taken for gone, and an expired token does not end it.
func TestALargeClusterIsComparedInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPIServer()
		const many = 4 * pages * page // four audits' worth
		for i := range many {
			a.put(pod("ml", fmt.Sprintf("pod-%06d", i), "n"))
		}
		x := told(a)
		first, last := pod("ml", "pod-000000", "n"), pod("ml", fmt.Sprintf("pod-%06d", many-1), "n")
		a.remove(first)
		a.put(edited(last, func(p *corev1.Pod) { p.Spec.NodeName = "m" }))
		registry := prometheus.NewRegistry()
		auditor := &Auditor{Index: x, Reader: a, Metrics: metrics.New(x, registry), Log: logr.Discard()}
		a.expires = true
		for audit := 1; len(auditor.walks) > 0 || audit == 1; audit++ {
			before := a.lists
			if err := auditor.Audit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := a.lists - before; n > pages+len(subjects) || audit > audits {
				t.Fatalf("audit %d lists %d pages", audit, n)
			}
			behind := pod("ml", fmt.Sprintf("pod-000000-%d", audit), "n")
			a.put(behind)
			tell(x, behind)
		}
		if diff := cmp.Diff(map[string]float64{"pod stale": 1, "pod gone": 1}, repairs(t, registry)); diff != "" {
			t.Errorf("repairs (-want +got):\n%s", diff)
		}
		if a.gets != 2 {
			t.Errorf("%d objects were read whole, want the two that differ", a.gets)
		}
	})
}

// TestAnAuditIsBounded: an index that lost much is repaired over several audits, and a list that fails
// repairs nothing by what it did not list.
func TestAnAuditIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPIServer()
		x := told(a)
		for i := range repairsAtMost + 200 {
			a.put(pod("ml", fmt.Sprintf("pod-%06d", i), "n"))
		}
		registry := prometheus.NewRegistry()
		auditor := &Auditor{Index: x, Reader: a, Metrics: metrics.New(x, registry), Log: logr.Discard()}
		if err := auditor.Audit(t.Context()); err == nil || a.gets != repairsAtMost {
			t.Errorf("%v, %d read at once", err, a.gets)
		}
		if err := auditor.Audit(t.Context()); err != nil || len(x.Known(handler.Pods)) != repairsAtMost+200 {
			t.Errorf("%v, %d known after the second", err, len(x.Known(handler.Pods)))
		}
		a.gets = 0
		auditor.Reader = failing{a}
		if err := auditor.Audit(t.Context()); err == nil || a.gets > 0 || len(x.Known(handler.Pods)) != repairsAtMost+200 {
			t.Errorf("lists fail: %v, %d read, %d known", err, a.gets, len(x.Known(handler.Pods)))
		}
	})
}

type failing struct{ *apiServer }

func (failing) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("unavailable")
}

// repairs are those counted, by object and kind.
func repairs(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := m.GetCounter().GetValue(); f.GetName() == "forewarm_extender_repairs_total" && n > 0 {
				counts[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = n
			}
		}
	}
	return counts
}

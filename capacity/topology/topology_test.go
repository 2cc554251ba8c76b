package topology

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/kueue"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/internal/snapshot"
)

const gpu = corev1.ResourceName("nvidia.com/gpu")

// Messages as Kueue writes them.
const (
	nothingFits = `couldn't assign flavors to pod set main: topology "racks" doesn't allow to fit any of 2 pod(s). Total nodes: 4; excluded: resource "nvidia.com/gpu": 4`
	someFit     = `couldn't assign flavors to pod set main: topology "racks" allows to fit only 1 out of 2 pod(s)`
	noQuota     = `couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor a100, 2 more needed`
)

// object reads one from YAML.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// waiting is a Workload of two pods of 4 GPUs within a rack, of which a condition says so much.
func waiting(t *testing.T, name, reason, message string, edit ...string) *unstructured.Unstructured {
	t.Helper()
	text := fmt.Sprintf(`
apiVersion: kueue.x-k8s.io/v1beta2
kind: Workload
metadata: {namespace: ml, name: %s, uid: %s, creationTimestamp: "2026-11-30T08:00:00Z"}
spec:
  active: true
  queueName: team
  podSets:
  - name: main
    count: 2
    topologyRequest: {required: example.com/rack}
    template: {metadata: {labels: {app: train}}, spec: {schedulingGates: [{name: kueue.x-k8s.io/topology}], containers: [{name: c, resources: {requests: {nvidia.com/gpu: 4}}}]}}
status:
  conditions: [{type: QuotaReserved, status: "False", reason: %s, message: %q, lastTransitionTime: "2026-11-30T08:00:01Z"}]
`, name, name, reason, message)
	for i := 0; i+1 < len(edit); i += 2 {
		if !strings.Contains(text, edit[i]) {
			t.Fatalf("%q is not in the Workload", edit[i])
		}
		text = strings.Replace(text, edit[i], edit[i+1], 1)
	}
	return object(t, text)
}

func TestWhoWaitsForRoom(t *testing.T) {
	for name, c := range map[string]struct {
		reason, message string
		edit            []string
		want            string // topology, level, required, priority
	}{
		"nothing fits":                {"Pending", nothingFits, nil, "racks example.com/rack true 0"},
		"since 0.19":                  {"TopologyPlacementFailed", nothingFits, nil, "racks example.com/rack true 0"},
		"some fit":                    {"Pending", someFit, nil, "racks example.com/rack true 0"},
		"no quota":                    {"Pending", noQuota, nil, ""},
		"inactive":                    {"Pending", nothingFits, []string{"active: true", "active: false"}, ""},
		"it has its quota":            {"Pending", nothingFits, []string{`status: "False"`, `status: "True"`}, ""},
		"finished":                    {"Pending", nothingFits, []string{"conditions: [", `conditions: [{type: Finished, status: "True", reason: x, message: "", lastTransitionTime: "2026-11-30T08:00:01Z"}, `}, ""},
		"preferred":                   {"Pending", nothingFits, []string{"required:", "preferred:"}, "racks example.com/rack false 0"},
		"anywhere":                    {"Pending", nothingFits, []string{"required: example.com/rack", "unconstrained: true"}, "racks  false 0"},
		"by annotation":               {"Pending", nothingFits, []string{"topologyRequest: {required: example.com/rack}", "", "labels: {app: train}", "annotations: {kueue.x-k8s.io/podset-required-topology: example.com/block}"}, "racks example.com/block true 0"},
		"parts that run together":     {"Pending", nothingFits, []string{"required: example.com/rack", "podSetSliceRequiredTopology: example.com/rack"}, ""},
		"priority of its pods":        {"Pending", nothingFits, []string{"active: true", "active: true\n  priority: -8\n  priorityClassRef: {group: scheduling.k8s.io, kind: PriorityClass, name: batch}"}, "racks example.com/rack true -8"},
		"the same in v1beta1":         {"Pending", nothingFits, []string{"active: true", "active: true\n  priority: -8\n  priorityClassSource: scheduling.k8s.io/priorityclass"}, "racks example.com/rack true -8"},
		"priority among Workloads":    {"Pending", nothingFits, []string{"active: true", "active: true\n  priority: 1000\n  priorityClassRef: {group: kueue.x-k8s.io, kind: WorkloadPriorityClass, name: urgent}"}, "racks example.com/rack true 0"},
		"a class that nobody knows":   {"Pending", nothingFits, []string{"containers:", "priorityClassName: batch, containers:"}, fmt.Sprint("racks example.com/rack true ", math.MinInt32+1)},
		"a version that says it else": {"Pending", nothingFits, []string{"count: 2", "count: two"}, ""},
	} {
		load, ok := read(waiting(t, "train", c.reason, c.message, c.edit...))
		got := ""
		if ok {
			g := load.Groups[0]
			got = fmt.Sprint(load.Topology, " ", g.Level, " ", g.Required, " ", *g.Pod.Spec.Priority)
			if g.Count != 2 || g.Pod.Namespace != "ml" || len(g.Pod.Spec.SchedulingGates) > 0 || load.UID != "train" || load.Kind.Kind != "Workload" {
				t.Errorf("%s: %+v", name, load)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

var version = schema.GroupVersion{Group: kueue.Group, Version: "v1beta2"}

func newMapper() *meta.DefaultRESTMapper {
	return meta.NewDefaultRESTMapper([]schema.GroupVersion{version})
}

// newKueue is a client of a cluster with a topology of racks in blocks, and two flavors, one in another topology.
func newKueue(t *testing.T, mapper *meta.DefaultRESTMapper, objects ...runtime.Object) *dynamicfake.FakeDynamicClient {
	t.Helper()
	lists := map[schema.GroupVersionResource]string{}
	for kind, scope := range map[string]meta.RESTScope{"Workload": meta.RESTScopeNamespace, "LocalQueue": meta.RESTScopeNamespace, "ClusterQueue": meta.RESTScopeRoot, "ResourceFlavor": meta.RESTScopeRoot, "Topology": meta.RESTScopeRoot} {
		mapper.Add(version.WithKind(kind), scope)
		plural, _ := meta.UnsafeGuessKindToResource(version.WithKind(kind))
		lists[plural] = kind + "List"
	}
	objects = append(objects,
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: team, namespace: ml}, spec: {clusterQueue: shared}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: ClusterQueue, metadata: {name: shared}, spec: {resourceGroups: [{coveredResources: [cpu], flavors: [{name: plain}]}, {coveredResources: [nvidia.com/gpu], flavors: [{name: l4}, {name: a100}, {name: z}]}]}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: cpus, namespace: ml}, spec: {clusterQueue: cpus}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: ClusterQueue, metadata: {name: cpus}, spec: {resourceGroups: [{coveredResources: [cpu], flavors: [{name: plain}]}]}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: Topology, metadata: {name: racks}, spec: {levels: [{nodeLabel: example.com/block}, {nodeLabel: example.com/rack}, {nodeLabel: kubernetes.io/hostname}]}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: Topology, metadata: {name: other}, spec: {levels: [{nodeLabel: example.com/block}]}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: a100}, spec: {topologyName: racks, nodeLabels: {gpu: a100}, tolerations: [{key: gpu, operator: Exists}]}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: l4}, spec: {topologyName: other, nodeLabels: {gpu: l4}}}"),
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: plain}, spec: {}}"),
	)
	return dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), lists, objects...)
}

// pools are those of a test: one, whose pods are those that ask for GPUs.
type pools struct {
	pool *v1alpha1.WarmPool
	held []capacity.HeldNode
	gone []string
}

func (p *pools) Of(pod *corev1.Pod) *v1alpha1.WarmPool {
	if quantity.OfPod(pod)[gpu] == 0 {
		return nil
	}
	return p.pool
}

func (p *pools) Held(*v1alpha1.WarmPool) []capacity.HeldNode { return p.held }

func (p *pools) GiveWay(_ context.Context, _ *v1alpha1.WarmPool, to *metav1.PartialObjectMetadata, victims []string) bool {
	p.gone = append(p.gone, to.Name+": "+strings.Join(victims, " "))
	return true
}

// cluster has four nodes of flavor a100, two in rack r of block x, one in rack s of it, and one in rack r of block y;
// and one of no flavor in rack s. On each stands a placeholder of four GPUs, and as much is used.
func cluster(t *testing.T) (snapshot.Snapshot, *pools) {
	t.Helper()
	p := &pools{pool: &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}, Spec: v1alpha1.WarmPoolSpec{Mode: v1alpha1.ModeEnforce}}}
	var nodes []client.Object
	for _, n := range [][4]string{{"n1", "x", "r", "a100"}, {"n2", "x", "r", "a100"}, {"n3", "x", "s", "a100"}, {"n4", "y", "r", "a100"}, {"n5", "x", "s", "none"}} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n[0], Labels: map[string]string{corev1.LabelHostname: n[0], "example.com/block": n[1], "example.com/rack": n[2], "gpu": n[3]}}}
		node.Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}}
		node.Status.Allocatable = corev1.ResourceList{gpu: resource.MustParse("8")}
		nodes = append(nodes, node)
		p.held = append(p.held, capacity.HeldNode{Name: n[0], Room: quantity.Vector{gpu: 0, corev1.ResourcePods: 100}, Held: []capacity.HeldChunk{
			{Pod: "on-" + n[0], Requests: quantity.Vector{gpu: 4, corev1.ResourcePods: 1}, Priority: math.MinInt32, Cost: 1},
		}})
	}
	s, err := snapshot.Take(t.Context(), fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(nodes...).Build())
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

// makeRoom does so for those whose turn it is.
func makeRoom(t *testing.T, w *Watcher, s snapshot.Snapshot, p Pools, now time.Time) error {
	t.Helper()
	return w.MakeRoom(t.Context(), s, p, w.InTurn(p.Of, now), now)
}

// TestRoomIsMadeForAllPodsAtOnce: within a domain whose path, not whose label alone, is the same; on nodes of a flavor of
// the topology; and not again at once.
func TestRoomIsMadeForAllPodsAtOnce(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		edit []string
		mode v1alpha1.Mode
		want []string
	}{
		"within a rack":          {nil, v1alpha1.ModeEnforce, []string{"train: on-n1 on-n2"}},
		"no rack has so much":    {[]string{"count: 2", "count: 3"}, v1alpha1.ModeEnforce, nil},
		"a block has":            {[]string{"count: 2", "count: 3", "example.com/rack", "example.com/block"}, v1alpha1.ModeEnforce, []string{"train: on-n1 on-n2 on-n3"}},
		"a rack is preferred":    {[]string{"required", "preferred"}, v1alpha1.ModeEnforce, []string{"train: on-n1 on-n2"}},
		"else its block":         {[]string{"required", "preferred", "count: 2", "count: 3"}, v1alpha1.ModeEnforce, []string{"train: on-n1 on-n2 on-n3"}},
		"else anywhere":          {[]string{"required", "preferred", "count: 2", "count: 4"}, v1alpha1.ModeEnforce, []string{"train: on-n1 on-n2 on-n3 on-n4"}},
		"not on other nodes":     {[]string{"required", "preferred", "count: 2", "count: 5"}, v1alpha1.ModeEnforce, nil},
		"no level of that name":  {[]string{"example.com/rack", "example.com/row"}, v1alpha1.ModeEnforce, nil},
		"by its own selector":    {[]string{"count: 2", "count: 1", "containers:", "nodeSelector: {kubernetes.io/hostname: n4}, containers:"}, v1alpha1.ModeEnforce, []string{"train: on-n4"}},
		"a pool that observes":   {nil, v1alpha1.ModeObserve, nil},
		"of no pool":             {[]string{"nvidia.com/gpu", "cpu"}, v1alpha1.ModeEnforce, nil},
		"another topology":       {[]string{`topology \"racks\"`, `topology \"other\"`}, v1alpha1.ModeEnforce, nil},
		"no flavor of its queue": {[]string{"queueName: team", "queueName: cpus"}, v1alpha1.ModeEnforce, nil},
		"its queue is gone":      {[]string{"queueName: team", "queueName: gone"}, v1alpha1.ModeEnforce, nil},
		"it has no queue":        {[]string{"queueName: team", "paused: false"}, v1alpha1.ModeEnforce, nil},
		"there is no such":       {[]string{`topology \"racks\"`, `topology \"gone\"`}, v1alpha1.ModeEnforce, nil},
	} {
		mapper := newMapper()
		w := NewWatcher(Options{Client: newKueue(t, mapper), Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
		w.seen(waiting(t, "train", "Pending", nothingFits, c.edit...))
		s, p := cluster(t)
		p.pool.Spec.Mode = c.mode
		if !w.Due(now) {
			t.Fatalf("%s: nothing to do", name)
		}
		if err := makeRoom(t, w, s, p, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, p.gone); diff != "" {
			t.Errorf("%s: gave way (-want +got):\n%s", name, diff)
		}
		if w.Due(now.Add(9*time.Second)) || !w.Due(now.Add(time.Minute)) {
			t.Errorf("%s: tried again too early, or never", name)
		}
		if holds := w.Holds("a100", now.Add(9*time.Second)); holds != (len(c.want) > 0) || w.Holds("other", now) {
			t.Errorf("%s: the pool ungates nothing meanwhile: %v", name, holds)
		}
	}
}

// TestAnotherFlavorHasRoom: where all pods fit on nodes of one flavor as it is, no placeholder of another goes.
func TestAnotherFlavorHasRoom(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	mapper := newMapper()
	w := NewWatcher(Options{Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard(), Client: newKueue(t, mapper,
		object(t, "{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: z}, spec: {topologyName: racks, nodeLabels: {gpu: none}, tolerations: [{key: gpu, operator: Exists}]}}"))})
	w.seen(waiting(t, "train", "Pending", nothingFits))
	s, p := cluster(t)
	p.held[4].Room = quantity.Vector{gpu: 8, corev1.ResourcePods: 100}
	if err := makeRoom(t, w, s, p, now); err != nil || len(p.gone) != 0 {
		t.Errorf("gave way: %v, %v; want none", p.gone, err)
	}
}

// TestRoomIsMadeForEach: for two that wait at once, of which the first keeps what was freed for it from a third; and the
// pool is held still until their pods had time to come.
func TestRoomIsMadeForEach(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	mapper := newMapper()
	w := NewWatcher(Options{Client: newKueue(t, mapper), Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
	w.seen(waiting(t, "two", "Pending", nothingFits))
	w.seen(waiting(t, "one", "Pending", nothingFits, "count: 2", "count: 1", "active: true", "active: true\n  priority: 7\n  priorityClassSource: scheduling.k8s.io/priorityclass"))
	s, p := cluster(t)
	make := func(at time.Time) {
		t.Helper()
		if err := makeRoom(t, w, s, p, at); err != nil {
			t.Fatal(err)
		}
	}
	make(now)
	if diff := cmp.Diff([]string{"one: on-n1"}, p.gone); diff != "" { // no rack has room for two beside it
		t.Errorf("gave way (-want +got):\n%s", diff)
	}
	p.held[0].Room, p.held[0].Held = quantity.Vector{gpu: 4, corev1.ResourcePods: 100}, nil
	w.seen(waiting(t, "three", "Pending", nothingFits, "count: 2", "count: 1"))
	make(now.Add(time.Second))
	if diff := cmp.Diff([]string{"one: on-n1", "three: on-n2"}, p.gone); diff != "" {
		t.Errorf("gave way (-want +got):\n%s", diff)
	}
	w.seen(waiting(t, "one", "QuotaReserved", "", `status: "False"`, `status: "True"`))
	w.gone(waiting(t, "three", "Pending", nothingFits))
	w.gone(waiting(t, "two", "Pending", nothingFits))
	if w.Due(now.Add(2*time.Second)) || !w.Holds("a100", now.Add(9*time.Second)) || w.Holds("a100", now.Add(13*time.Second)) {
		t.Error("want the pool held still for ten seconds, and nothing to do")
	}
	if w.Due(now.Add(time.Hour)); len(w.tried) != 0 {
		t.Errorf("%d attempts are remembered for ever", len(w.tried))
	}
}

// TestABacklogIsLookedThroughInParts: of many that wait some are looked at at a time, and none where no placeholder
// stands.
func TestABacklogIsLookedThroughInParts(t *testing.T) {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	mapper := newMapper()
	c := newKueue(t, mapper)
	w := NewWatcher(Options{Client: c, Mapper: mapper, Clock: clock.RealClock{}, Log: logr.Discard()})
	for i := range 50 {
		w.seen(waiting(t, fmt.Sprintf("train-%02d", i), "Pending", nothingFits, "count: 2", "count: 3"))
	}
	s, p := cluster(t)
	for _, want := range []int{10, 20, 30, 40, 50, 50} {
		if err := makeRoom(t, w, s, p, now); err != nil {
			t.Fatal(err)
		}
		if len(w.tried) != want || w.Due(now) != (want < 50) {
			t.Errorf("%d tried, more are due: %v; want %d", len(w.tried), w.Due(now), want)
		}
	}
	for i := range p.held {
		p.held[i].Held = nil
	}
	c.ClearActions()
	if err := makeRoom(t, w, s, p, now.Add(time.Minute)); err != nil || len(c.Actions()) != 0 {
		t.Errorf("%v, and %d requests where nothing can be given", err, len(c.Actions()))
	}
}

// TestWatcher: it waits until there is a Kueue, wakes whoever makes room, and keeps little of those that do not wait.
func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mapper := newMapper()
		empty := meta.NewDefaultRESTMapper(nil)
		c := newKueue(t, mapper)
		late := &lateMapper{DefaultRESTMapper: empty}
		w := NewWatcher(Options{Client: c, Mapper: late, Clock: clock.RealClock{}, Log: logr.Discard()})
		woken := 0
		w.Wake(func() { woken++ })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Start(ctx) }()
		time.Sleep(time.Minute)
		late.there = mapper
		time.Sleep(lookAgain)
		workloads := c.Resource(schema.GroupVersionResource{Group: kueue.Group, Version: "v1beta2", Resource: "workloads"}).Namespace("ml")
		item := waiting(t, "train", "Pending", noQuota)
		if _, err := workloads.Create(ctx, item, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if woken != 0 || len(w.Waiting()) != 0 {
			t.Errorf("woken %d times for one that waits for quota", woken)
		}
		for range 2 {
			if _, err := workloads.Update(ctx, waiting(t, "train", "Pending", nothingFits), metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if woken != 1 || len(w.Waiting()) != 1 {
			t.Errorf("woken %d times, %d wait; want once, and one", woken, len(w.Waiting()))
		}
		if err := workloads.Delete(ctx, "train", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(w.Waiting()) != 0 {
			t.Error("one that is gone still waits")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	thin, err := lean(waiting(t, "train", "Pending", noQuota))
	if kept := thin.(*unstructured.Unstructured); err != nil || len(kept.Object) != 3 || kept.GetUID() != "train" {
		t.Errorf("kept %+v, %v; want the name alone", thin, err)
	}
}

// lateMapper knows Kueue's kinds from some time on.
type lateMapper struct {
	*meta.DefaultRESTMapper
	there meta.RESTMapper
}

func (m *lateMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if m.there != nil {
		return m.there.RESTMapping(kind, versions...)
	}
	return m.DefaultRESTMapper.RESTMapping(kind, versions...)
}

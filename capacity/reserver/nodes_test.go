package reserver

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/capacity/room"
	tells "forewarm.dev/capacity/status"
)

func TestNodesLeft(t *testing.T) {
	nodes := func(n, leaving int) []*corev1.Node {
		var out []*corev1.Node
		for i := range n {
			node := &corev1.Node{}
			if i < leaving {
				node.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
			}
			out = append(out, node)
		}
		return out
	}
	for name, c := range map[string]struct {
		own, cluster string
		want         int64 // -1 for any number
	}{
		"none":                 {"", "", -1},
		"of the pool":          {"5", "", 3},
		"of the cluster":       {"", "7", 1},
		"the smaller":          {"3", "7", 1},
		"passed already":       {"1", "", 0},
		"zero":                 {"0", "", 0},
		"not read, none known": {"+5", "", -1},
	} {
		r := &Reserver{memory: map[string]*memory{}}
		pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", Annotations: map[string]string{v1alpha1.AnnotationMaxNodes: c.own}}}
		w := world{maxNodes: c.cluster}
		w.Nodes = nodes(7, 1)
		got := int64(-1)
		if left := capacity.NodesLeft(r.ceilings(w, pool, nodes(3, 1), time.Unix(0, 0))); left != nil {
			got = *left
		}
		if got != c.want {
			t.Errorf("%s: %d left, want %d", name, got, c.want)
		}
		if c.own == "5" {
			pool.Annotations[v1alpha1.AnnotationMaxNodes] = "many"
			if left := capacity.NodesLeft(r.ceilings(w, pool, nodes(3, 1), time.Unix(0, 0))); left == nil || *left != c.want {
				t.Errorf("a value that cannot be read: %v left, want the last good ceiling in force", left)
			}
		}
	}
}

// TestNodesLeftOfTheCluster: what other pools wait for is not there twice.
func TestNodesLeftOfTheCluster(t *testing.T) {
	r := &Reserver{memory: map[string]*memory{}}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	w := world{maxNodes: "9", asked: map[string]int64{"a100": 2, "a10": 3, "l4": 1}}
	w.Nodes = []*corev1.Node{{}, {}}
	if left := capacity.NodesLeft(r.ceilings(w, pool, nil, time.Unix(0, 0))); left == nil || *left != 3 {
		t.Errorf("%v left, want 3: 9 less 2 that are there and 4 that others wait for", left)
	}
}

// TestNodesThatPodsWaitForAreAsked: what autoscalers buy for real pods that wait is not left for placeholders, of
// the pool nor of any other.
func TestNodesThatPodsWaitForAreAsked(t *testing.T) {
	named := func(name string, perNode int32) *v1alpha1.WarmPool {
		pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
		pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "node"}, {Name: "single"}}
		pool.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "node", PerNode: 1}, {Name: "single", PerNode: perNode}}
		return pool
	}
	own, other := named("a100", 8), named("a10", 0) // how many fit on a node of which is not known
	own.Spec.Sizing.MaxNodes = new(int32(10))
	for name, c := range map[string]struct {
		waiting      map[key]float64
		pool, shared int64
	}{
		"nobody waits":          {nil, 10 - 3, 30 - 3},
		"two of whole nodes":    {map[key]float64{{"a100", "node"}: 2}, 10 - 3 - 2, 30 - 3 - 2},
		"nine on eight":         {map[key]float64{{"a100", "single"}: 9}, 10 - 3 - 2, 30 - 3 - 2},
		"both on two":           {map[key]float64{{"a100", "node"}: 1, {"a100", "single"}: 8}, 10 - 3 - 2, 30 - 3 - 2},
		"five of another pool":  {map[key]float64{{"a10", "single"}: 5}, 10 - 3, 30 - 3 - 5},
		"more than are allowed": {map[key]float64{{"a100", "node"}: 40}, 0, 0},
	} {
		r := &Reserver{memory: map[string]*memory{}}
		w := world{maxNodes: "30", pools: []*v1alpha1.WarmPool{own, other}, waiting: c.waiting}
		w.Nodes = []*corev1.Node{{}, {}, {}}
		ceilings := r.ceilings(w, own, w.Nodes, time.Unix(0, 0))
		for what, of := range map[string]struct {
			ceiling capacity.Ceiling
			want    int64
		}{"sizing.maxNodes": {ceilings[3], c.pool}, "of the cluster": {ceilings[2], c.shared}} {
			if left := capacity.NodesLeft([]capacity.Ceiling{of.ceiling}); left == nil || *left != of.want {
				t.Errorf("%s: %s leaves %v, want %d", name, what, left, of.want)
			}
		}
	}
}

func TestInTurn(t *testing.T) {
	named := func(name string, priority int32) *v1alpha1.WarmPool {
		return &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.WarmPoolSpec{Priority: priority}}
	}
	var got []string
	for _, pool := range inTurn([]*v1alpha1.WarmPool{named("c", 0), named("a", 0), named("d", -1), named("b", 5)}) {
		got = append(got, pool.Name)
	}
	if want := []string{"b", "a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestPending counts placeholders that are ungated and have no node.
func TestPending(t *testing.T) {
	gated := &corev1.Pod{Spec: corev1.PodSpec{SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.GatePrewarm}}}}
	placed := &corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}}
	if got := pending(map[string][]*corev1.Pod{"a100": {gated, placed, {}, {}}, "a10": {gated}}); got["a100"] != 2 || got["a10"] != 0 {
		t.Errorf("%v, want 2 of a100", got)
	}
}

// TestCeilingThatCannotBeRead: the last good one stays in force, also for a successor, who finds
// it in the status, and one event for each such value says so.
func TestCeilingThatCannotBeRead(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", Annotations: map[string]string{v1alpha1.AnnotationMaxNodes: "5"}}}
	var w world
	look := func(r *Reserver, cluster string) []capacity.Ceiling {
		w.maxNodes = cluster
		seen := r.ceilings(w, pool, []*corev1.Node{{}, {}}, time.Unix(0, 0))
		pool.Status.MaxNodes = tells.MaxNodes(seen)
		r.tellUnread(pool, seen, time.Unix(0, 0))
		return seen
	}
	first := &Reserver{memory: map[string]*memory{}, options: Options{Events: recorder}}
	look(first, "9")
	pool.Annotations[v1alpha1.AnnotationMaxNodes] = "five"
	second := &Reserver{memory: map[string]*memory{}, options: Options{Events: recorder}}
	for range 2 {
		if left := capacity.NodesLeft(look(second, "nine")); left == nil || *left != 3 {
			t.Fatalf("%v left, want 3 of the last good ceiling of 5", left)
		}
	}
	if len(recorder.Events) != 2 {
		t.Fatalf("%d events, want one for each value that cannot be read", len(recorder.Events))
	}
	if said := <-recorder.Events; !strings.Contains(said, `annotation forewarm.dev/max-nodes on WarmPool a100: "five"`) || !strings.Contains(said, "the last good value, 5, stays in force") {
		t.Errorf("it says %q", said)
	}
	delete(pool.Annotations, v1alpha1.AnnotationMaxNodes)
	if left := capacity.NodesLeft(look(second, "")); left != nil || pool.Status.MaxNodes != nil {
		t.Errorf("%d left, status %+v; want none once the annotations are gone", *left, pool.Status.MaxNodes)
	}
}

// TestCeilingsThatHoldNobody: one in mode warn or audit only tells, and an override lets a pool past all, as in the
// webhook; nothing of the pool lets it past what its own spec says.
func TestCeilingsThatHoldNobody(t *testing.T) {
	const until = " until 1970-01-02T00:00:00Z: load test"
	own, cluster := v1alpha1.AnnotationCeilingMode, "audit"
	for name, c := range map[string]struct {
		pool map[string]string
		mode string // of kube-system
		want int64
	}{
		"enforced":                   {nil, "", 1},
		"own only warns":             {map[string]string{own: "warn"}, "", 2},
		"the cluster's only tells":   {nil, cluster, 1},
		"both only tell":             {map[string]string{own: "audit"}, cluster, 5},
		"a mode that cannot be read": {map[string]string{own: "off"}, "none", 1},
		"an override":                {map[string]string{v1alpha1.AnnotationCeilingOverride: "7" + until}, "", 4},
		"beyond the spec's":          {map[string]string{v1alpha1.AnnotationCeilingOverride: "70" + until}, "", 5},
		"less than is allowed":       {map[string]string{v1alpha1.AnnotationCeilingOverride: "1" + until}, "", 1},
	} {
		r, w := &Reserver{memory: map[string]*memory{}}, world{maxNodes: "7", ceilingMode: c.mode}
		w.Nodes = []*corev1.Node{{}, {}, {}, {}, {}}
		pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", Annotations: map[string]string{v1alpha1.AnnotationMaxNodes: "4"}}}
		maps.Copy(pool.Annotations, c.pool)
		pool.Spec.Sizing.MaxNodes = new(int32(8))
		if left := capacity.NodesLeft(r.ceilings(w, pool, w.Nodes[:3], time.Unix(0, 0))); left == nil || *left != c.want {
			t.Errorf("%s: %v left, want %d", name, *left, c.want)
		}
	}
}

// TestCeilingOfTheNodePool binds a pool that selects it.
func TestCeilingOfTheNodePool(t *testing.T) {
	of := func(name, maxNodes string) karpenter.NodePool {
		return karpenter.NodePool{Labels: map[string]string{karpenter.NodePoolLabel: name, "gpu": "yes"}, MaxNodes: maxNodes}
	}
	w := world{templates: []karpenter.NodePool{of("a", "4"), of("b", "2")}}
	for _, name := range []string{"a", "a", "a", "b"} {
		w.Nodes = append(w.Nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{karpenter.NodePoolLabel: name}}})
	}
	for name, c := range map[string]struct {
		selector map[string]string
		want     int64 // below zero for any number
	}{
		"one":  {map[string]string{karpenter.NodePoolLabel: "a"}, 1},
		"both": {map[string]string{"gpu": "yes"}, 2},
		"none": {map[string]string{karpenter.NodePoolLabel: "c"}, -1},
	} {
		r := &Reserver{memory: map[string]*memory{}}
		pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "warm"}}
		pool.Spec.Nodes.Selector.MatchLabels = c.selector
		got := int64(-1)
		if left := capacity.NodesLeft(r.ceilings(w, pool, nil, time.Unix(0, 0))); left != nil {
			got = *left
		}
		if got != c.want {
			t.Errorf("%s: %d left, want %d", name, got, c.want)
		}
	}
}

// TestRoomThatAPlaceholderHasJustTaken is not free, though the cache does not have it there yet: else another
// would be ungated for which a node too many is bought.
func TestRoomThatAPlaceholderHasJustTaken(t *testing.T) {
	objects := takeoverNode("a", false)
	objects[1].SetUID("held")
	behind := objects[1].DeepCopyObject().(*corev1.Pod)
	behind.Spec.NodeName = ""
	r := takeoverReserver(t, objects[0], behind)
	r.live = takeoverReserver(t, objects...).live
	w, err := r.observe(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := room.Free(w.Snapshot, w.Nodes, nil, "hold")
	if len(all) != 1 || all[0][gpu] != 0 {
		t.Errorf("room %v, want none", all)
	}
}

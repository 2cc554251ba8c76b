package reserver

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/zones"
)

func spotTaint(node *corev1.Node) *corev1.Node {
	node = node.DeepCopy()
	node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: "aws-node-termination-handler/spot-itn", Effect: corev1.TaintEffectNoSchedule})
	return node
}

func TestANodeThatGoesHurriesItsPool(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	for name, c := range map[string]struct {
		change func(*Reserver)
		want   time.Duration
	}{
		"a signal":                 {func(r *Reserver) { r.nodeChanged(node, spotTaint(node)) }, hurryForNodes},
		"a signal that was seen":   {func(r *Reserver) { r.nodeChanged(spotTaint(node), spotTaint(node)) }, 0},
		"a heartbeat":              {func(r *Reserver) { r.nodeChanged(node, node) }, 0},
		"a signal after a cordon":  {func(r *Reserver) { r.nodeChanged(cordoned(node), spotTaint(cordoned(node))) }, hurryForNodes},
		"a cordon after a signal":  {func(r *Reserver) { r.nodeChanged(spotTaint(node), spotTaint(cordoned(node))) }, 0},
		"gone without saying so":   {func(r *Reserver) { r.nodeGoes(node) }, hurryForNodes},
		"it will not be taken now": {func(r *Reserver) { r.nodeChanged(spotTaint(node), node) }, 0},
	} {
		r := takeoverReserver(t)
		everywhere := classFor("a100", 0, labels.Everything())
		everywhere.Nodes = labels.Everything()
		r.tracker.rebuild([]class{everywhere}, nil, nil)
		c.change(r)
		if got := r.hurry.of("a100"); got != c.want || len(r.urgent) != int(c.want/hurryForNodes) {
			t.Errorf("%s: due %s after the last plan, woken %d times; want %s", name, got, len(r.urgent), c.want)
		}
	}
}

func cordoned(node *corev1.Node) *corev1.Node {
	node = node.DeepCopy()
	node.Spec.Unschedulable = true
	return node
}

// TestWhatStandsOnANodeThatGoesIsLost: a placeholder there holds nothing, and a real pod needs room.
func TestWhatStandsOnANodeThatGoesIsLost(t *testing.T) {
	stays, goes := takeoverNode("a", false), takeoverNode("b", false)
	work := gpuPod("work", "8")
	work.Spec.NodeName, work.UID = "b", "work"
	ending := gpuPod("ending", "8")
	ending.Spec.NodeName, ending.UID, ending.DeletionTimestamp = "b", "ending", &metav1.Time{Time: time.Unix(1, 0)}
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}, Spec: v1alpha1.WarmPoolSpec{Chunks: []v1alpha1.Chunk{{Name: "node"}}}}
	pool.Spec.Sizing.Hold.Duration = time.Hour
	var w world
	w.Nodes = []*corev1.Node{stays[0].(*corev1.Node), spotTaint(goes[0].(*corev1.Node))}
	w.Pods = []*corev1.Pod{work, ending}
	w.placeholders = map[string][]*corev1.Pod{"a100": {stays[1].(*corev1.Pod), goes[1].(*corev1.Pod)}}
	for _, pod := range w.placeholders["a100"] {
		pool.Spec.Chunks[0].Requests = pod.Spec.Containers[0].Resources.Requests
	}
	r := takeoverReserver(t)
	r.tracker.rebuild([]class{classFor("a100", 0, labels.Everything())}, map[string]labels.Set{"team": nil}, w.Pods)
	w.count(r.tracker)
	k := r.tracker.shares["work"].key
	pool.Spec.Chunks[0].Name = k.chunk
	for _, pod := range w.placeholders["a100"] {
		pod.Labels[v1alpha1.LabelChunk] = k.chunk
	}
	row := r.stateOf(w, pool, zones.Zones{}, time.Unix(0, 0)).Chunks[0]
	if row.Interrupted != r.tracker.shares["work"].amount || row.Kept != 1 {
		t.Errorf("%v chunks of demand interrupted, %d kept; want those of the pod that does not end, and one", row.Interrupted, row.Kept)
	}
	for _, p := range row.Placeholders {
		if want := map[string]capacity.Stage{"a": capacity.Reserved, "b": capacity.Lost}[p.Node]; p.Stage != want {
			t.Errorf("placeholder on %s: stage %d, want %d", p.Node, p.Stage, want)
		}
	}
}

// TestWhatRanOnABrokenNodeIsLost: its kubelet says that it is not ready; one that waits for a node that starts is
// coming, and nothing is bought for real pods there.
func TestWhatRanOnABrokenNodeIsLost(t *testing.T) {
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	var w world
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}, Spec: v1alpha1.WarmPoolSpec{Chunks: []v1alpha1.Chunk{{Name: "node"}}}}
	want := map[string]capacity.Stage{"blinks": capacity.Reserved, "broken": capacity.Lost, "ready": capacity.Reserved, "starts": capacity.Pending}
	for i, name := range []string{"blinks", "broken", "ready", "starts"} { // by name, as in a snapshot
		objects := takeoverNode(name, false)
		node, pod := objects[0].(*corev1.Node), objects[1].(*corev1.Pod)
		since := map[string]time.Duration{"blinks": 10 * time.Second}[name]
		if since == 0 {
			since = time.Minute
		}
		node.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-since))
		if name != "ready" {
			node.Status.Conditions[0].Status = corev1.ConditionFalse
		}
		if name == "starts" {
			pod.Status.Phase = corev1.PodPending
		}
		work := gpuPod(fmt.Sprint("work-", i), "8")
		work.UID, work.Spec.NodeName = types.UID(work.Name), name
		w.Nodes, w.Pods = append(w.Nodes, node), append(w.Pods, work)
		pool.Spec.Chunks[0].Requests = pod.Spec.Containers[0].Resources.Requests
		w.placeholders = map[string][]*corev1.Pod{"a100": append(w.placeholders["a100"], pod)}
	}
	r := takeoverReserver(t)
	r.tracker.rebuild([]class{classFor("a100", 0, labels.Everything())}, map[string]labels.Set{"team": nil}, w.Pods)
	w.count(r.tracker)
	row := r.stateOf(w, pool, zones.Zones{}, now).Chunks[0]
	got := map[string]capacity.Stage{}
	for _, p := range row.Placeholders {
		got[p.Node] = p.Stage
	}
	if diff := cmp.Diff(want, got); diff != "" || row.Interrupted != 0 {
		t.Errorf("%v chunks of demand are interrupted, want none; stages (-want +got):\n%s", row.Interrupted, diff)
	}
}

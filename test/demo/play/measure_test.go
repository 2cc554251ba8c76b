package play

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// uncompressed is a time in the window, in seconds of wall time that are compressed 20 times.
func uncompressed(seconds int) *time.Duration { return new(time.Duration(20*seconds) * time.Second) }

func TestMeasureInUncompressedTime(t *testing.T) {
	from := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return from.Add(time.Duration(seconds * float64(time.Second))) }
	to := at(60)
	r := &recorder{
		nodes: map[string]*nodeSeen{
			"old":  {span: span{from: at(-100)}, gpus: 8},
			"gone": {span: span{from: at(-100), to: at(30)}, gpus: 8},
			"new":  {span: span{from: at(20)}, gpus: 8, ran: at(22)},
		},
		asked: map[string]time.Time{"old": at(-110), "gone": at(-110), "new": at(11)}, // one second after the gang
		pods: map[types.UID]*podSeen{
			"before": {span: span{from: at(-50), to: at(30)}, job: "before", gpus: 8, node: "gone"},
			"quick":  {span: span{from: at(1)}, job: "quick", gpus: 4, node: "old"},
			"taker":  {span: span{from: at(3)}, job: "taker", gpus: 1, node: "old", refused: true},
			"gang-0": {span: span{from: at(12)}, job: "gang", gpus: 4, node: "old"},
			"gang-1": {span: span{from: at(22), to: at(40)}, job: "gang", gpus: 8, node: "new", refused: true},
			"stuck":  {job: "stuck", gpus: 8},
		},
		held:  map[types.UID]*heldSeen{"b": {span: span{from: at(-1), to: at(2.5)}, node: "old"}, "c": {span: span{from: at(-1)}, node: "new"}},
		taken: map[types.UID]time.Time{"a": at(-5), "b": at(5)},
	}
	jobs := map[string]submitted{"quick": {at(0.5), 1}, "taker": {at(2), 1}, "gang": {at(10), 2}, "stuck": {at(50), 1}}
	got := r.measure(jobs, from, to, 20, 200*time.Second) // a boot takes 10 s of wall time
	hour := 20.0 / 3600
	want := Measured{
		Jobs: 4, NotStarted: 1,
		Waits:       []time.Duration{10 * time.Second, 20 * time.Second, 200 * time.Second, 240 * time.Second},
		WaitedShare: 1.0 / 4,
		ByJob: []Met{
			{At: 200 * time.Second, Wait: 240 * time.Second, Room: Awaited, Nodes: []string{"new", "old"}},
			{At: 10 * time.Second, Wait: 10 * time.Second, Room: Free, Nodes: []string{"old"}},
			{At: 1000 * time.Second, Wait: 200 * time.Second, Room: Awaited},
			{At: 40 * time.Second, Wait: 20 * time.Second, Room: Taken, Nodes: []string{"old"}},
		},
		Nodes: []Node{
			{Name: "gone", Asked: uncompressed(-110), Came: uncompressed(-100), Gone: uncompressed(30)},
			{Name: "old", Asked: uncompressed(-110), Came: uncompressed(-100)},
			{Name: "new", Asked: uncompressed(11), Came: uncompressed(20), Ran: uncompressed(22)},
		},
		GPUHours:     8 * (60 + 30 + 40) * hour,
		IdleGPUHours: (8*(60+30+40) - 8*30 - 4*59 - 57 - 4*48 - 8*18) * hour,
		Takeovers:    1,
		Overhead:     40 * time.Second, OverheadNodes: 1,
	}
	if mean := got.MeanWait(); mean != 117500*time.Millisecond {
		t.Errorf("mean wait %v", mean)
	}
	round := cmp.Transformer("round", func(v float64) int64 { return int64(v*1e6 + 0.5) })
	if diff := cmp.Diff(want, got, round); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
}

// TestWhatIsNotMeasuredIsNotZero: the jobs for which Karpenter asked for a node have run elsewhere by the time it is
// there, and one that came later runs on it.
func TestWhatIsNotMeasuredIsNotZero(t *testing.T) {
	from := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(seconds float64) time.Time { return from.Add(time.Duration(seconds * float64(time.Second))) }
	r := &recorder{
		nodes: map[string]*nodeSeen{"old": {span: span{from: at(-100)}, gpus: 8}, "new": {span: span{from: at(21)}, gpus: 8}},
		asked: map[string]time.Time{"new": at(1)},
		pods: map[types.UID]*podSeen{
			"cause": {span: span{from: at(3)}, job: "cause", gpus: 4, node: "old"},
			"later": {span: span{from: at(22)}, job: "later", gpus: 4, node: "new"},
		},
	}
	m := r.measure(map[string]submitted{"cause": {at(0.5), 1}, "later": {at(19), 1}}, from, at(60), 20, 400*time.Second)
	if says := m.OverheadIs(400 * time.Second); m.OverheadNodes != 0 || !strings.HasPrefix(says, "not known") {
		t.Errorf("of %d nodes, %q; want that it is not known", m.OverheadNodes, says)
	}
	m.Overhead, m.OverheadNodes = 10*time.Second, 3
	if says := m.OverheadIs(400 * time.Second); says != "10.0 s per node, 2.5 % of the boot time (median of 3)" {
		t.Errorf("says %q", says)
	}
}

// TestAClaimIsToldOfBeforeItsNode: the two are watched apart.
func TestAClaimIsToldOfBeforeItsNode(t *testing.T) {
	r := &recorder{claims: map[string]time.Time{}, asked: map[string]time.Time{}, nodes: map[string]*nodeSeen{}}
	claim := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "c"}}}
	r.claim(claim)
	claim.Object["status"] = map[string]any{"nodeName": "new"}
	r.claim(claim)
	r.node(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "new"}})
	if asked, first := r.asked["new"], r.claims["c"]; asked.IsZero() || !asked.Equal(first) {
		t.Errorf("asked for at %v, want when the claim was first seen, %v", asked, first)
	}
}

func TestQuantileIsAWaitThatHappened(t *testing.T) {
	var waits []time.Duration
	for i := 1; i <= 100; i++ {
		waits = append(waits, time.Duration(i))
	}
	for share, want := range map[float64]time.Duration{0.5: 50, 0.95: 95, 0.99: 99, 1: 100, 0: 1} {
		if got := Quantile(waits, share); got != want {
			t.Errorf("Quantile(%v) = %d, want %d", share, got, want)
		}
	}
	if Quantile(nil, 0.5) != 0 {
		t.Error("no waits have no quantile")
	}
}

// TestWhoRunsOnALaterNodeHasWaited, whatever the scheduler has said of him.
func TestWhoRunsOnALaterNodeHasWaited(t *testing.T) {
	m := Measured{
		ByJob: []Met{
			{At: 19 * time.Second, Room: Free, Nodes: []string{"later"}},
			{At: 19 * time.Second, Room: Free, Nodes: []string{"stood"}},
			{At: 19 * time.Second, Room: Taken, Nodes: []string{"stood"}},
			{At: 21 * time.Second, Room: Free, Nodes: []string{"later"}},
		},
		Nodes: []Node{{Name: "stood", Came: uncompressed(-5)}, {Name: "later", Came: uncompressed(1)}},
	}
	m.Await()
	var rooms []Room
	for _, job := range m.ByJob {
		rooms = append(rooms, job.Room)
	}
	if diff := cmp.Diff([]Room{Awaited, Free, Taken, Free}, rooms); diff != "" {
		t.Errorf("rooms (-want +got):\n%s", diff)
	}
}

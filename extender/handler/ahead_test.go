package handler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/extender"
)

func job(i int) *corev1.Pod { return taker(fmt.Sprint("job-", i)) }

// bursting is a node full of eight placeholders, and six pods that came for them.
func bursting() *Index {
	x := cluster()
	x.ServeAhead()
	for i := range 8 {
		x.SetPod(prioritized(placeholder(fmt.Sprint("hold-", i+1), "warm-1"), -10))
	}
	for i := range 6 {
		x.SetPod(job(i))
	}
	return x
}

// askAbout has the scheduler say that there is no room for a pod but in place of a placeholder.
func askAbout(x *Index, p *corev1.Pod) map[string]extender.Victims {
	return x.SelectVictims(p, Candidates{"warm-1": {Pods: []types.UID{"hold-8"}}})
}

// ahead is whom placeholders are given to ahead, in order, and which.
func givenAhead(x *Index) (pods, placeholders []types.UID) {
	for given, ok := x.Ahead(); ok; given, ok = x.Ahead() {
		for _, p := range given {
			pods, placeholders = append(pods, x.claims[p.UID].by), append(placeholders, p.UID)
		}
	}
	return pods, placeholders
}

// TestABurstIsServedAhead: once there is no room for one pod, each that is like it and has not been
// tried is given one placeholder, in the order in which they came; and nobody else.
func TestABurstIsServedAhead(t *testing.T) {
	others := []types.UID{"job-1", "job-2", "job-3", "job-4", "job-5"}
	but := func(i int) []types.UID { return slices.Delete(slices.Clone(others), i-1, i) }
	edit := func(i int, edit func(*corev1.Pod)) func(*Index) {
		return func(x *Index) { p := job(i); edit(p); x.SetPod(p); askAbout(x, job(0)) }
	}
	ask := func(x *Index) { askAbout(x, job(0)) }
	for name, test := range map[string]struct {
		then func(x *Index)
		want []types.UID
	}{
		"a burst":                 {ask, others},
		"nobody was asked about":  {func(*Index) {}, nil},
		"nobody deletes":          {func(x *Index) { x.ahead.on = false; ask(x) }, nil},
		"the pool lends":          {func(x *Index) { x.SetPool(warmPool(0)); ask(x) }, nil},
		"the pool lends now":      {func(x *Index) { ask(x); x.SetPool(warmPool(0)) }, nil},
		"the scheduler has room":  {func(x *Index) { ask(x); later(x, burstFor+time.Second) }, nil},
		"another scheduler leads": {func(x *Index) { ask(x); x.Reconcile() }, nil},
		"the node is leaving": {func(x *Index) {
			ask(x)
			n := node("warm-1", "a100")
			n.Spec.Unschedulable = true
			x.SetNode(n)
		}, nil},
		"one came alone": {func(x *Index) {
			for _, uid := range others {
				x.DropPod(taker(string(uid)))
			}
			ask(x)
			x.SetPod(pod("ml", "job-0", "plain", "1"))
			x.SetPod(taker("late"))
		}, nil},
		"one comes later":           {func(x *Index) { ask(x); later(x, time.Second); x.SetPod(taker("late")) }, append(slices.Clone(others), "late")},
		"one comes when it is over": {func(x *Index) { ask(x); givenAhead(x); later(x, burstFor+time.Second); x.SetPod(taker("late")) }, nil},
		"one has been tried":        {func(x *Index) { x.SetPod(prioritized(unschedulablePod("job-2"), 1)); ask(x) }, but(2)},
		"one is tried now":          {func(x *Index) { ask(x); x.SetPod(prioritized(unschedulablePod("job-2"), 1)) }, but(2)},
		"one is nominated":          {func(x *Index) { x.SetPod(prioritized(nominatedPod("job-2", "plain"), 1)); ask(x) }, but(2)},
		"one has been sent":         {func(x *Index) { x.Filter(job(2), []string{"plain"}); ask(x) }, but(2)},
		"one is being deleted":      {edit(2, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }), but(2)},
		"one is gone":               {func(x *Index) { ask(x); x.DropPod(job(2)) }, but(2)},
		"one is bound":              {func(x *Index) { ask(x); x.SetPod(pod("ml", "job-2", "plain", "1")) }, but(2)},
		"one has a gate":            {edit(2, func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "wait"}} }), but(2)},
		"one is of a gang":          {edit(2, func(p *corev1.Pod) { p.Spec.SchedulingGroup = &corev1.PodSchedulingGroup{} }), but(2)},
		"one goes elsewhere":        {edit(2, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"pool": "other"} }), but(2)},
		"one tolerates less":        {edit(2, func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Key: "x"}} }), but(2)},
		"one has another priority":  {edit(2, func(p *corev1.Pod) { p.Spec.Priority = new(int32(2)) }), but(2)},
		"one has another scheduler": {edit(2, func(p *corev1.Pod) { p.Spec.SchedulerName = "other" }), but(2)},
		"one asks for more":         {edit(2, func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = gpus("2") }), but(2)},
		"one has a host port":       {edit(2, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }), but(2)},
		"one has a disk": {edit(2, func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}}}
		}), but(2)},
		"one has a secret": {edit(2, func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{}}}}
		}), others},
		"one is of another class": {edit(2, func(p *corev1.Pod) { p.Namespace = "web" }), but(2)},
		"too many at once":        {func(x *Index) { x.ahead.limit = rate.NewLimiter(0, 3); ask(x) }, others[:3]},
		"too few placeholders": {func(x *Index) {
			for i := range 5 {
				x.DropPod(placeholder(fmt.Sprint("hold-", i+1), "warm-1"))
				x.SetPod(pod("web", fmt.Sprint("work-", i), "warm-1", "1"))
			}
			ask(x)
		}, others[:2]},
		"somebody has gone": {func(x *Index) { // its room is for one of them
			ask(x)
			x.DropPod(placeholder("hold-6", "warm-1"))
		}, others[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			x := bursting()
			test.then(x)
			got, placeholders := givenAhead(x)
			if !slices.Equal(got, test.want) {
				t.Errorf("given to %v, want %v", got, test.want)
			}
			slices.Sort(placeholders)
			if len(slices.Compact(slices.Clone(placeholders))) != len(placeholders) || slices.Contains(placeholders, "hold-8") {
				t.Errorf("%v are given, want each once, and not what the scheduler takes for the first", placeholders)
			}
			if more, _ := givenAhead(x); len(more) > 0 {
				t.Errorf("%v are given more", more)
			}
		})
	}
}

// TestAPromiseIsKeptOrNot: whether a placeholder that was given ahead is deleted still, and not given
// to anybody else.
func TestAPromiseIsKeptOrNot(t *testing.T) {
	for name, test := range map[string]struct {
		then func(x *Index)
		send bool
	}{
		"nothing happens":             {func(*Index) {}, true},
		"the pod is gone":             {func(x *Index) { x.DropPod(job(1)) }, false},
		"the pod has ended":           {func(x *Index) { p := job(1); p.Status.Phase = corev1.PodFailed; x.SetPod(p) }, false},
		"the pod is being deleted":    {func(x *Index) { p := job(1); p.DeletionTimestamp = &metav1.Time{}; x.SetPod(p) }, false},
		"it found room elsewhere":     {func(x *Index) { x.SetPod(pod("ml", "job-1", "plain", "1")) }, false},
		"it is sent elsewhere":        {func(x *Index) { x.Filter(job(1), []string{"plain"}) }, true},
		"the scheduler makes it room": {func(x *Index) { x.SetPod(nominatedPod("job-1", "warm-2")) }, false},
		"it found no room":            {func(x *Index) { x.SetPod(prioritized(unschedulablePod("job-1"), 1)) }, true},
		"it is asked about":           {func(x *Index) { askAbout(x, job(1)) }, false},
		"the placeholder is gone":     {func(x *Index) { x.DropPod(placeholder("hold-1", "warm-1")) }, false},
		"another scheduler leads":     {func(x *Index) { x.Reconcile() }, false},
		"it takes too long":           {func(x *Index) { later(x, holdFor+time.Second) }, false},
		"another could not go":        {func(x *Index) { x.Unsent("hold-2") }, true},
		"it could not go":             {func(x *Index) { x.Unsent("hold-1") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := bursting()
			askAbout(x, job(0))
			if _, got := givenAhead(x); !slices.Contains(got, "hold-1") || x.claims["hold-1"].by != "job-1" {
				t.Fatalf("%v are given, hold-1 to %s", got, x.claims["hold-1"].by)
			}
			test.then(x)
			if got := x.Send("hold-1"); got != test.send {
				t.Errorf("deleted: %v, want %v", got, test.send)
			}
		})
	}
}

// TestWhoIsPromisedRoomWaits: a pod that the scheduler tries too soon takes nothing more as long as its
// room is coming.
func TestWhoIsPromisedRoomWaits(t *testing.T) {
	send := func(x *Index) { x.Send("hold-1") }
	gone := func(x *Index) { send(x); x.DropPod(placeholder("hold-1", "warm-1")) }
	others := func(x *Index) {
		for _, i := range []int{0, 2, 3, 4, 5} {
			x.DropPod(job(i))
		}
	}
	for name, test := range map[string]struct {
		then  func(x *Index)
		waits bool
	}{
		"nothing is deleted yet":         {func(*Index) {}, false},
		"it is being deleted":            {send, true},
		"it has just been deleted":       {gone, true},
		"the scheduler must have seen":   {func(x *Index) { gone(x); others(x); later(x, settleFor+time.Millisecond) }, false},
		"somebody took its room":         {func(x *Index) { gone(x); x.SetPod(pod("web", "thief", "warm-1", "1")) }, false},
		"it could not be deleted":        {func(x *Index) { send(x); x.Unsent("hold-1") }, false},
		"it said that it found no room":  {func(x *Index) { send(x); x.SetPod(prioritized(unschedulablePod("job-1"), 1)) }, true},
		"the scheduler makes it room":    {func(x *Index) { send(x); x.SetPod(prioritized(nominatedPod("job-1", "warm-2"), 1)) }, false},
		"its node is gone":               {func(x *Index) { gone(x); x.DropNode(node("warm-1", "a100")) }, false},
		"it is there, and was not taken": {func(x *Index) { gone(x); x.Filter(job(1), []string{"warm-1"}) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			x := bursting()
			askAbout(x, job(0))
			givenAhead(x)
			test.then(x)
			if got := askAbout(x, job(1)); (len(got) == 0) != test.waits {
				t.Errorf("victims %v, waits %v", got, test.waits)
			}
			if _, told := x.told["job-1"]; told != test.waits {
				t.Errorf("it is remembered: %v, want %v", told, test.waits)
			}
		})
	}
}

// TestWhoWaitsInVainForItsRoom: the scheduler does not try it again, since another has the room.
func TestWhoWaitsInVainForItsRoom(t *testing.T) {
	x := bursting()
	askAbout(x, job(0))
	givenAhead(x)
	x.Send("hold-1")
	if got := askAbout(x, job(1)); len(got) > 0 {
		t.Fatalf("victims %v, want none", got)
	}
	x.DropPod(placeholder("hold-1", "warm-1"))
	x.SetPod(pod("web", "thief", "warm-1", "1"))
	later(x, patience+time.Millisecond)
	for i := 2; i < 6; i++ { // those that wait no more
		x.DropPod(job(i))
	}
	taker, placeholders, ok := x.Overdue()
	if !ok || taker.Name != "job-1" || len(placeholders) != 1 {
		t.Errorf("%v for %s, want one placeholder for job-1", placeholders, taker)
	}
}

// TestRoomIsExchanged: a pod that takes room which was made for another one alike leaves it its own, so
// that no placeholder goes for nobody.
func TestRoomIsExchanged(t *testing.T) {
	x := bursting()
	for i := range 8 { // a second node like the first
		x.SetPod(prioritized(placeholder(fmt.Sprint("more-", i), "warm-2"), -10))
	}
	x.DropPod(pod("ml", "work", "warm-2", "4"))
	for i := range 5 {
		x.SetPod(pod("web", fmt.Sprint("old-", i), "warm-1", "1"))
		x.DropPod(placeholder(fmt.Sprint("hold-", i+1), "warm-1"))
	}
	x.SelectVictims(job(0), Candidates{"warm-1": {Pods: []types.UID{"hold-8"}}, "warm-2": {Pods: []types.UID{"more-7"}}})
	givenAhead(x)
	on := map[string][]types.UID{}
	for uid, p := range x.ahead.promises {
		on[p.node] = append(on[p.node], uid)
	}
	if len(on["warm-1"]) == 0 || len(on["warm-2"]) == 0 {
		t.Fatalf("promises %v, want some on each node", on)
	}
	slices.Sort(on["warm-1"])
	first, second := on["warm-1"][0], on["warm-2"][0]
	hold := x.ahead.promises[second].placeholders[0]
	if !x.Send(hold) {
		t.Fatal("not to be deleted")
	}
	own := x.ahead.promises[first].placeholders[0]
	x.DropPod(prioritized(placeholder(string(hold), "warm-2"), -10))
	x.Filter(taker(string(first)), []string{"warm-2"}) // the room of the second alone is there
	if x.ahead.promises[first].node != "warm-2" || x.ahead.promises[second].node != "warm-1" {
		t.Errorf("room on %s and %s, want exchanged", x.ahead.promises[first].node, x.ahead.promises[second].node)
	}
	if hold, _ := x.holds.Of(second); hold.Node != "warm-1" {
		t.Errorf("the second is expected on %q", hold.Node)
	}
	bound := taker(string(first))
	bound.Spec.NodeName = "warm-2"
	x.SetPod(bound)
	if x.claims[own].by != second || !x.Send(own) {
		t.Errorf("what was the first's is %v", x.claims[own])
	}
}

// TestNobodyIsGivenWhatGoes: the scheduler would delete it in vain, and may not try the pod again.
func TestNobodyIsGivenWhatGoes(t *testing.T) {
	x := bursting()
	askAbout(x, job(0))
	givenAhead(x)
	late := prioritized(taker("late"), 2)
	ask := func() int { return len(x.SelectVictims(late, Candidates{"plain": {Pods: []types.UID{"hold-1"}}})) }
	if got := ask(); got != 1 {
		t.Errorf("%d nodes where a placeholder is not being deleted yet, want 1", got)
	}
	x.Send("hold-1")
	if got := ask(); got != 0 {
		t.Errorf("%d nodes where it is, want none", got)
	}
	x.Unsent("hold-1")
	if got := ask(); got != 1 {
		t.Errorf("%d nodes when it could not be, want 1", got)
	}
}

// TestScoreSendsAPodToItsRoom: not to that of another, nor to whole nodes.
func TestScoreSendsAPodToItsRoom(t *testing.T) {
	x := bursting()
	askAbout(x, job(0))
	givenAhead(x)
	x.Send("hold-1")
	x.DropPod(placeholder("hold-1", "warm-1"))
	other := taker("other") // alike, and has no room
	if scores := x.Score(other, []string{"warm-1", "warm-2"}); scores[1] != extender.MaxScore {
		t.Errorf("scores %v, want the node where nobody is expected", scores)
	}
	x.DropPod(other)
	if scores := x.Score(job(1), []string{"warm-1", "warm-2", "plain"}); scores[0] != extender.MaxScore {
		t.Errorf("scores %v, want the room that was made", scores)
	}
}

// TestAPlaceholderTakesNoRoomThatWasMade: it would, where the scheduler does not know whose it is.
func TestAPlaceholderTakesNoRoomThatWasMade(t *testing.T) {
	x := bursting()
	askAbout(x, job(0))
	givenAhead(x)
	x.Send("hold-1")
	x.DropPod(placeholder("hold-1", "warm-1"))
	next := placeholder("next", "")
	if got := x.Filter(next, []string{"warm-1", "warm-2"}); got[0].Reason != extender.ReasonClearedForOthers || got[1].Reason != "" {
		t.Errorf("verdicts %v, want warm-1 refused alone", got)
	}
	if got := x.Filter(job(2), []string{"warm-1"}); got[0].Reason != "" {
		t.Errorf("another of the burst is refused: %v", got)
	}
	x.DropPod(job(1))
	x.DropPod(job(2))
	if got := x.Filter(next, []string{"warm-1"}); got[0].Reason == "" {
		t.Error("the room of the others is not refused any more")
	}
	x.Reconcile()
	if got := x.Filter(next, []string{"warm-1"}); got[0].Reason != "" {
		t.Errorf("when nobody has been promised anything: %v", got)
	}
}

package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

const (
	// takeoversPods come at once, and takeoversNodes have room for them in placeholders.
	takeoversPods, takeoversNodes = 100, 25
	// takeoversWriters create the pods of a burst.
	takeoversWriters = 8
	// takeoversAtMost bounds create to bound of the slowest pod, far below the five minutes after
	// which the scheduler tries a pod by itself; how long it takes is told, and is in
	// docs/benchmarks.md.
	takeoversAtMost = 30 * time.Second
	// takeoversTried is how many of a burst's pods the scheduler may try in vain, and preempt for,
	// before room is there: those that it gets to before the first placeholders are gone. Without room
	// made ahead it is each of them.
	takeoversTried = takeoversPods * 3 / 4
	// burstRatio and oneByOneRatio bound the median of takeovers against that of the same pods on empty nodes in
	// the same run. The aim is 1.5; in bursts 1.6 to 3.7 have been measured, one by one 1.4 to 1.8, and without room
	// made ahead 16 and 2.
	burstRatio, oneByOneRatio = 6, 4
)

// takeoversRounds is how often each burst is repeated: once, or as often as docs/benchmarks.md says
// with FOREWARM_LONG set.
func takeoversRounds() int {
	if long() {
		return 5
	}
	return 1
}

// TestTakeoverBurst: a hundred pods come at once where a hundred placeholders stand. Placeholders
// alone go, also where cheaper real work stands beside them. How long that takes is measured
// beside the same burst on empty nodes and, with FOREWARM_LONG set, beside the scheduler's own preemption.
func TestTakeoverBurst(t *testing.T) {
	e := newExtenderEnvOn(t, extenderNodes("warm", takeoversNodes), extenderNodes("free", takeoversNodes))
	var taken, behind, free, alone []time.Duration
	for round := range takeoversRounds() {
		taken = append(taken, e.takeoversAhead(t, fmt.Sprint("taker-", round), 2)...)
		free = append(free, e.burst(t, fmt.Sprint("free-", round), "free", 2, takeoversPods)...)
		e.clear(t)
		if long() { // to compare: what the scheduler does by itself, which now and then leaves one pod of the hundred for minutes
			e.process.Kill()
			alone = append(alone, e.takeovers(t, fmt.Sprint("alone-", round), 2)...)
			behind = append(behind, e.takeoversBehind(t, fmt.Sprint("behind-", round))...)
			e.start(t)
		}
	}
	tell(t, "onto placeholders", taken)
	tell(t, "onto empty nodes", free)
	atMost(t, "at once", taken, free, burstRatio)
	if long() {
		tell(t, "onto placeholders, with no room made ahead", behind)
		tell(t, "onto placeholders, with the extender dead", alone)
	}
	e.mixedTakeovers(t)
	e.oneByOne(t)
	e.clear(t)
	e.lateTakeovers(t)
}

// oneByOne has pods come each when the one before is bound.
func (e *extenderEnv) oneByOne(t *testing.T) {
	t.Helper()
	e.fill(t, 1)
	var taken, free []time.Duration
	for i := range takeoversPods / 2 {
		taken = append(taken, e.burst(t, fmt.Sprint("one-", i), "warm", 1, 1)...)
		free = append(free, e.burst(t, fmt.Sprint("one-free-", i), "free", 1, 1)...)
	}
	tell(t, "onto placeholders, one by one", taken)
	tell(t, "onto empty nodes, one by one", free)
	atMost(t, "one by one", taken, free, oneByOneRatio)
	if left := e.placeholders(t); len(left) != takeoversPods/2 {
		t.Errorf("%d placeholders are left, want %d", len(left), takeoversPods/2)
	}
}

// atMost fails where half of the takeovers took more than so many times what half of the free did. Both are sorted.
func atMost(t *testing.T, name string, taken, free []time.Duration, ratio int) {
	t.Helper()
	over, empty := taken[len(taken)/2], free[len(free)/2]
	t.Logf("%s, onto placeholders: %.1f times what it takes onto empty nodes", name, float64(over)/float64(empty))
	if over > time.Duration(ratio)*empty {
		t.Errorf("%s, onto placeholders: p50 %s, onto empty nodes %s; want at most %d times that", name, over, empty, ratio)
	}
}

// mixedTakeovers repeats it where cheaper work fills half of each node.
func (e *extenderEnv) mixedTakeovers(t *testing.T) {
	t.Helper()
	var work []*corev1.Pod
	for i := range takeoversNodes {
		cheap := extenderPod("web", fmt.Sprint("cheap-", i), "warm", 4)
		cheap.Spec.NodeSelector[corev1.LabelHostname] = fmt.Sprint("warm-", i)
		cheap.Spec.PriorityClassName = "cheap"
		work = append(work, cheap)
	}
	e.expect(t, 0) // lent to the cheap work
	for _, cheap := range work {
		if err := e.Client.Create(t.Context(), cheap); err != nil {
			t.Fatal(err)
		}
	}
	for _, cheap := range work {
		e.bound(t, cheap)
	}
	e.expect(t, 2)
	var mixed []time.Duration
	for round := range takeoversRounds() {
		mixed = append(mixed, e.takeoversAhead(t, fmt.Sprint("mixed-", round), 1)...)
		for _, cheap := range work {
			e.untouched(t, cheap)
		}
	}
	tell(t, "onto placeholders beside cheaper work", mixed)
}

// lateTakeovers repeats that with an extender that stops for 450 of every 600 ms, so that many answers
// come too late to be heard and what it sees is behind. Who dies is then the scheduler's choice, but
// nobody waits for what was given to another and is not deleted.
func (e *extenderEnv) lateTakeovers(t *testing.T) {
	t.Helper()
	var late []time.Duration
	for round := range takeoversRounds() {
		e.fill(t, 1)
		stop := e.stutter(t)
		late = append(late, e.burst(t, fmt.Sprint("late-", round), "warm", 1, takeoversPods)...)
		stop()
		t.Logf("%.0f placeholders deleted by the extender itself", e.counter(t, "forewarm_extender_placeholders_deleted_total"))
		e.clear(t)
	}
	tell(t, "onto placeholders beside cheaper work, with an extender that stutters", late)
}

// stutter stops the extender again and again, until the function it returns is called or 5 s have
// passed.
func (e *extenderEnv) stutter(t *testing.T) func() {
	t.Helper()
	stop, pid := make(chan struct{}), e.process.PID()
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(150 * time.Millisecond)
		defer tick.Stop()
		for i := range 33 {
			signal := syscall.SIGSTOP
			if i%4 == 3 {
				signal = syscall.SIGCONT
			}
			_ = syscall.Kill(pid, signal)
			select {
			case <-stop:
			case <-tick.C:
				continue
			}
			break
		}
		_ = syscall.Kill(pid, syscall.SIGCONT)
	})
	return sync.OnceFunc(func() {
		close(stop)
		done.Wait()
	})
}

// takeovers has a burst come where placeholders stand for each of its pods, which all go.
func (e *extenderEnv) takeovers(t *testing.T, name string, gpus int64) []time.Duration {
	t.Helper()
	e.fill(t, gpus)
	took := e.burst(t, name, "warm", gpus, takeoversPods)
	if left := e.placeholders(t); len(left) != 0 {
		t.Errorf("%s: %d placeholders are left, want none", name, len(left))
	}
	e.clear(t)
	return took
}

// takeoversAhead has a burst come to whose pods the extender has placeholders give way before the
// scheduler tries them, for most.
func (e *extenderEnv) takeoversAhead(t *testing.T, name string, gpus int64) []time.Duration {
	t.Helper()
	const cleared = "forewarm_extender_placeholders_cleared_total"
	before, clearedBefore := e.preempting(t), e.counter(t, cleared)
	took := e.takeovers(t, name, gpus)
	tried, ahead := e.preempting(t)-before, e.counter(t, cleared)-clearedBefore
	t.Logf("%s: the scheduler looked %.0f times for whom to preempt, %.0f placeholders went ahead", name, tried, ahead)
	if tried > takeoversTried {
		t.Errorf("%s: the scheduler looked %.0f times for whom to preempt, want at most %d", name, tried, takeoversTried)
	}
	if ahead > takeoversPods {
		t.Errorf("%s: %.0f placeholders went ahead for %d pods", name, ahead, takeoversPods)
	}
	return took
}

// takeoversBehind has a burst come with an extender that makes no room ahead. None runs before or
// after.
func (e *extenderEnv) takeoversBehind(t *testing.T, name string) []time.Duration {
	t.Helper()
	e.write(t, false)
	e.start(t)
	took := e.takeovers(t, name, 2)
	e.process.Kill()
	e.write(t, true)
	return took
}

// preempting is how often the scheduler has looked for whom to preempt.
func (e *extenderEnv) preempting(t *testing.T) float64 {
	t.Helper()
	families := metricsOf(t, e.HTTPClient(), e.EndpointOf(assets.Scheduler).Metrics)
	return families["scheduler_preemption_attempts_total"].GetMetric()[0].GetCounter().GetValue()
}

// fill has a placeholder of so many GPUs stand for each pod of a burst.
func (e *extenderEnv) fill(t *testing.T, gpus int64) {
	t.Helper()
	e.fills++
	for i := range takeoversPods {
		p := extenderPlaceholder(fmt.Sprintf("hold-%d-%d", e.fills, i)) // the scheduler deletes victims by name, maybe late
		p.Spec.Containers[0].Resources = extenderPod("", "", "", gpus).Spec.Containers[0].Resources
		if err := e.Client.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Eventually(t, extenderWait, func() error {
		if nodes := e.placeholders(t); len(nodes) != takeoversPods || slices.Contains(nodes, "") {
			return fmt.Errorf("%d placeholders stand, not all on nodes, want %d", len(nodes), takeoversPods)
		}
		return nil
	})
}

// clear removes the pods of a burst and what is left of placeholders.
func (e *extenderEnv) clear(t *testing.T) {
	t.Helper()
	namespaces := []string{"ml", v1alpha1.PlaceholderNamespace}
	for _, namespace := range namespaces {
		if err := e.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(namespace), client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Eventually(t, extenderWait, func() error {
		for _, namespace := range namespaces {
			var pods corev1.PodList
			if err := e.Client.List(t.Context(), &pods, client.InNamespace(namespace)); err != nil || len(pods.Items) > 0 {
				return fmt.Errorf("%d pods are left: %w", len(pods.Items), err)
			}
		}
		return nil
	})
}

// burst creates pods of the class at once, and returns how long each took from the create to the
// event of its binding.
func (e *extenderEnv) burst(t *testing.T, name, pool string, gpus int64, pods int) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), takeoversAtMost)
	defer cancel()
	watching, err := client.NewWithWatch(e.RESTConfig(), client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	b := &takeoverBurst{pods: pods, created: map[string]time.Time{}, took: map[string]time.Duration{}}
	// An API server that is busy ends the watches of those who read slowly.
	var watched sync.WaitGroup
	watched.Go(func() {
		for ctx.Err() == nil && !b.seen(t, ctx, watching) {
		}
	})
	var writers sync.WaitGroup
	for writer := range takeoversWriters {
		writers.Go(func() {
			for i := writer; i < pods; i += takeoversWriters {
				pod := extenderPod("ml", fmt.Sprint(name, "-", i), pool, gpus)
				b.create(pod.Name)
				if err := e.Client.Create(ctx, pod); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	watched.Wait()
	if len(b.took) != pods {
		t.Fatalf("%d pods of %s are bound within %s, want %d", len(b.took), name, takeoversAtMost, pods)
	}
	return slices.Collect(maps.Values(b.took))
}

// takeoverBurst is when the pods of a burst were created, and how long they took to be bound.
type takeoverBurst struct {
	pods    int
	mu      sync.Mutex
	created map[string]time.Time
	took    map[string]time.Duration
}

func (b *takeoverBurst) create(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.created[name] = time.Now()
}

// seen watches pods until all are bound, or until the watch ends.
func (b *takeoverBurst) seen(t *testing.T, ctx context.Context, from client.WithWatch) bool {
	events, err := from.Watch(ctx, &corev1.PodList{}, client.InNamespace("ml"))
	if err != nil {
		if ctx.Err() == nil {
			t.Error(err)
		}
		return true
	}
	defer events.Stop()
	for event := range events.ResultChan() {
		pod, is := event.Object.(*corev1.Pod)
		if !is || event.Type == watch.Deleted || pod.Spec.NodeName == "" {
			continue
		}
		b.mu.Lock()
		if started, ours := b.created[pod.Name]; ours && b.took[pod.Name] == 0 {
			b.took[pod.Name] = time.Since(started)
		}
		all := len(b.took) == b.pods
		b.mu.Unlock()
		if all {
			return true
		}
	}
	return false
}

// tell prints the quantiles of what a burst took.
func tell(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(int(q*float64(len(took))), len(took)-1)].Round(time.Millisecond)
	}
	t.Logf("%s: %d pods, create to bound p50 %s, p90 %s, p99 %s, most %s", what, len(took), at(0.5), at(0.9), at(0.99), at(1))
}

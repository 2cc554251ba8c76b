package announcer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/waiting"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// cluster counts the patches that it takes.
type cluster struct {
	client.Client
	patches int
	broken  bool
}

func newCluster(pods ...*corev1.Pod) *cluster {
	c := &cluster{}
	builder := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if c.broken {
				return errors.New("no API server")
			}
			c.patches++
			return w.Patch(ctx, o, p, opts...)
		},
	})
	for _, pod := range pods {
		builder.WithObjects(pod.DeepCopy())
	}
	c.Client = builder.Build()
	return c
}

func (c *cluster) says(t *testing.T, pod *corev1.Pod) [2]string {
	t.Helper()
	current := &corev1.Pod{}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(pod), current); err != nil {
		t.Fatal(err)
	}
	return [2]string{current.Annotations[v1alpha1.AnnotationWaitingFor], current.Annotations[v1alpha1.AnnotationExpectedStart]}
}

func pods(n int) (out []*corev1.Pod) {
	for i := range n {
		out = append(out, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: fmt.Sprint("p", i), UID: types.UID(fmt.Sprint("u", i))}})
	}
	return out
}

func news(pods []*corev1.Pod, start time.Time) News {
	n := News{Pool: &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}, Pods: pods, Why: "no room"}
	for range pods {
		n.Starts = append(n.Starts, start)
	}
	return n
}

func TestAPodIsToldWhenItMoves(t *testing.T) {
	waits := pods(1)
	c, recorder := newCluster(waits...), events.NewFakeRecorder(10)
	a := New(c, recorder)
	for _, step := range []struct {
		name    string
		start   time.Time
		want    string
		patches int
	}{
		{"first", now.Add(4 * time.Minute), "2026-11-29T12:04:00Z", 1},
		{"a little later, although the informer knows nothing yet", now.Add(4*time.Minute + 30*time.Second), "2026-11-29T12:04:00Z", 1},
		{"much later", now.Add(8 * time.Minute), "2026-11-29T12:08:00Z", 2},
	} {
		if err := a.Tell(t.Context(), news(waits, step.start), now); err != nil {
			t.Fatal(err)
		}
		if got := c.says(t, waits[0]); got != [2]string{"a100", step.want} || c.patches != step.patches {
			t.Errorf("%s: says %q after %d patches, want %s after %d", step.name, got, c.patches, step.want, step.patches)
		}
	}
	if got, want := <-recorder.Events, "Normal WaitingForPool waits for a node of WarmPool a100, expected to start about 2026-11-29T12:04:00Z: no room"; got != want || len(recorder.Events) != 0 {
		t.Errorf("event %q and %d more, want %q alone", got, len(recorder.Events), want)
	}

	// Another process goes on from what the pod carries.
	next, fresh := New(c, recorder), &corev1.Pod{}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(waits[0]), fresh); err != nil {
		t.Fatal(err)
	}
	if err := next.Tell(t.Context(), news([]*corev1.Pod{fresh}, now.Add(8*time.Minute)), now); err != nil || c.patches != 2 || len(recorder.Events) != 0 {
		t.Errorf("error %v, %d patches, %d events after a restart, want nothing new", err, c.patches, len(recorder.Events))
	}
}

func TestTheBudgetHolds(t *testing.T) {
	many := pods(100)
	c := newCluster(many...)
	a := New(c, events.NewFakeRecorder(200))
	tell := func(at time.Time) {
		if err := a.Tell(t.Context(), news(many, now.Add(time.Hour)), at); err != nil {
			t.Fatal(err)
		}
	}
	tell(now)
	if c.patches != burst {
		t.Errorf("%d patches at once, want %d", c.patches, burst)
	}
	tell(now.Add(time.Second))
	if c.patches != burst+perSecond {
		t.Errorf("%d patches a second later, want %d", c.patches, burst+perSecond)
	}
	tell(now.Add(time.Minute))
	if c.patches != len(many) {
		t.Errorf("%d patches at last, want each pod told once", c.patches)
	}
}

func TestAFailureIsTriedAgain(t *testing.T) {
	waits := pods(1)
	c := newCluster(waits...)
	a := New(c, events.NewFakeRecorder(10))
	c.broken = true
	if err := a.Tell(t.Context(), news(waits, now.Add(time.Hour)), now); err == nil {
		t.Error("no error, want that of the API server")
	}
	c.broken = false
	if err := a.Tell(t.Context(), news(waits, now.Add(time.Hour)), now); err != nil || c.patches != 1 {
		t.Errorf("error %v, %d patches, want the pod told", err, c.patches)
	}
	gone := pods(2)[1:]
	if err := a.Tell(t.Context(), news(gone, now.Add(time.Hour)), now); err != nil {
		t.Errorf("a pod that is gone: %v", err)
	}
	a.Keep(nil)
	if len(a.said) != 0 {
		t.Errorf("%d pools remembered, want none", len(a.said))
	}
}

// TestAPodThatFitsNoNodeIsToldSo, by no time and one event, also by a successor; and when that changes.
func TestAPodThatFitsNoNodeIsToldSo(t *testing.T) {
	waits := pods(1)
	c, recorder := newCluster(waits...), events.NewFakeRecorder(10)
	var a *Announcer
	for _, step := range []struct {
		name  string
		start time.Time
		want  string
		event string
	}{
		{"expected", now.Add(4 * time.Minute), "2026-11-29T12:04:00Z", v1alpha1.ReasonWaitingForPool},
		{"never", time.Time{}, "", v1alpha1.ReasonFitsNoNode},
		{"still never", time.Time{}, "", ""},
		{"a node of another kind has come", now.Add(4 * time.Minute), "2026-11-29T12:04:00Z", v1alpha1.ReasonWaitingForPool},
	} {
		current := &corev1.Pod{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(waits[0]), current); err != nil {
			t.Fatal(err)
		}
		a = New(c, recorder) // a new leader each time
		if err := a.Tell(t.Context(), news([]*corev1.Pod{current}, step.start), now); err != nil {
			t.Fatal(err)
		}
		if got := c.says(t, waits[0]); got != [2]string{"a100", step.want} {
			t.Errorf("%s: says %q, want %q", step.name, got, step.want)
		}
		told := ""
		if len(recorder.Events) > 0 {
			told = <-recorder.Events
		}
		if (told == "") != (step.event == "") || !strings.Contains(told, step.event) {
			t.Errorf("%s: event %q, want %q", step.name, told, step.event)
		}
	}
}

// TestAPodIsToldItsClass with the time, in the same write, and never by a write of its own.
func TestAPodIsToldItsClass(t *testing.T) {
	waits := pods(2)
	c, recorder := newCluster(waits...), events.NewFakeRecorder(10)
	a, says := New(c, recorder), news(waits, now.Add(10*time.Minute))
	class := waiting.ShortBatch
	says.Run = func(pod *corev1.Pod) waiting.Run {
		if pod.Name == "p1" {
			return waiting.Run{}
		}
		return waiting.Run{Class: class, Usual: 4 * time.Minute}
	}
	for range 2 {
		if err := a.Tell(t.Context(), says, now); err != nil {
			t.Fatal(err)
		}
		class = waiting.SustainedService // what is known changes
	}
	if c.patches != 2 {
		t.Errorf("%d patches, want one for each pod", c.patches)
	}
	for i, want := range []string{"short-batch", ""} {
		current := &corev1.Pod{}
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(waits[i]), current); err != nil {
			t.Fatal(err)
		}
		if got := current.Annotations[v1alpha1.AnnotationRunClass]; got != want {
			t.Errorf("%s is of class %q, want %q", current.Name, got, want)
		}
	}
	for _, want := range []string{
		": no room; class short-batch, usually done in 4m0s, which is sooner than it is expected to start: another pool may serve it better",
		": no room",
	} {
		if got := <-recorder.Events; !strings.HasSuffix(got, want) {
			t.Errorf("event %q, want it to end in %q", got, want)
		}
	}
}

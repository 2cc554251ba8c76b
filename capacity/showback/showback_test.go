package showback

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
)

const gpu = "nvidia.com/gpu"

func gpus(namespace, name string, amount string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{gpu: resource.MustParse(amount)}}}}
	pod.Status.Phase = corev1.PodRunning
	return pod
}

// held is a placeholder of one GPU that runs on node-1.
func held(name string) *corev1.Pod {
	pod := gpus("hold", name, "1")
	pod.Labels = map[string]string{v1alpha1.LabelPool: "a100", v1alpha1.LabelChunk: "single"}
	pod.Spec.PriorityClassName, pod.Spec.NodeName = v1alpha1.PlaceholderPriorityClass, "node-1"
	return pod
}

func on(node string, pod *corev1.Pod) *corev1.Pod {
	pod.Spec.NodeName = node
	return pod
}

func a100() *v1alpha1.WarmPool {
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	pool.Spec.Demand.Resource = gpu
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single", IdleCostPerHour: "3", Requests: corev1.ResourceList{gpu: resource.MustParse("1")}}}
	pool.Status.LeadTime = &v1alpha1.LeadTimeStatus{Used: metav1.Duration{Duration: 4 * time.Minute}}
	return pool
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

type env struct {
	*Showback
	*testing.T
	client   client.Client
	registry *prometheus.Registry
	now      time.Time
}

func newEnv(t *testing.T, label string, most int, objects ...client.Object) *env {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	e := &env{T: t, client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(), registry: prometheus.NewRegistry(), now: time.Unix(1e9, 0)}
	e.Showback = New(Options{Client: e.client, PlaceholderNamespace: "hold", OwnerLabel: label, MaxOwners: most, Registerer: e.registry, Log: logr.Discard()})
	return e
}

// pass looks every minute for so long.
func (e *env) pass(d time.Duration) {
	e.Helper()
	for end := e.now.Add(d); ; e.now = e.now.Add(time.Minute) {
		if err := e.look(e.Context(), e.now); err != nil {
			e.Fatal(err)
		}
		if !e.now.Before(end) {
			return
		}
	}
}

// tells compares what is told by some metrics, rounded to whole numbers.
func (e *env) tells(want ...string) {
	e.Helper()
	families, err := e.registry.Gather()
	if err != nil {
		e.Fatal(err)
	}
	got := map[string]bool{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			line := strings.TrimSuffix(strings.TrimPrefix(family.GetName(), "forewarm_capacity_"), "_total")
			for _, label := range m.GetLabel() {
				line += " " + label.GetValue()
			}
			got[fmt.Sprintf("%s %.0f", line, m.GetCounter().GetValue())] = true
		}
	}
	for _, line := range want {
		if !got[line] {
			e.Errorf("no %q in %v", line, got)
		}
	}
}

func TestIdleIsSharedByWhatWasAskedForOfLate(t *testing.T) {
	e := newEnv(t, "team", 50, a100(), held("one"), held("two"), namespace("train", map[string]string{"team": "ml"}), namespace("serve", map[string]string{"team": "web"}), namespace("test", nil))
	e.pass(time.Hour) // nobody has asked yet
	e.tells("idle_chunk_seconds single a100 7200", "idle_cost _nobody a100 6", "idle_resource_seconds _nobody a100 nvidia.com/gpu 7200")
	jobs := []client.Object{gpus("train", "a", "6"), gpus("serve", "b", "2")}
	for _, job := range jobs {
		if err := e.client.Create(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	e.pass(10 * time.Hour)
	// Of 60 more, three quarters and a quarter; what passed before the first look at the pods is nobody's.
	e.tells("idle_cost _nobody a100 6", "idle_cost ml a100 45", "idle_cost web a100 15", "idle_chunk_seconds single a100 79200")
	for _, job := range jobs {
		if err := e.client.Delete(t.Context(), job); err != nil {
			t.Fatal(err)
		}
	}
	e.pass(10 * time.Hour) // nobody asks any more: shares stay
	e.tells("idle_cost _nobody a100 6", "idle_cost ml a100 90", "idle_cost web a100 30", "waits_avoided ml a100 0")
	if err := e.client.Create(t.Context(), gpus("test", "c", "16")); err != nil {
		t.Fatal(err)
	}
	if err := e.client.Delete(t.Context(), held("two")); err != nil {
		t.Fatal(err)
	}
	e.pass(48 * time.Hour)
	sum := 0.0
	for _, owner := range []string{"ml", "web", nobody} {
		sum += testutil.ToFloat64(e.metrics.cost.WithLabelValues("a100", owner))
	}
	if want := 6 + 120 + 48*3.0; sum < want-1e-6 || sum > want+0.1 {
		t.Errorf("all owners are told of %v, want %v", sum, want)
	}
	if unlabelled := testutil.ToFloat64(e.metrics.cost.WithLabelValues("a100", nobody)); unlabelled < 6+100 {
		t.Errorf("the Namespace without the label is told of %v: it asked for the most", unlabelled)
	}
}

func TestOwnersAreBounded(t *testing.T) {
	objects := []client.Object{a100(), held("one")}
	for i := range 9 {
		name := fmt.Sprintf("team-%d", i)
		objects = append(objects, namespace(name, nil), gpus(name, "job", "1"))
	}
	e := newEnv(t, "", 3, objects...)
	e.pass(3 * time.Hour)
	if n := testutil.CollectAndCount(e.metrics.cost); n > 3+2 {
		t.Errorf("%d series of owners, want 3 and %s", n, others)
	}
	if told := testutil.ToFloat64(e.metrics.cost.WithLabelValues("a100", others)); told < 5 || told > 7 {
		t.Errorf("%s are told of %v, want six ninths of 9", others, told)
	}
	if err := e.client.Delete(t.Context(), a100()); err != nil {
		t.Fatal(err)
	}
	e.pass(time.Minute)
	if n := testutil.CollectAndCount(e.registry); n != 0 {
		t.Errorf("%d series of a pool that is gone", n)
	}
}

func TestAWaitIsAvoidedWhereAPlaceholderStood(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		gone  []*corev1.Pod
		bound []*corev1.Pod
		after time.Duration
		want  float64
	}{
		"in its place":             {[]*corev1.Pod{held("one")}, []*corev1.Pod{on("node-1", gpus("ml", "a", "1"))}, second, 1},
		"in the place of two":      {[]*corev1.Pod{held("one"), held("two")}, []*corev1.Pod{on("node-1", gpus("ml", "a", "2"))}, second, 1},
		"two in the place of two":  {[]*corev1.Pod{held("one"), held("two")}, []*corev1.Pod{on("node-1", gpus("ml", "a", "1")), on("node-1", gpus("ml", "b", "1"))}, second, 2},
		"two in the place of one":  {[]*corev1.Pod{held("one")}, []*corev1.Pod{on("node-1", gpus("ml", "a", "1")), on("node-1", gpus("ml", "b", "1"))}, second, 1},
		"on another node":          {[]*corev1.Pod{held("one")}, []*corev1.Pod{on("node-2", gpus("ml", "a", "1"))}, second, 0},
		"long after":               {[]*corev1.Pod{held("one")}, []*corev1.Pod{on("node-1", gpus("ml", "a", "1"))}, time.Minute, 0},
		"none stood there":         {nil, []*corev1.Pod{on("node-1", gpus("ml", "a", "1"))}, second, 0},
		"of no pool":               {[]*corev1.Pod{held("one")}, []*corev1.Pod{on("node-1", gpus("ml", "a", "0"))}, second, 0},
		"another placeholder":      {[]*corev1.Pod{held("one")}, []*corev1.Pod{held("two")}, second, 0},
		"one that waited for none": {[]*corev1.Pod{on("", gated())}, []*corev1.Pod{on("", gpus("ml", "a", "1"))}, second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, "", 50, a100(), namespace("ml", nil))
			e.pass(0)
			for _, pod := range c.gone {
				e.gone(pod, e.now)
			}
			for _, pod := range c.bound {
				e.bound(pod, e.now.Add(c.after))
			}
			if got := testutil.ToFloat64(e.metrics.avoided.WithLabelValues("a100", "ml")); got != c.want {
				t.Errorf("%v waits avoided, want %v", got, c.want)
			}
			if got := testutil.ToFloat64(e.metrics.spared.WithLabelValues("a100", "ml")); got != c.want*240 {
				t.Errorf("%v seconds, want the lead time of each", got)
			}
		})
	}
}

func gated() *corev1.Pod {
	pod := held("gated")
	pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.GatePrewarm}}
	return pod
}

// TestAClockThatJumpsCostsAMinute: a process that stood still does not know what was held.
func TestAClockThatJumpsCostsAMinute(t *testing.T) {
	e := newEnv(t, "", 50, a100(), held("one"))
	e.pass(0)
	for _, jump := range []time.Duration{24 * time.Hour, -48 * time.Hour} {
		e.now = e.now.Add(jump)
		e.pass(0)
	}
	e.tells("idle_chunk_seconds single a100 60")
}

package supply

import (
	"context"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

const gpu = "nvidia.com/gpu"

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// ungated is a placeholder whose gate went at a time, and which runs on a node or waits for one.
func ungated(name, node string, at time.Time) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "hold", Name: name, UID: types.UID(name), Annotations: map[string]string{v1alpha1.AnnotationUngatedAt: at.Format(time.RFC3339Nano)},
	}}
	pod.Spec.NodeName = node
	return pod
}

func TestSee(t *testing.T) {
	pool := &v1alpha1.WarmPool{}
	pool.Spec.Sizing.LeadTime = v1alpha1.Auto
	gated := ungated("gated", "", noon.Add(-time.Hour))
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.GatePrewarm}}
	pool.Spec.Nodes.Zones = &v1alpha1.ZoneSpread{Key: "zone"}
	elsewhere := ungated("in a zone that has none", "", noon.Add(-time.Hour))
	elsewhere.Spec.NodeSelector = map[string]string{"zone": "c"}
	pods := []*corev1.Pod{elsewhere, ungated("b", "", noon.Add(-time.Minute)), ungated("a", "", noon.Add(-2*time.Minute)), ungated("on", "n", noon.Add(-time.Hour)), gated, {}}
	nodes := []*corev1.Node{{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour))}}, {}}
	want := capacity.Supply{Asked: noon.Add(-2 * time.Minute), Came: noon.Add(-time.Hour), Patience: 5 * time.Minute}
	if diff := cmp.Diff(want, See(pool, capacity.LeadTimes{Waiting: []time.Duration{time.Hour}}, pods, nodes)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	pool.Spec.Sizing.LeadTime = "3s"
	if got := See(pool, capacity.LeadTimes{}, nil, nil); got != (capacity.Supply{Patience: 30 * time.Second}) {
		t.Errorf("a pool of nothing: %+v", got)
	}
}

func TestStatusIsReadBack(t *testing.T) {
	for name, b := range map[string]capacity.Breaker{
		"closed":    {Since: noon, Trips: 2},
		"open":      {State: capacity.Open, Since: noon, Trips: 2},
		"half-open": {State: capacity.HalfOpen, Since: noon, Trips: 1},
		"always":    {},
	} {
		status := Tells{Breaker: b, Patience: time.Minute, Why: "no stock"}.Status()
		got := BreakerOf(&v1alpha1.WarmPool{Status: v1alpha1.WarmPoolStatus{Supply: status}})
		if got != b || (status == nil) != (name == "always") {
			t.Errorf("%s: read back as %+v from %+v", name, got, status)
		}
		if name == "open" && (status.RetryAt == nil || !status.RetryAt.Equal(&metav1.Time{Time: noon.Add(2 * time.Minute)}) || status.Message != "no stock") {
			t.Errorf("open: %+v, want a retry after two minutes", status)
		}
	}
}

func warmPool(name string, edit ...func(*v1alpha1.WarmPool)) *v1alpha1.WarmPool {
	pool := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: name}}
	pool.Spec.Mode, pool.Spec.Demand.Resource = v1alpha1.ModeEnforce, gpu
	pool.Spec.Chunks = []v1alpha1.Chunk{{Name: "single", Requests: corev1.ResourceList{gpu: resource.MustParse("1")}, WaitCostPerHour: "1", IdleCostPerHour: "1", Max: 9}}
	for _, e := range edit {
		e(pool)
	}
	return pool
}

func TestFallbacksAreThoseThatCanBeUsed(t *testing.T) {
	pool := warmPool("a100", func(p *v1alpha1.WarmPool) {
		p.Spec.Fallback = []string{"a100", "gone", "observes", "conflicts", "out", "z-first", "a-second"}
	})
	pools := []*v1alpha1.WarmPool{
		warmPool("a-second"), pool, warmPool("z-first"), warmPool("unasked"),
		warmPool("observes", func(p *v1alpha1.WarmPool) { p.Spec.Mode = v1alpha1.ModeObserve }),
		warmPool("out", func(p *v1alpha1.WarmPool) { p.Status.Supply = &v1alpha1.SupplyStatus{State: "Open"} }),
		warmPool("conflicts", func(p *v1alpha1.WarmPool) {
			p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionConflict, Status: metav1.ConditionTrue}}
		}),
	}
	var names []string
	for _, f := range Fallbacks(pools, pool) {
		names = append(names, f.Pool)
	}
	if got := strings.Join(names, " "); got != "z-first a-second" {
		t.Errorf("fallbacks %q, want those that can be used, in the order of the spec", got)
	}
	pool.Status.Supply = &v1alpha1.SupplyStatus{Diverted: []v1alpha1.DivertedChunk{{Pool: "z-first", Into: "single", As: 3}, {Pool: "z-first", Into: "single", As: 2}, {Pool: "unasked", Into: "single", As: 2}}}
	for name, want := range map[string]float64{"z-first": 5, "a-second": 0, "unasked": 0} {
		if got := DivertedTo(pools, name, "single"); got != want {
			t.Errorf("%v are wanted of %s, want %v", got, name, want)
		}
	}
}

// TestWhyReadsAutoscalers: one refuses a placeholder by an event, the other a NodeClaim.
func TestWhyReadsAutoscalers(t *testing.T) {
	event := func(name, reason, source, message, of string, minute int) client.Object {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "hold", Name: name}, Reason: reason, Message: message, Source: corev1.EventSource{Component: source},
			InvolvedObject: corev1.ObjectReference{UID: types.UID(of), Name: of}, LastTimestamp: metav1.NewTime(noon.Add(time.Duration(minute) * time.Minute)),
		}
	}
	claim := func(name, nodePool, status string) client.Object {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": map[string]any{"name": name, "labels": map[string]any{"karpenter.sh/nodepool": nodePool}},
			"status": map[string]any{"conditions": []any{map[string]any{"type": "Launched", "status": status, "reason": "LaunchFailed", "message": "out of " + name}}},
		}}
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	claims := schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaim"}
	scheme.AddKnownTypeWithName(claims, &unstructured.Unstructured{})
	scheme.AddKnownTypeWithName(claims.GroupVersion().WithKind("NodeClaimList"), &unstructured.UnstructuredList{})
	refusal := event("1", "NotTriggerScaleUp", "cluster-autoscaler", "1 in backoff after failed scale-up", "w", 1)
	source := func(o client.Object) []string { return []string{o.(*corev1.Event).Source.Component} }
	c := fake.NewClientBuilder().WithScheme(scheme).WithIndex(&corev1.Event{}, "source", source).WithObjects(
		refusal,
		event("5", "NotTriggerScaleUp", "cluster-autoscaler", "refused at first", "v", 0), event("6", "TriggeredScaleUp", "cluster-autoscaler", "a node comes", "v", 1),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cluster-autoscaler-status"}, Data: map[string]string{"status": "nodeGroups: [{name: asg-a100, health: {cloudProviderTarget: 3, maxSize: 3}}]"}},
		event("2", "NotTriggerScaleUp", "cluster-autoscaler", "an older one", "w", 0),
		event("3", "FailedScheduling", "default-scheduler", "0/3 nodes", "w", 5),
		event("4", "NotTriggerScaleUp", "cluster-autoscaler", "of another pod", "x", 5),
		claim("spot", "a100", "False"), claim("fine", "a100", "True"), claim("other", "h100", "False"),
	).Build()
	waiting := []*corev1.Pod{ungated("w", "", noon), ungated("v", "", noon)}
	got, err := NewAsker(c, "hold").Ask(t.Context(), "pool", waiting, Names{NodePools: []string{"a100"}, Words: []string{"a100"}}, noon)
	want := "NodeClaim not launched: LaunchFailed: out of spot; node group asg-a100 is at its maximum of 3 nodes; cluster-autoscaler: 1 in backoff after failed scale-up"
	if err != nil || got.Why() != want {
		t.Errorf("%q, %v; want %q", got.Why(), err, want)
	}
	if diff := cmp.Diff(map[string]string{"w": "cluster-autoscaler: 1 in backoff after failed scale-up"}, got.Of); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}

	asker := NewAsker(c, "hold")
	ask := func(at time.Time, waiting ...*corev1.Pod) string {
		said, err := asker.Ask(t.Context(), "pool", waiting, Names{}, at)
		if err != nil {
			t.Fatal(err)
		}
		return said.Why()
	}
	if got := ask(noon, waiting...); got != "cluster-autoscaler: 1 in backoff after failed scale-up" {
		t.Errorf("asked first: %q", got)
	}
	if err := c.Delete(t.Context(), refusal); err != nil {
		t.Fatal(err)
	}
	if got := ask(noon.Add(askEvery-1), waiting...); got == "" {
		t.Error("asked again at once")
	}
	if got := ask(noon.Add(askEvery), waiting...); got != "cluster-autoscaler: an older one" {
		t.Errorf("later: %q", got)
	}
	if got := reads(t, c, waiting); got != "NodeClaimList karpenter.sh/nodepool in (a,b), ConfigMap, EventList source=cluster-autoscaler, EventList source=karpenter, NodeClaimList karpenter.sh/nodepool in (c)" {
		t.Errorf("for three pools are read: %s; want what is not about one alone once, and no more than is of use", got)
	}
	if asker.Keep([]string{"pool"}); len(asker.answers) != 1 {
		t.Error("forgot the pool that there is")
	}
	if asker.Keep([]string{"another"}); len(asker.answers) != 0 {
		t.Error("remembers a pool that is gone")
	}
}

// reads is what is read to answer of three pools in one cycle.
func reads(t *testing.T, c client.WithWatch, waiting []*corev1.Pod) string {
	t.Helper()
	var read []string
	counted := interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			read = append(read, reflect.TypeOf(o).Elem().Name())
			return c.Get(ctx, key, o, options...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			asked := (&client.ListOptions{}).ApplyOptions(options)
			if _, ok := list.(*corev1.EventList); ok {
				read = append(read, "EventList "+asked.FieldSelector.String())
			} else {
				read = append(read, list.GetObjectKind().GroupVersionKind().Kind+" "+asked.LabelSelector.String())
			}
			return c.List(ctx, list, options...)
		},
	})
	asker := NewAsker(counted, "hold")
	for pool, of := range []Names{{NodePools: []string{"a", "b"}}, {NodePools: []string{"c"}}, {Words: []string{"a100"}}} {
		if _, err := asker.Ask(t.Context(), strconv.Itoa(pool), waiting, of, noon.Add(time.Duration(pool)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(read, ", ")
}

func TestWhoIsAskedAbout(t *testing.T) {
	ended := ungated("ended", "", noon.Add(-time.Hour))
	ended.Status.Phase = corev1.PodFailed
	pods := []*corev1.Pod{ungated("long", "", noon.Add(-askAfter)), ungated("not long", "", noon.Add(1-askAfter)), ungated("on", "n", noon.Add(-time.Hour)), ended, {}}
	if got := Waiting(pods, noon); len(got) != 1 || got[0].Name != "long" {
		t.Errorf("%d of them", len(got))
	}
}

func TestConditionSaysWhatHappensNow(t *testing.T) {
	open := Tells{Breaker: capacity.Breaker{State: capacity.Open}, Patience: time.Minute, Why: "no stock"}
	for name, c := range map[string]struct {
		fallback []string
		nowhere  bool
		want     string
	}{
		"turns elsewhere":   {[]string{"a10"}, false, "no node has come for 1m0s: no stock"},
		"no fallback":       {nil, true, "names no pool to turn to"},
		"no usable one":     {[]string{"a10"}, true, "no pool of spec.fallback can be turned to"},
		"says what is done": {nil, true, "nodes are still asked for"},
	} {
		pool := warmPool("a100", func(p *v1alpha1.WarmPool) { p.Spec.Fallback = c.fallback })
		if is, reason, says := open.Condition(pool, c.nowhere); !is || reason != v1alpha1.ReasonNodesOverdue || !strings.Contains(says, c.want) {
			t.Errorf("%s: %v %s %q, want %q", name, is, reason, says, c.want)
		}
	}
}

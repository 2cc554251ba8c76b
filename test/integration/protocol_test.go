package integration

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// TestProtocol asserts how the real scheduler speaks the extender protocol: what our handler may
// rely on, and what would happen if it answered otherwise. A test extender answers; what becomes
// of pods is read from their conditions.
func TestProtocol(t *testing.T) {
	e := newProtocolEnv(t)
	t.Run("what filter answers", func(t *testing.T) { protocolFilter(t, e) })
	t.Run("what prioritize answers", func(t *testing.T) { protocolPrioritize(t, e) })
	t.Run("what is sent", func(t *testing.T) { protocolSent(t, e) })
	t.Run("whom it concerns", func(t *testing.T) { protocolInterest(t, e) })
	t.Run("a touch of the pod has it tried again", func(t *testing.T) { protocolRequeue(t, e) })
	t.Run("what preempt answers", func(t *testing.T) { protocolPreempt(t, e) })
}

// always gives the same answer.
func always(s said) func(heard) said { return func(heard) said { return s } }

// failing puts every node into the maps that it is given.
func failing(edit func(*extenderv1.ExtenderFilterResult, extenderv1.FailedNodesMap)) func(heard) said {
	return func(call heard) said {
		all := extenderv1.FailedNodesMap{}
		for _, name := range call.names() {
			all[name] = "said no"
		}
		r := extenderv1.ExtenderFilterResult{NodeNames: &[]string{}}
		if call.args.Nodes != nil {
			r.NodeNames, r.Nodes = nil, &corev1.NodeList{}
		}
		edit(&r, all)
		text, _ := json.Marshal(r)
		return said{body: string(text)}
	}
}

func bound(o outcome) bool { return o.node != "" }

// stuck wants a reason and a message.
func stuck(reason string, parts ...string) func(outcome) bool {
	return func(o outcome) bool {
		for _, part := range parts {
			if !strings.Contains(o.message, part) {
				return false
			}
		}
		return o.node == "" && o.reason == reason
	}
}

const (
	unschedulableReason = corev1.PodReasonUnschedulable
	errorReason         = corev1.PodReasonSchedulerError
)

// filterCases are answers to filter and what the pod comes to.
func filterCases() map[string]struct {
	answer func(heard) said
	wants  func(outcome) bool
} {
	type c = struct {
		answer func(heard) said
		wants  func(outcome) bool
	}
	packed := func(call heard) said {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(agrees(call)))
		_ = z.Close()
		return said{body: b.String(), header: map[string]string{"Content-Encoding": "gzip"}}
	}
	return map[string]c{
		"passes": {nil, bound},
		"gzip":   {packed, bound},
		"lower-case": {func(call heard) said {
			return said{body: strings.NewReplacer(`"Nodes"`, `"nodes"`, `"NodeNames"`, `"nodenames"`).Replace(agrees(call))}
		}, bound},
		"unknown-fields": {func(call heard) said { return said{body: `{"X":1,` + agrees(call)[1:]} }, bound},
		"failed": {
			failing(func(r *extenderv1.ExtenderFilterResult, all extenderv1.FailedNodesMap) { r.FailedNodes = all }),
			stuck(unschedulableReason, "0/5 nodes are available: ", "3 said no"),
		},
		"unresolvable": {failing(func(r *extenderv1.ExtenderFilterResult, all extenderv1.FailedNodesMap) {
			r.FailedAndUnresolvableNodes = all
		}), stuck(unschedulableReason, "3 said no", "5 Preemption is not helpful")},
		"in-both": {failing(func(r *extenderv1.ExtenderFilterResult, all extenderv1.FailedNodesMap) {
			r.FailedNodes, r.FailedAndUnresolvableNodes = all, all
		}), stuck(unschedulableReason, "3 said no", "5 Preemption is not helpful")},
		"not-listed": {
			failing(func(*extenderv1.ExtenderFilterResult, extenderv1.FailedNodesMap) {}),
			stuck(unschedulableReason, "0/5 nodes are available: ", "Preemption is not helpful"),
		},
		"error": {func(call heard) said {
			return said{body: strings.Replace(agrees(call), `"Error":""`, `"Error":"broken"`, 1)}
		}, stuck(errorReason, "broken")},
		"500":     {always(said{status: 500, body: "{}"}), stuck(errorReason, "500")},
		"201":     {func(call heard) said { return said{status: 201, body: agrees(call)} }, stuck(errorReason, "201")},
		"503":     {always(said{status: 503, body: "no decision"}), stuck(errorReason, "503")},
		"empty":   {always(said{status: 200}), stuck(errorReason, "EOF")},
		"no-json": {always(said{body: "sorry"}), stuck(errorReason, "invalid character")},
		"hangs":   {always(said{hang: true}), stuck(errorReason, "exceeded")},
	}
}

func protocolFilter(t *testing.T, e *protocolEnv) {
	for _, extender := range []string{byName, byNode, ignorable} {
		_, suffix, _ := strings.Cut(extender, "/")
		for name, c := range filterCases() {
			e.probe.answer(name+"-"+suffix, answers{"filter": c.answer})
			if err := e.Client.Create(t.Context(), askingPod(name+"-"+suffix, "n", extender)); err != nil {
				t.Fatal(err)
			}
		}
	}
	unknown := `{"NodeNames":["n-0","nobody"]}`
	e.probe.answer("unknown-node", answers{"filter": always(said{body: unknown})})
	e.probe.answer("nodes-for-names", answers{"filter": always(said{body: `{"Nodes":{"items":[{"metadata":{"name":"n-1"}}]}}`})})
	for _, name := range []string{"unknown-node", "nodes-for-names"} {
		if err := e.Client.Create(t.Context(), askingPod(name, "n", byName)); err != nil {
			t.Fatal(err)
		}
	}
	for _, extender := range []string{byName, byNode, ignorable} {
		_, suffix, _ := strings.Cut(extender, "/")
		for name, c := range filterCases() {
			wants := c.wants
			if fails := stuckByError(name); fails && extender == ignorable {
				wants = bound // only a decision binds one who may be ignored
			}
			o := e.outcomeOf(t, name+"-"+suffix, wants)
			t.Logf("%s, %s: %s", name, suffix, o)
		}
	}
	e.outcomeOf(t, "unknown-node", stuck(errorReason, "claims a filtered node", "nobody"))
	e.outcomeOf(t, "nodes-for-names", func(o outcome) bool { return o.node == "n-1" })
	protocolAgain(t, e)
	e.removeAll(t)
}

// protocolAgain: what the scheduler writes into a rejected pod has it tried again, since it judges each
// event by what had rejected the pod.
func protocolAgain(t *testing.T, e *protocolEnv) {
	if e.Before(t, "1.32") {
		return // SchedulerQueueingHints is off: a pod's own status is no event
	}
	cluster.Eventually(t, extenderWait, func() error {
		if n := len(e.probe.of("failed-cached", "filter")); n < 2 {
			return fmt.Errorf("a rejected pod was tried %d times, want twice at least", n)
		}
		return nil
	})
}

func stuckByError(name string) bool {
	return slices.Contains([]string{"error", "500", "201", "503", "empty", "no-json", "hangs"}, name)
}

func (e *protocolEnv) removeAll(t *testing.T) {
	t.Helper()
	if err := e.Client.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace("default"), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, extenderWait, func() error {
		var pods corev1.PodList
		if err := e.Client.List(t.Context(), &pods, client.InNamespace("default")); err != nil || len(pods.Items) > 0 {
			return fmt.Errorf("%d pods are left: %v", len(pods.Items), err)
		}
		return nil
	})
}

// scores makes a HostPriorityList.
func scores(of map[string]int64) func(heard) said {
	list := extenderv1.HostPriorityList{}
	for _, host := range slices.Sorted(maps.Keys(of)) {
		list = append(list, extenderv1.HostPriority{Host: host, Score: of[host]})
	}
	text, _ := json.Marshal(list)
	return always(said{body: string(text)})
}

func protocolPrioritize(t *testing.T, e *protocolEnv) {
	on := func(name string) func(outcome) bool { return func(o outcome) bool { return o.node == name } }
	only := func(call heard) said { return said{body: `{"NodeNames":["n-2"]}`} }
	twice := func(call heard) said { return said{body: `{"NodeNames":["n-0","n-0","n-1","n-1"]}`} }
	tests := map[string]struct {
		answers answers
		wants   func(outcome) bool
		// asked is how many names prioritize is asked about; zero means that it is not called.
		asked int
	}{
		"best-wins":        {answers{"prioritize": scores(map[string]int64{"n-0": 0, "n-1": 10, "n-2": 0})}, on("n-1"), 3},
		"names-one":        {answers{"prioritize": scores(map[string]int64{"n-1": 9})}, on("n-1"), 3},
		"beyond-ten":       {answers{"prioritize": scores(map[string]int64{"n-0": 10, "n-1": 10, "n-2": 1000})}, on("n-2"), 3},
		"unknown-host":     {answers{"prioritize": scores(map[string]int64{"nobody": 1000, "n-0": 10})}, on("n-0"), 3},
		"null":             {answers{"prioritize": always(said{body: "null"})}, bound, 3},
		"fails":            {answers{"prioritize": always(said{status: 500})}, bound, 3},
		"one-is-left":      {answers{"filter": only}, on("n-2"), 0},
		"names-come-twice": {answers{"filter": twice}, bound, 4},
	}
	for name, test := range tests {
		e.probe.answer(name, test.answers)
		if err := e.Client.Create(t.Context(), askingPod(name, "n", byName)); err != nil {
			t.Fatal(err)
		}
		e.outcomeOf(t, name, test.wants)
		calls, asked := e.probe.of(name, "prioritize"), 0
		if len(calls) > 0 {
			asked = len(calls[0].names())
		}
		if asked != test.asked {
			t.Errorf("%s: prioritize was asked about %d names in %d calls, want %d", name, asked, len(calls), test.asked)
		}
	}
	e.removeAll(t)
}

func protocolSent(t *testing.T, e *protocolEnv) {
	narrows := func(call heard) said { return said{body: `{"NodeNames":["n-0","n-1"]}`} }
	e.probe.answer("sent", answers{"filter": func(call heard) said {
		if call.args.NodeNames != nil {
			return narrows(call)
		}
		return said{}
	}})
	if err := e.Client.Create(t.Context(), askingPod("sent", "n", byName, byNode)); err != nil {
		t.Fatal(err)
	}
	e.outcomeOf(t, "sent", bound)
	calls := e.probe.of("sent", "filter")
	if len(calls) != 2 {
		t.Fatalf("%d calls, want one per extender", len(calls))
	}
	first, second := calls[0], calls[1]
	if first.args.Nodes != nil || len(first.names()) != 3 || second.args.NodeNames != nil || len(second.names()) != 2 {
		t.Errorf("first %v, then %v; want names, then whole nodes of those that the first passed", first.names(), second.names())
	}
	if len(second.args.Nodes.Items) > 0 && second.args.Nodes.Items[0].Status.Allocatable.Name("nvidia.com/gpu", "").IsZero() {
		t.Error("whole nodes carry no status")
	}
	if first.method != http.MethodPost || first.proto != "HTTP/1.1" || first.header.Get("Content-Type") != "application/json" || first.header.Get("Accept-Encoding") != "gzip" {
		t.Errorf("%s by %s with %v", first.method, first.proto, first.header)
	}
	if !bytes.HasPrefix(first.body, []byte(`{"Pod":{`)) || !bytes.Contains(first.body, []byte(`},"Nodes":null,"NodeNames":["`)) || !bytes.HasSuffix(bytes.TrimSpace(first.body), []byte(`"]}`)) {
		t.Errorf("the handler's short way to the names does not fit what is sent: %.200s", first.body)
	}
	e.removeAll(t)
}

// protocolInterest shows who costs a call: whoever names a resource of the extender, also in
// quantity zero, and no one else.
func protocolInterest(t *testing.T, e *protocolEnv) {
	initOnly := askingPod("by-init-container", "n", byName)
	initOnly.Spec.InitContainers = []corev1.Container{*initOnly.Spec.Containers[0].DeepCopy()}
	initOnly.Spec.InitContainers[0].Name = "init"
	initOnly.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	gated := askingPod("gated", "n", byName)
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "test.dev/gate"}}
	other := askingPod("other-scheduler", "n", byName)
	other.Spec.SchedulerName = "somebody"
	placed := askingPod("has-a-node", "", byName)
	placed.Spec.NodeName = "n-0"
	for _, pod := range []*corev1.Pod{gated, other, placed, askingPod("asks-nothing", "n"), initOnly, askingPod("asks-zero", "n", byName)} {
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"asks-nothing", "by-init-container", "asks-zero"} {
		e.outcomeOf(t, name, bound)
	}
	for name, want := range map[string]bool{"gated": false, "other-scheduler": false, "has-a-node": false, "asks-nothing": false, "by-init-container": true, "asks-zero": true} {
		if got := len(e.probe.of(name, "filter")) > 0; got != want {
			t.Errorf("%s: called %v, want %v", name, got, want)
		}
	}
	e.removeAll(t)
}

func protocolRequeue(t *testing.T, e *protocolEnv) {
	no := failing(func(r *extenderv1.ExtenderFilterResult, all extenderv1.FailedNodesMap) {
		r.FailedAndUnresolvableNodes = all
	})
	e.probe.answer("poked", answers{"filter": no})
	pod := askingPod("poked", "n", byName)
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	e.outcomeOf(t, "poked", stuck(unschedulableReason, "said no"))
	e.probe.answer("poked", nil)
	if err := e.Client.Patch(t.Context(), pod, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"test.dev/touched":"1"}}}`))); err != nil {
		t.Fatal(err)
	}
	e.outcomeOf(t, "poked", bound)
	e.removeAll(t)
}

// protocolPreempt shows what answers to preempt come to. On each node of pool "full" stands one
// pod of a lower priority.
func protocolPreempt(t *testing.T, e *protocolEnv) {
	if err := e.Client.Create(t.Context(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"low-0", "low-1"} {
		if err := e.Client.Create(t.Context(), extenderPod("default", name, "full", 1)); err != nil {
			t.Fatal(err)
		}
		e.outcomeOf(t, name, bound)
	}
	reply := func(body string) func(heard) said { return always(said{body: body}) }
	none := `{"NodeNameToMetaVictims":{}}`
	for name, test := range map[string]struct {
		answer func(heard) said
		part   string
	}{
		"no-node":     {reply(none), "Insufficient nvidia.com/gpu"},
		"nobody-dies": {reply(`{"NodeNameToMetaVictims":{"full-0":{"Pods":[]}}}`), "expected at least one victim pod"},
		"unknown-uid": {reply(`{"NodeNameToMetaVictims":{"full-0":{"Pods":[{"UID":"x"}]}}}`), "extender"},
		"fails":       {always(said{status: 500}), "500"},
	} {
		pod := highPod("preempt-"+name, byName)
		e.probe.answer(pod.Name, answers{"preempt": test.answer})
		if err := e.Client.Create(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		o := e.outcomeOf(t, pod.Name, func(o outcome) bool { return o.node == "" && strings.Contains(o.message, test.part) })
		t.Logf("%s: %s", name, o)
		if len(e.probe.of(pod.Name, "preempt")) == 0 {
			t.Errorf("%s: preempt was not called", name)
		}
		if err := e.Client.Delete(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	for _, extender := range []string{byName, byNode} {
		preemptOn(t, e, extender)
	}
	e.removeAll(t)
}

func highPod(name, extender string) *corev1.Pod {
	pod := askingPod(name, "full", extender)
	pod.Spec.PriorityClassName = "high"
	maps.Copy(pod.Spec.Containers[0].Resources.Requests, extenderGPUs(1))
	return pod
}

// preemptOn has the extender choose the node, though the scheduler offers two, and sees the
// nominated pod asked about with that node alone.
func preemptOn(t *testing.T, e *protocolEnv, extender string) {
	_, suffix, _ := strings.Cut(extender, "/")
	pod := highPod("takes-"+suffix, extender)
	chosen := ""
	e.probe.answer(pod.Name, answers{"preempt": func(call heard) said {
		var all extenderv1.ExtenderPreemptionResult
		_ = json.Unmarshal([]byte(agrees(call)), &all)
		chosen = slices.Max(slices.Collect(maps.Keys(all.NodeNameToMetaVictims)))
		maps.DeleteFunc(all.NodeNameToMetaVictims, func(node string, _ *extenderv1.MetaVictims) bool { return node != chosen })
		text, _ := json.Marshal(all)
		return said{body: string(text)}
	}})
	if err := e.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	o := e.outcomeOf(t, pod.Name, bound)
	call := e.probe.of(pod.Name, "preempt")[0].preempt
	if byUID := call.NodeNameToMetaVictims != nil; byUID != (extender == byName) || byUID == (call.NodeNameToVictims != nil) {
		t.Errorf("%s: victims by UID %v, as pods %v", suffix, call.NodeNameToMetaVictims, call.NodeNameToVictims)
	}
	if o.node != chosen {
		t.Errorf("%s: bound to %s, want %s", suffix, o.node, chosen)
	}
	last := e.probe.of(pod.Name, "filter")
	if len(last) == 0 || last[0].args.Pod.Status.NominatedNodeName != chosen || !slices.Equal(last[0].names(), []string{chosen}) {
		t.Errorf("%s: after the nomination, filter was called with %d calls", suffix, len(last))
	}
}

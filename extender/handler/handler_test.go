package handler

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	configv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/metrics"
)

const gpu = "nvidia.com/gpu"

func gpus(n string) corev1.ResourceList { return corev1.ResourceList{gpu: resource.MustParse(n)} }

func node(name, pool string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": pool}},
		Status:     corev1.NodeStatus{Allocatable: corev1.ResourceList{gpu: resource.MustParse("8"), corev1.ResourcePods: resource.MustParse("110")}},
	}
}

func pod(namespace, name, onNode, request string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)},
		Spec: corev1.PodSpec{NodeName: onNode, Containers: []corev1.Container{{
			Resources: corev1.ResourceRequirements{Requests: gpus(request)},
		}}},
	}
}

func placeholder(name, onNode string) *corev1.Pod {
	p := pod("hold", name, onNode, "1")
	p.Labels = map[string]string{v1alpha1.LabelPool: "a100"}
	p.Spec.PriorityClassName = v1alpha1.PlaceholderPriorityClass
	return p
}

func warmPool(wanted int32) *v1alpha1.WarmPool {
	p := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", Generation: 1}}
	p.Spec.Mode = v1alpha1.ModeEnforce
	p.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "a100"}
	p.Spec.Demand.Resource = gpu
	p.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "ml"}
	p.Status.Chunks = []v1alpha1.ChunkStatus{{Name: "single", Wanted: wanted}}
	return p
}

// cluster is an index of two pool nodes and one other.
func cluster() *Index {
	x := NewIndex("hold")
	x.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ml", Labels: map[string]string{"team": "ml"}}})
	for _, name := range []string{"web", "hold", "kube-system", "forewarm-system"} {
		x.SetNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	x.SetNode(node("warm-1", "a100"))
	x.SetPool(warmPool(2))
	x.SetNode(node("warm-2", "a100"))
	x.SetNode(node("plain", ""))
	x.SetPod(pod("ml", "work", "warm-2", "4"))
	x.SetPod(placeholder("hold-1", "warm-1"))
	return x
}

func serve(x *Index, edit ...func(*Options)) http.Handler {
	o := Options{Index: x, Synced: func() bool { return true }, Deadline: time.Second, Metrics: metrics.New(x, prometheus.NewRegistry()), Log: logr.Discard()}
	for _, e := range edit {
		e(&o)
	}
	return New(o)
}

func post[R any](t *testing.T, h http.Handler, path string, args any) R {
	t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, recorder.Code, recorder.Body)
	}
	var reply R
	if err := json.Unmarshal(recorder.Body.Bytes(), &reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

func postRaw(h http.Handler, path, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder
}

func TestFilterNamesEveryRefusedNode(t *testing.T) {
	names := []string{"warm-1", "plain", "warm-1", "unknown"}
	got := post[extenderv1.ExtenderFilterResult](t, serve(cluster()), "/filter", extenderv1.ExtenderArgs{Pod: pod("web", "p", "", "1"), NodeNames: &names})
	if diff := cmp.Diff([]string{"plain", "unknown"}, *got.NodeNames); diff != "" {
		t.Errorf("passed (-want +got):\n%s", diff)
	}
	if message := got.FailedAndUnresolvableNodes["warm-1"]; !strings.Contains(message, "WarmPool a100") || len(got.FailedAndUnresolvableNodes) != 1 {
		t.Errorf("refused %v", got.FailedAndUnresolvableNodes)
	}
	mine := post[extenderv1.ExtenderFilterResult](t, serve(cluster()), "/filter", extenderv1.ExtenderArgs{Pod: pod("ml", "p", "", "1"), NodeNames: &names})
	if diff := cmp.Diff([]string{"warm-1", "plain", "unknown"}, *mine.NodeNames); diff != "" {
		t.Errorf("passed for the class (-want +got):\n%s", diff)
	}
}

func TestFilterAnswersNodesForNodes(t *testing.T) {
	list := &corev1.NodeList{Items: []corev1.Node{*node("warm-1", "a100"), *node("plain", "")}}
	got := post[extenderv1.ExtenderFilterResult](t, serve(cluster()), "/filter", extenderv1.ExtenderArgs{Pod: pod("web", "p", "", "1"), Nodes: list})
	if got.NodeNames != nil || len(got.Nodes.Items) != 1 || got.Nodes.Items[0].Name != "plain" {
		t.Errorf("reply %+v", got)
	}
}

func TestNothingIsGuardedWhenNobodyIsExpected(t *testing.T) {
	x := cluster()
	x.SetPool(warmPool(0))
	names := []string{"warm-1"}
	got := post[extenderv1.ExtenderFilterResult](t, serve(x), "/filter", extenderv1.ExtenderArgs{Pod: pod("web", "p", "", "1"), NodeNames: &names})
	if len(*got.NodeNames) != 1 {
		t.Errorf("refused %v", got.FailedAndUnresolvableNodes)
	}
}

func TestPrioritizePrefersTheFullestNode(t *testing.T) {
	names := []string{"warm-1", "warm-2", "plain"}
	got := post[extenderv1.HostPriorityList](t, serve(cluster()), "/prioritize", extenderv1.ExtenderArgs{Pod: pod("ml", "p", "", "1"), NodeNames: &names})
	want := extenderv1.HostPriorityList{{Host: "warm-2", Score: 9}} // above the others, which the scheduler gives zero
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
}

func TestPreemptTakesPlaceholdersOnly(t *testing.T) {
	args := extenderv1.ExtenderPreemptionArgs{Pod: pod("ml", "p", "", "1"), NodeNameToMetaVictims: map[string]*extenderv1.MetaVictims{
		"warm-1": {Pods: []*extenderv1.MetaPod{{UID: "hold-1"}}},
		"warm-2": {Pods: []*extenderv1.MetaPod{{UID: "work"}}, NumPDBViolations: 1},
	}}
	want := map[string]*extenderv1.MetaVictims{"warm-1": args.NodeNameToMetaVictims["warm-1"]}
	got := post[extenderv1.ExtenderPreemptionResult](t, serve(cluster()), "/preempt", args)
	if diff := cmp.Diff(want, got.NodeNameToMetaVictims); diff != "" {
		t.Errorf("by UID (-want +got):\n%s", diff)
	}
	whole := extenderv1.ExtenderPreemptionArgs{Pod: args.Pod, NodeNameToVictims: map[string]*extenderv1.Victims{
		"warm-1": {Pods: []*corev1.Pod{placeholder("hold-1", "warm-1")}}, "warm-2": {Pods: []*corev1.Pod{pod("ml", "work", "warm-2", "4")}},
	}}
	got = post[extenderv1.ExtenderPreemptionResult](t, serve(cluster()), "/preempt", whole)
	if diff := cmp.Diff(want, got.NodeNameToMetaVictims); diff != "" {
		t.Errorf("whole pods (-want +got):\n%s", diff)
	}
	args.Pod = pod("web", "p", "", "1")
	got = post[extenderv1.ExtenderPreemptionResult](t, serve(cluster()), "/preempt", args)
	if _, taken := got.NodeNameToMetaVictims["warm-1"]; taken || len(got.NodeNameToMetaVictims) != 1 {
		t.Errorf("another class may preempt on %v, want warm-2 alone", got.NodeNameToMetaVictims)
	}
}

func TestWhatCannotBeDecidedPassesThrough(t *testing.T) {
	names := []string{"warm-1", "plain"}
	args := extenderv1.ExtenderArgs{Pod: pod("web", "p", "", "1"), NodeNames: &names}
	locked := cluster()
	locked.mu.Lock() // a decision that never comes
	broken := cluster()
	broken.classes = append(broken.classes, broken.classes[0])
	broken.classes[1].Pods = nil // panics
	old := cluster()
	old.Doubt(func() bool { return true })
	tests := map[string]http.Handler{
		"behind":   serve(old),
		"unsynced": serve(cluster(), func(o *Options) { o.Synced = func() bool { return false } }),
		"late":     serve(locked, func(o *Options) { o.Deadline = 20 * time.Millisecond }),
		"failed":   serve(broken),
	}
	for name, h := range tests {
		t.Run(name, func(t *testing.T) {
			pods := args
			if name == "failed" {
				pods.Pod = pod("ml", "p", "", "1")
			}
			got := post[extenderv1.ExtenderFilterResult](t, h, "/filter", pods)
			if diff := cmp.Diff(names, *got.NodeNames); diff != "" {
				t.Errorf("passed (-want +got):\n%s", diff)
			}
			scores := post[extenderv1.HostPriorityList](t, h, "/prioritize", pods)
			if len(scores) != 0 {
				t.Errorf("scores %v, want none", scores)
			}
			candidates := map[string]*extenderv1.MetaVictims{"warm-1": {Pods: []*extenderv1.MetaPod{{UID: "hold-1"}}}}
			victims := post[extenderv1.ExtenderPreemptionResult](t, h, "/preempt", extenderv1.ExtenderPreemptionArgs{Pod: pods.Pod, NodeNameToMetaVictims: candidates})
			if diff := cmp.Diff(candidates, victims.NodeNameToMetaVictims); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSenselessRequestsAreRefused(t *testing.T) {
	tests := map[string]struct {
		method, contentType, body string
		wantStatus                int
		wantText                  string
	}{
		"wrong method":    {http.MethodGet, "application/json", "", 405, "send POST"},
		"wrong type":      {http.MethodPost, "text/plain", "{}", 415, "send application/json"},
		"no JSON":         {http.MethodPost, "application/json", "{", 400, "not a request"},
		"no pod":          {http.MethodPost, "application/json", `{"NodeNames":[]}`, 400, "Pod is missing"},
		"no nodes":        {http.MethodPost, "application/json", `{"Pod":{}}`, 400, "exactly one of"},
		"both node lists": {http.MethodPost, "application/json", `{"Pod":{},"NodeNames":[],"Nodes":{}}`, 400, "exactly one of"},
		"empty":           {http.MethodPost, "application/json", "", 400, "empty"},
		"too large":       {http.MethodPost, "application/json", `{"x":"` + strings.Repeat("x", maxBody) + `"}`, 413, "nodeCacheCapable"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(test.method, "/filter", strings.NewReader(test.body))
			request.Header.Set("Content-Type", test.contentType)
			recorder := httptest.NewRecorder()
			serve(cluster()).ServeHTTP(recorder, request)
			if recorder.Code != test.wantStatus || !strings.Contains(recorder.Body.String(), test.wantText) {
				t.Errorf("status %d: %s; want %d with %q", recorder.Code, recorder.Body, test.wantStatus, test.wantText)
			}
		})
	}
}

func TestWhoIsKeptOffAWarmNode(t *testing.T) {
	daemon := pod("web", "daemon", "", "1")
	daemon.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", Controller: new(true)}}
	impostor := placeholder("impostor", "")
	impostor.Spec.PriorityClassName = "urgent"
	tests := map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"another class":                        {pod("web", "p", "", "1"), true},
		"the class":                            {pod("ml", "p", "", "1"), false},
		"a placeholder of the pool":            {placeholder("hold-2", ""), false},
		"work among the placeholders":          {impostor, true},
		"a DaemonSet's pod":                    {daemon, false},
		"a system pod":                         {pod("kube-system", "p", "", "1"), false},
		"a pod of ours":                        {pod("forewarm-system", "p", "", "1"), false},
		"a namespace that has not been seen":   {pod("new", "p", "", "1"), false},
		"a pod that asks for no GPU of theirs": {pod("web", "p", "", "0"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := cluster().Filter(test.pod, []string{"warm-1"})[0]; (got.Reason != "") != test.want {
				t.Errorf("verdict %+v, want refused %v", got, test.want)
			}
		})
	}
}

func TestAPlaceholderIsKnownBeforeItIsBound(t *testing.T) {
	x := cluster()
	x.SetPod(placeholder("hold-2", ""))
	candidates := Candidates{"warm-2": {Pods: []types.UID{"hold-2"}}}
	if got := x.SelectVictims(pod("web", "p", "", "1"), candidates); len(got) != 0 {
		t.Errorf("another class may preempt on %v, want nowhere", got)
	}
	if got := x.SelectVictims(pod("ml", "p", "", "1"), candidates); len(got) != 1 {
		t.Errorf("the class may preempt on %v, want warm-2", got)
	}
	x.SetPod(placeholder("hold-2", "warm-2"))
	if got := x.node("warm-2").Placeholders[gpu]; got != 1 {
		t.Errorf("bound, it holds %d GPUs, want 1", got)
	}
}

func TestIndexForgetsWhatIsGone(t *testing.T) {
	x := cluster()
	for range 3 {
		x.SetPod(pod("ml", "work", "warm-2", "4"))
	}
	if got := x.node("warm-2").Real[gpu]; got != 4 {
		t.Errorf("an update counts again: %d GPUs", got)
	}
	ended := pod("ml", "work", "warm-2", "4")
	ended.Status.Phase = corev1.PodSucceeded
	x.SetPod(ended)
	x.DropPod(ended)
	if got := x.node("warm-2").Real[gpu]; got != 0 {
		t.Errorf("an ended pod still holds %d GPUs", got)
	}
	x.DropPod(placeholder("hold-1", "warm-1"))
	if left := x.node("warm-1"); len(x.pods) != 0 || left.Placeholders[gpu] != 0 || len(left.Stand) != 0 {
		t.Errorf("without pods there are still pods %v and usage %v", x.pods, left)
	}
	again := warmPool(2) // deleted and recreated while the watch was broken
	again.UID = "again"
	again.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": ""}
	x.SetPool(again)
	if got := x.node("plain").Pool; got != "a100" {
		t.Errorf("plain is of pool %q, want a100 after it was recreated", got)
	}
	x.DropPool(again)
	if got := x.node("plain").Pool; got != "" || len(x.held) != 0 {
		t.Errorf("a deleted pool still has node plain (%q) and holds %v", got, x.held)
	}
}

func TestManifestsAreTheSchedulerEntry(t *testing.T) {
	decode := func(text []byte, what string) {
		var c configv1.KubeSchedulerConfiguration
		if err := yaml.UnmarshalStrict(text, &c); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		names := []string{gpu, "nvidia.com/gpu.shared", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"}
		for _, e := range c.Extenders {
			for _, r := range e.ManagedResources {
				if strings.HasPrefix(r.Name, "nvidia.com/mig-") {
					names = append(names, r.Name)
				}
			}
		}
		if diff := cmp.Diff([]configv1.Extender{SchedulerEntry("http://127.0.0.1:8888", names...)}, c.Extenders); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	data, err := os.ReadFile("../../manifests/scheduler/kube-scheduler-configuration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decode(data, "self-managed")
	if data, err = os.ReadFile("../../manifests/scheduler/second-scheduler.yaml"); err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		var m corev1.ConfigMap
		if err := yaml.Unmarshal([]byte(document), &m); err == nil && m.Kind == "ConfigMap" {
			decode([]byte(m.Data["scheduler.yaml"]), "second scheduler")
			return
		}
	}
	t.Error("second-scheduler.yaml holds no ConfigMap with scheduler.yaml")
}

func FuzzRequests(f *testing.F) {
	f.Add("/filter", `{"Pod":{},"NodeNames":["a"]}`)
	f.Add("/prioritize", `{"Pod":{},"Nodes":{"items":[{}]}}`)
	f.Add("/preempt", `{"Pod":{},"NodeNameToMetaVictims":{"a":null,"b":{"Pods":[null]}}}`)
	f.Add("/filter", `{"Pod":{"metadata":{"namespace":"web","name":"p","uid":"p"},"spec":{"containers":[{"resources":{"requests":{"nvidia.com/gpu":"1"}}}]}},"Nodes":null,"NodeNames":["warm-1","warm-2","warm-1","gone"]}`)
	f.Add("/prioritize", `{"Pod":{"metadata":{"namespace":"ml","name":"p","uid":"p"},"spec":{"containers":[{"resources":{"requests":{"nvidia.com/gpu":"9E"}}}],"resourceClaims":[{"name":"c"}]}},"Nodes":null,"NodeNames":["plain","warm-2"]}`)
	f.Add("/preempt", `{"Pod":{"metadata":{"namespace":"ml","name":"p","uid":"p"},"spec":{"priority":1,"containers":[{"resources":{"requests":{"nvidia.com/gpu":"1"}}}]}},"NodeNameToVictims":{"warm-1":{"Pods":[{"metadata":{"uid":"hold-1"}}],"NumPDBViolations":-1},"gone":{}}}`)
	h := serve(cluster())
	f.Fuzz(func(t *testing.T, path, body string) {
		if path != "/filter" && path != "/prioritize" && path != "/preempt" {
			return
		}
		recorder := postRaw(h, path, body)
		if recorder.Code != http.StatusOK && recorder.Code != http.StatusBadRequest {
			t.Errorf("status %d", recorder.Code)
		}
	})
}

func BenchmarkFilterAndPrioritize(b *testing.B) {
	x := cluster()
	var names []string
	for i := range 5000 {
		n := node(fmt.Sprintf("node-%04d", i), "a100")
		x.SetNode(n)
		x.SetPod(pod("ml", fmt.Sprintf("pod-%04d", i), n.Name, "1"))
		if i < 500 {
			names = append(names, n.Name)
		}
	}
	body, err := json.Marshal(extenderv1.ExtenderArgs{Pod: pod("ml", "p", "", "1"), NodeNames: &names})
	if err != nil {
		b.Fatal(err)
	}
	h := serve(x)
	b.ReportAllocs()
	for b.Loop() {
		for _, path := range []string{"/filter", "/prioritize"} {
			request := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
			request.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(httptest.NewRecorder(), request)
		}
	}
}

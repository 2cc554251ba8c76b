package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
)

// Extenders of the protocol's tests, each for the pods that name it as a resource, in quantity
// zero, as forewarm.dev/managed is asked for.
const (
	byName    = "test.dev/cached"    // nodeCacheCapable: true
	byNode    = "test.dev/whole"     // nodeCacheCapable: false
	ignorable = "test.dev/ignorable" // as byName, and ignorable
)

// protocolTimeout is the httpTimeout of the extenders.
const protocolTimeout = 400 * time.Millisecond

// heard is one call of the scheduler.
type heard struct {
	verb    string
	header  http.Header
	proto   string
	method  string
	body    []byte
	args    extenderv1.ExtenderArgs
	preempt extenderv1.ExtenderPreemptionArgs
	at      time.Time
}

// names are the nodes that a call is about.
func (h heard) names() []string {
	if h.args.NodeNames != nil {
		return *h.args.NodeNames
	}
	var names []string
	if h.args.Nodes != nil {
		for i := range h.args.Nodes.Items {
			names = append(names, h.args.Nodes.Items[i].Name)
		}
	}
	return names
}

// said is an answer; the zero value passes everything.
type said struct {
	status int
	body   string
	header map[string]string
	hang   bool
}

// answers say what to answer to a verb.
type answers map[string]func(heard) said

// probe is an extender that answers each pod, by its name, as a test wants, and remembers.
type probe struct {
	mu      sync.Mutex
	answers map[string]answers
	calls   map[string][]heard
}

// entry is the scheduler's configuration for one of the extenders.
func (p *probe) entry(url, managed string) configv1.Extender {
	return configv1.Extender{
		URLPrefix: url, FilterVerb: "filter", PrioritizeVerb: "prioritize", PreemptVerb: "preempt", Weight: 5,
		HTTPTimeout: metav1.Duration{Duration: protocolTimeout}, NodeCacheCapable: managed != byNode, Ignorable: managed == ignorable,
		ManagedResources: []configv1.ExtenderManagedResource{{Name: managed, IgnoredByScheduler: true}},
	}
}

func (p *probe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := heard{verb: strings.TrimPrefix(r.URL.Path, "/"), header: r.Header, proto: r.Proto, method: r.Method, at: time.Now()}
	call.body, _ = io.ReadAll(r.Body)
	pod := ""
	if call.verb == "preempt" {
		_ = json.Unmarshal(call.body, &call.preempt)
		pod = call.preempt.Pod.Name
	} else {
		_ = json.Unmarshal(call.body, &call.args)
		pod = call.args.Pod.Name
	}
	p.mu.Lock()
	p.calls[pod] = append(p.calls[pod], call)
	answer := p.answers[pod][call.verb]
	p.mu.Unlock()
	reply := said{}
	if answer != nil {
		reply = answer(call)
	}
	if reply.hang {
		<-r.Context().Done()
		return
	}
	for key, value := range reply.header {
		w.Header().Set(key, value)
	}
	if reply.status != 0 {
		w.WriteHeader(reply.status)
	}
	if reply.body == "" && reply.status == 0 {
		reply.body = agrees(call)
	}
	_, _ = io.WriteString(w, reply.body)
}

// agrees passes everything and has no preference.
func agrees(call heard) string {
	var reply any
	switch call.verb {
	case "filter":
		reply = extenderv1.ExtenderFilterResult{Nodes: call.args.Nodes, NodeNames: call.args.NodeNames}
	case "prioritize":
		reply = extenderv1.HostPriorityList{}
	default:
		meta := call.preempt.NodeNameToMetaVictims
		if meta == nil {
			meta = map[string]*extenderv1.MetaVictims{}
			for node, victims := range call.preempt.NodeNameToVictims {
				meta[node] = &extenderv1.MetaVictims{}
				for _, pod := range victims.Pods {
					meta[node].Pods = append(meta[node].Pods, &extenderv1.MetaPod{UID: string(pod.UID)})
				}
			}
		}
		reply = extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: meta}
	}
	text, _ := json.Marshal(reply)
	return string(text)
}

// of are the calls of a verb about a pod.
func (p *probe) of(pod, verb string) []heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	var calls []heard
	for _, call := range p.calls[pod] {
		if call.verb == verb {
			calls = append(calls, call)
		}
	}
	return calls
}

// answer sets what a pod is answered.
func (p *probe) answer(pod string, a answers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[pod] = a
}

// protocolEnv is a control plane whose scheduler calls the probe.
type protocolEnv struct {
	*cluster.Cluster
	probe *probe
}

func newProtocolEnv(t *testing.T) *protocolEnv {
	t.Helper()
	p := &probe{answers: map[string]answers{}, calls: map[string][]heard{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	e := &protocolEnv{probe: p}
	e.Cluster = cluster.ForTest(t, cluster.Options{
		Scheduler: true, ControllerManager: true, KWOK: true,
		SchedulerExtenders: []configv1.Extender{p.entry(server.URL, byName), p.entry(server.URL, byNode), p.entry(server.URL, ignorable)},
		StaticNodes: []cluster.NodeTemplate{
			{Name: "n", Count: 3, GPUs: 8, Labels: map[string]string{"pool": "n"}},
			{Name: "full", Count: 2, GPUs: 1, Labels: map[string]string{"pool": "full"}},
		},
	})
	return e
}

// askingPod concerns the named extenders, by asking for nothing of them, on the nodes of a pool.
func askingPod(name, pool string, extenders ...string) *corev1.Pod {
	pod := extenderPod("default", name, pool, 0)
	pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](0)
	list := corev1.ResourceList{}
	for _, extender := range extenders {
		list[corev1.ResourceName(extender)] = resource.MustParse("0")
	}
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: list, Limits: list}
	return pod
}

// outcome is what became of a pod: where it is, or why not.
type outcome struct{ node, reason, message string }

func (o outcome) String() string {
	if o.node != "" {
		return "bound to " + o.node
	}
	return o.reason + ": " + o.message
}

// outcomeOf waits until the scheduler has said something about a pod that holds wants.
func (e *protocolEnv) outcomeOf(t *testing.T, name string, wants func(outcome) bool) outcome {
	t.Helper()
	var o outcome
	cluster.Eventually(t, extenderWait, func() error {
		pod := &corev1.Pod{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, pod); err != nil {
			return err
		}
		o = outcome{node: pod.Spec.NodeName}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				o.reason, o.message = c.Reason, c.Message
			}
		}
		if !wants(o) {
			return fmt.Errorf("%s is %s", name, o)
		}
		return nil
	})
	return o
}

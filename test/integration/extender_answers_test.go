package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// extenderBorrow: a pool that lends never refuses others though it expects nobody, and lends from
// when its spec says so.
func extenderBorrow(t *testing.T, e *extenderEnv) {
	e.expect(t, 0)
	lends := func(when v1alpha1.Borrow) time.Time {
		pool := &v1alpha1.WarmPool{}
		pool.Name = "a100"
		patch := fmt.Appendf(nil, `{"spec":{"borrow":%q}}`, when)
		if err := e.Client.Patch(t.Context(), pool, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	lends(v1alpha1.BorrowNever)
	cluster.Eventually(t, extenderWait, func() error { // until the extender has seen it
		if got := e.filtered(t, "web", "warm-0"); len(got.FailedAndUnresolvableNodes) != 1 {
			return fmt.Errorf("filter answers %v, want a refusal", got)
		}
		return nil
	})
	borrower := extenderPod("web", "borrower", "warm", 1)
	if err := e.Client.Create(t.Context(), borrower); err != nil {
		t.Fatal(err)
	}
	e.refused(t, borrower, "kept warm for the demand class of WarmPool a100")
	lent := lends(v1alpha1.BorrowWhenIdle)
	e.bound(t, borrower)
	if took, most := time.Since(lent), freedWithin(t, e); took > most {
		t.Errorf("seen bound %s after the pool lent, want at most %s", took, most)
	}
	e.expect(t, 2)
	e.remove(t, borrower)
}

// call asks the extender itself, as the scheduler does.
func (e *extenderEnv) call(t *testing.T, verb string, args, result any) {
	t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+e.address+"/"+verb, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", response.StatusCode, answer)
	}
	if err == nil {
		err = json.Unmarshal(answer, result)
	}
	if err != nil {
		t.Fatalf("%s: %v", verb, err)
	}
}

// filtered is what filter answers to a pod of one GPU that nobody has created.
func (e *extenderEnv) filtered(t *testing.T, namespace string, nodes ...string) extenderv1.ExtenderFilterResult {
	t.Helper()
	var result extenderv1.ExtenderFilterResult
	e.call(t, "filter", extenderv1.ExtenderArgs{Pod: extenderPod(namespace, "asked-about", "", 1), NodeNames: &nodes}, &result)
	return result
}

// answersAsked are how many pods are asked about, by three calls each.
const answersAsked = 300

// asks calls all verbs about pods of two classes, and returns how long each call took at most. The
// last verb has the extender expect the pod nowhere any more.
func (e *extenderEnv) asks(t *testing.T) time.Duration {
	t.Helper()
	nodes, slowest := []string{"warm-0", "warm-1", "plain-0", "plain-1", "burst-0"}, time.Duration(0)
	for i := range answersAsked {
		pod := extenderPod([]string{"ml", "web"}[i%2], fmt.Sprint("asked-", i), "", 1)
		pod.UID = types.UID(pod.Name)
		victims := map[string]*extenderv1.MetaVictims{"warm-0": {Pods: []*extenderv1.MetaPod{{UID: "nobody"}}}}
		for _, c := range []struct {
			verb         string
			args, result any
		}{
			{"filter", extenderv1.ExtenderArgs{Pod: pod, NodeNames: &nodes}, &extenderv1.ExtenderFilterResult{}},
			{"prioritize", extenderv1.ExtenderArgs{Pod: pod, NodeNames: &nodes}, &extenderv1.HostPriorityList{}},
			{"preempt", extenderv1.ExtenderPreemptionArgs{Pod: pod, NodeNameToMetaVictims: victims}, &extenderv1.ExtenderPreemptionResult{}},
		} {
			started := time.Now()
			e.call(t, c.verb, c.args, c.result)
			slowest = max(slowest, time.Since(started))
		}
	}
	return slowest
}

// extenderAsksNobody counts what the extender asks the API server while it is asked itself. Once a
// minute it audits, and now and then a watch begins anew; so one of a few tries must count nothing.
func extenderAsksNobody(t *testing.T, e *extenderEnv) {
	diff := ""
	for range 3 {
		before := e.sent(t)
		if len(before) == 0 {
			t.Fatal("requests to the API server are not counted")
		}
		e.asks(t)
		if diff = cmp.Diff(before, e.sent(t)); diff == "" {
			return
		}
	}
	t.Errorf("requests to the API server during %d calls (-before +after):\n%s", 3*answersAsked, diff)
}

// sent are the extender's requests to the API server, by method and code.
func (e *extenderEnv) sent(t *testing.T) map[string]float64 {
	t.Helper()
	counts := map[string]float64{}
	for _, m := range metricsOf(t, http.DefaultClient, "http://"+e.metrics+"/metrics")["rest_client_requests_total"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		counts[labels["method"]+" "+labels["code"]] += m.GetCounter().GetValue()
	}
	return counts
}

// extenderAlone: the API server hangs, and the extender answers from what it knows, by decision and
// within its deadline.
func extenderAlone(t *testing.T, e *extenderEnv) {
	const deadline = 200 * time.Millisecond // the default of extender.deadline
	server := e.ProcessOf("kube-apiserver")
	if err := syscall.Kill(server.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = syscall.Kill(server.PID(), syscall.SIGCONT) }
	defer goOn()
	before := e.requests(t)
	slowest := e.asks(t)
	refusal := e.filtered(t, "web", "warm-0")
	after := e.requests(t)
	goOn()
	if slowest > deadline {
		t.Errorf("a call took %s, want at most %s", slowest, deadline)
	}
	if len(refusal.FailedAndUnresolvableNodes) != 1 {
		t.Errorf("filter answers %v, want what it knows of the pool", refusal)
	}
	for verb, calls := range map[string]float64{"filter ok": answersAsked + 1, "prioritize ok": answersAsked, "preempt ok": answersAsked} {
		if got := after[verb] - before[verb]; got != calls {
			t.Errorf("%v calls were %s, want %v", got, verb, calls)
		}
	}
	t.Logf("the slowest of %d calls took %s", 3*answersAsked, slowest)
	pod := extenderPod("web", "afterwards", "plain", 1)
	cluster.Eventually(t, extenderWait, func() error { return client.IgnoreAlreadyExists(e.Client.Create(t.Context(), pod.DeepCopy())) })
	e.bound(t, pod)
	e.remove(t, pod)
}

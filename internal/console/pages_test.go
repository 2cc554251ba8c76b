package console

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

func newDecision(name string, when time.Time, wanted int32) *v1alpha1.Decision {
	return &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelPool: "a100"}},
		Spec: v1alpha1.DecisionSpec{
			Pool: "a100", Mode: v1alpha1.ModeApprove, At: metav1.NewMicroTime(when), Ungate: 2, Applied: true, Reason: "single: 7 (ForecastDemand)",
			Chunks: []v1alpha1.DecidedChunk{{Name: "single", Demand: "20.5", Level: "32", Source: "Auto", Policy: "Forecast", Wanted: wanted, Reason: "ForecastDemand", LimitedBy: []string{"spec.sizing.maxNodes"}}},
		},
	}
}

func newPlan(name string) *v1alpha1.CapacityPlan {
	return &v1alpha1.CapacityPlan{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CapacityPlanSpec{
		Pool: "a100", Nodes: 3, CostPerHour: "9", Reason: "single: 3 more", Requester: "reserver", Expires: metav1.NewTime(at.Add(time.Hour)),
		Chunks: []v1alpha1.PlannedChunk{{Name: "single", Ungated: 5, More: 3}},
	}}
}

func (w *world) plan(t *testing.T, name string) *v1alpha1.CapacityPlan {
	t.Helper()
	plan := &v1alpha1.CapacityPlan{}
	if err := w.store.Get(t.Context(), client.ObjectKey{Name: name}, plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestPools(t *testing.T) {
	empty := newWorld(t)
	empty.signIn(t, "alice").sees("/pools", "There is no WarmPool yet")
	body := newWorld(t, newPool()).signIn(t, "alice").sees("/pools", `href="/pools/a100"`, "WaitingForNodes", "2 of 7 wait", "Mode Approve", "raise &lt;spec.sizing.maxNodes&gt;",
		`<th scope="row">single</th><td class="number">20</td><td class="number">27</td><td class="number">31</td><td class="number">7</td><td class="number">5</td><td class="number">2</td><td class="number">1</td><td class="number">16</td>`)
	if strings.Contains(body, "nobody else") {
		t.Error("a condition that is false is told as a problem")
	}
}

func TestAPoolHasItsChartsAndTables(t *testing.T) {
	w := newWorld(t, newPool(), newDecision("d1", at.Add(-2*time.Hour), 3), newDecision("d2", at.Add(-time.Hour), 7))
	w.series = forecast.Series{Start: at.Add(-6 * time.Hour), Step: time.Minute}
	for i := range 360 {
		w.series.Values = append(w.series.Values, 20+10*math.Sin(float64(i)/30))
	}
	p := w.signIn(t, "alice")
	body := p.sees("/pools/a100", `<svg class="chart" role="img" aria-labelledby="fan-single-title fan-single-text"`, "<title id=\"fan-single-title\">Demand of a100, chunk single",
		"80 % band", "median", "The forecast in numbers", `aria-labelledby="steps-single-title steps-single-text"`, "placeholders wanted", "7 wanted at a demand of 20.5",
		"Within the lead time at most 27 in half", "single: 7 (ForecastDemand)", `class="chart-line-forecast`)
	if rows := strings.Count(body, `<td class="number">20.5</td>`); rows != 2 {
		t.Errorf("%d rows of decisions, want 2", rows)
	}
	if strings.Contains(body, "#1F77B4") {
		t.Error("a colour is written into the page, which knows no day and night")
	}
	w.set(func() { w.denied["list decisions"], w.denied["list demandhistories"] = true, true })
	body = p.sees("/pools/a100", "list decisions.forewarm.dev", "list demandhistories.forewarm.dev")
	if strings.Contains(body, "<svg class=") {
		t.Error("a chart is shown to who may not read what it is made of")
	}
	if got := p.get("/pools/none"); got.status != http.StatusNotFound {
		t.Errorf("a pool that is not there: %d", got.status)
	}
}

// TestNoHistoryIsTold: neither is there demand yet, nor where the reserver reads it from a Prometheus.
func TestNoHistoryIsTold(t *testing.T) {
	body := newWorld(t, newPool()).signIn(t, "alice").sees("/pools/a100", "This chunk has no DemandHistory yet", "forewarmctl forecast --pool a100 --chunk single --prometheus URL")
	if strings.Contains(body, "fan-single") {
		t.Error("a forecast of nothing is drawn")
	}
}

func newEvent(namespace, name, reason, of string, related *corev1.ObjectReference) *corev1.Event {
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Reason: reason, Message: "about " + of, EventTime: metav1.NewMicroTime(at.Add(-time.Minute)),
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: of, UID: "pod"}, Related: related,
	}
}

func TestTakeoversAndWaits(t *testing.T) {
	ours, other := &corev1.ObjectReference{Kind: "WarmPool", Name: "a100"}, &corev1.ObjectReference{Kind: "WarmPool", Name: "h100"}
	w := newWorld(t, newPool(),
		newEvent(v1alpha1.PlaceholderNamespace, "e1", "Preempted", "a100-single-x", nil), newEvent(v1alpha1.PlaceholderNamespace, "e2", "Preempted", "h100-single-x", nil),
		newEvent("team", "e3", v1alpha1.ReasonTakenOver, "job-1", ours), newEvent("team", "e4", v1alpha1.ReasonWaitingForPool, "job-2", ours), newEvent("team", "e5", v1alpha1.ReasonWaitingForPool, "job-3", other))
	p := w.signIn(t, "alice")
	body := p.sees("/pools/a100", "about a100-single-x", "about job-1", `<a href="/pods/team/job-2">`)
	for _, foreign := range []string{"h100-single-x", "job-3"} {
		if strings.Contains(body, foreign) {
			t.Errorf("%s of another pool is shown", foreign)
		}
	}
	w.set(func() { w.forbidden["list EventList"] = true })
	if body = p.sees("/pools/a100", "right to list events in all namespaces"); strings.Contains(body, "about job-1") {
		t.Error("events are shown to who may not list them")
	}
}

func TestDecisions(t *testing.T) {
	other := newDecision("d3", at, 9)
	other.Spec.Pool, other.Spec.Error, other.Spec.Applied = "h100", "quota", false
	p := newWorld(t, newDecision("d1", at.Add(-time.Hour), 3), newDecision("d2", at, 7), other).signIn(t, "alice")
	body := p.sees("/decisions", "d1", "d2", "no: quota", "<option>h100</option>")
	if strings.Index(body, "/decisions/d2") > strings.Index(body, "/decisions/d1") {
		t.Error("the newest is not the first")
	}
	if body = p.sees("/decisions?pool=h100", "<option selected>h100</option>", "/decisions/d3"); strings.Contains(body, "/decisions/d1") {
		t.Error("a decision of another pool is shown")
	}
	p.sees("/decisions/d2", "ForecastDemand", "spec.sizing.maxNodes", "forewarmctl replay d2")
	if got := p.get("/decisions/none"); got.status != http.StatusNotFound {
		t.Errorf("a decision that is not there: %d", got.status)
	}
}

func TestPlansAreDecidedAboutInOnesOwnName(t *testing.T) {
	old := newPlan("a100-0")
	old.Spec.Approval = &v1alpha1.Approval{By: "carol"}
	late := newPlan("a100-9")
	late.Spec.Expires = metav1.NewTime(at.Add(-time.Minute))
	w := newWorld(t, newPlan("a100-1"), newPlan("a100-2"), old, late)
	p := w.signIn(t, "alice")
	p.sees("/plans", "2 plans wait for an approval.", "up to 3 nodes", "9 per hour", `action="/plans/a100-1/approve"`, "approved by carol", "nobody has")
	if got := p.post("/plans/a100-1/approve", p.form(), nil); got.status != http.StatusSeeOther || got.to != "/plans" {
		t.Fatalf("approve: %d\n%s", got.status, got.body)
	}
	if plan := w.plan(t, "a100-1"); plan.Spec.Approval == nil || plan.Spec.Approval.By != "alice" || plan.Spec.Rejection != nil {
		t.Errorf("approved: %+v", plan.Spec)
	}
	if got := p.renew("/plans"); strings.Contains(got.body, "You have approved") {
		t.Error("it is told to a page that renews itself, and not where the person goes")
	}
	p.sees("/plans", "You have approved a100-1", "One plan waits")
	if body := p.sees("/plans"); strings.Contains(body, "You have approved") {
		t.Error("it is told twice")
	}
	if got := p.post("/plans/a100-2/reject", p.form(), nil); got.status != http.StatusSeeOther {
		t.Fatalf("reject: %d\n%s", got.status, got.body)
	}
	if plan := w.plan(t, "a100-2"); plan.Spec.Rejection == nil || plan.Spec.Rejection.By != "alice" || plan.Spec.Approval != nil {
		t.Errorf("rejected: %+v", plan.Spec)
	}
	p.sees("/plans", "You have rejected a100-2", "No plan waits", "rejected by alice")
	for path, want := range map[string]string{"/plans/a100-1/reject": "has been approved by alice", "/plans/a100-9/approve": "expired at"} {
		if got := p.post(path, p.form(), nil); got.status != http.StatusConflict || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d\n%s", path, got.status, got.body)
		}
	}
	if got := p.post("/plans/none/approve", p.form(), nil); got.status != http.StatusNotFound {
		t.Errorf("a plan that is not there: %d", got.status)
	}
}

func TestWhoMayNotDecideIsTold(t *testing.T) {
	mine := newPlan("a100-2")
	mine.Spec.Requester = "alice"
	w := newWorld(t, newPlan("a100-1"), mine)
	p := w.signIn(t, "alice")
	if body := p.sees("/plans", "You have requested it"); strings.Contains(body, "/plans/a100-2/approve") {
		t.Error("a button for a plan of one's own")
	}
	for _, verb := range []string{"approve", "update"} {
		w.set(func() { clear(w.denied); w.denied[verb+" capacityplans"] = true })
		if body := p.sees("/plans", verb+" capacityplans.forewarm.dev/a100-1"); strings.Contains(body, "/plans/a100-1/") {
			t.Errorf("a button without the right to %s", verb)
		}
	}
	w.set(func() { w.forbidden["update CapacityPlan"] = true })
	if got := p.post("/plans/a100-1/approve", p.form(), nil); got.status != http.StatusForbidden || !strings.Contains(got.body, "alice may not update CapacityPlan") {
		t.Errorf("approve against the API server: %d\n%s", got.status, got.body)
	}
}

func newPod(name string, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: "pod", Annotations: annotations, CreationTimestamp: metav1.NewTime(at.Add(-time.Minute))},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("4")}, Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("4")},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"}}},
	}
}

func TestAPodsStory(t *testing.T) {
	waits := newPod("job-1", map[string]string{v1alpha1.AnnotationWaitingFor: "a100", v1alpha1.AnnotationExpectedStart: at.Add(5 * time.Minute).Format(time.RFC3339)})
	placeholder := newPod("a100-single-x", nil)
	placeholder.Namespace = v1alpha1.PlaceholderNamespace
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	w := newWorld(t, namespace, waits, placeholder, newEvent("team", "e1", "FailedScheduling", "job-1", nil), newEvent("team", "e2", "Other", "job-2", nil))
	p := w.signIn(t, "alice")
	if body := p.sees("/pods", `href="/pods/team/job-1"`, "2026-11-30 10:05:00 UTC"); strings.Contains(body, "a100-single-x") {
		t.Error("a placeholder is listed as a pod that waits")
	}
	if got := p.get("/pods?namespace=team&pod=job-1"); got.to != "/pods/team/job-1" {
		t.Errorf("to %q", got.to)
	}
	body := p.sees("/pods/team/job-1", "2026-11-30 10:05:00 UTC", "Unschedulable: 0/3 nodes are available", "4 nvidia.com/gpu", "about job-1", "It belongs to no WarmPool", "No node offers")
	if strings.Contains(body, "about job-2") {
		t.Error("an event of another pod")
	}
	w.set(func() { w.forbidden["list NodeList"], w.forbidden["list EventList"] = true, true })
	if body = p.sees("/pods/team/job-1", "rights of forewarmctl explain pod", "list events in namespace team"); strings.Contains(body, "How each node fares<") {
		t.Error("nodes are shown to who may not list them")
	}
	w.set(func() { w.forbidden["get Pod"] = true })
	if got := p.get("/pods/team/job-1"); got.status != http.StatusForbidden || strings.Contains(got.body, "Unschedulable") {
		t.Errorf("a pod of others: %d\n%s", got.status, got.body)
	}
	w.set(func() { clear(w.forbidden); w.forbidden["list PodList"] = true })
	p.sees("/pods", "You may not list pods in all namespaces")
	if got := p.get("/pods/team/none"); got.status != http.StatusNotFound || !strings.Contains(got.body, "has no pod none") {
		t.Errorf("a pod that is not there: %d", got.status)
	}
}

func TestWhatStandsNearAndAbove(t *testing.T) {
	held := func(asks, limit int64) audit.Explanation {
		return audit.Explanation{Bound: true, Limit: limit, Request: webhook.Request{Object: webhook.Object{Kind: "Deployment", Name: fmt.Sprintf("%d-of-%d", asks, limit)}, Counts: []webhook.Change{{Old: asks}}}}
	}
	var p ceilingsPage
	for _, e := range []audit.Explanation{held(11, 10), held(30, 10), held(1, 0), held(10, 10), held(8, 10), held(7, 10), held(0, 0), {}, {Unapproved: []string{"p4d"}}} {
		p.add(e)
	}
	p.cut()
	names := func(rows []heldView) (all []string) {
		for _, row := range rows {
			all = append(all, row.Object+row.Unapproved)
		}
		return all
	}
	if got := fmt.Sprint(names(p.Above), names(p.Near), p.Held); got != "[Deployment 1-of-0  p4d Deployment 30-of-10 Deployment 11-of-10] [Deployment 10-of-10 Deployment 8-of-10] 7" {
		t.Error(got)
	}
	for range 2 * mostHeld {
		p.add(held(9, 10))
	}
	if p.cut(); len(p.Near) != mostHeld || p.Hidden != mostHeld+2 {
		t.Errorf("%d rows, %d hidden", len(p.Near), p.Hidden)
	}
	if err := p.missed("Deployment", apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "", errors.New("no"))); err != nil || len(p.Unseen) != 1 {
		t.Errorf("a kind that one may not list: %v, %v", err, p.Unseen)
	}
	if err := p.missed("Deployment", errors.New("gone")); err == nil {
		t.Error("an error is passed over")
	}
}

func TestWhatCannotBeAskedIsRefused(t *testing.T) {
	p := newWorld(t).signIn(t, "alice")
	p.sees("/explain", "Explain a ceiling")
	for query, want := range map[string]string{"object=deployment": "not of the form RESOURCE/NAME", "object=deployment/web&replicas=-1": "write a number", "object=deployment/web&replicas=many": "write a number"} {
		if got := p.get("/explain?" + query); got.status != http.StatusBadRequest || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d\n%s", query, got.status, got.body)
		}
	}
}

package ledger

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// TestReport: what stands above a total is told in the status, by one event, and by the metric,
// until it is over.
func TestReport(t *testing.T) {
	c, recorder := store(t, interceptor.Funcs{}), events.NewFakeRecorder(10)
	term := newTerm(KeeperOptions{Client: c, Events: recorder, Log: logr.Discard()}, newAbove(prometheus.NewRegistry()))
	carrier := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "team", Annotations: map[string]string{webhook.MaxTotalReplicas: "10", webhook.MaxGPUs: "4"}}}
	for _, step := range []struct {
		standing webhook.Amounts
		message  string // empty where nothing is above
		event    bool
	}{
		{webhook.Amounts{Replicas: 10, GPUs: 4}, "", false},
		{webhook.Amounts{Replicas: 12, GPUs: 4}, "12 replicas stand, at most 10 in all", true},
		{webhook.Amounts{Replicas: 11, GPUs: 5}, "5 GPUs stand, at most 4 in all", false},
		{webhook.Amounts{Replicas: 10}, "", false},
		{webhook.Amounts{Replicas: 11}, "11 replicas stand, at most 10 in all", true},
	} {
		name, o := fmt.Sprintf("%+v", step.standing), &v1alpha1.Ledger{}
		key := client.ObjectKey{Namespace: "forewarm-system", Name: team.ledger()}
		if err := c.Get(t.Context(), key, o); err != nil {
			t.Fatal(err)
		}
		if err := term.report(t.Context(), team, o, carrier, total.Ledger{Complete: true, Standing: step.standing}); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), key, o); err != nil {
			t.Fatal(err)
		}
		condition := meta.FindStatusCondition(o.Status.Conditions, v1alpha1.ConditionAboveCeiling)
		if condition == nil || condition.Status == metav1.ConditionTrue != (step.message != "") || !strings.Contains(condition.Message, step.message) {
			t.Errorf("%s: the condition is %+v, want %q", name, condition, step.message)
		}
		if told := len(recorder.Events) > 0; told != step.event {
			t.Errorf("%s: an event: %t, want %t", name, told, step.event)
		} else if told {
			<-recorder.Events
		}
		want := 0.0
		if step.standing.Replicas > 10 {
			want = 1
		}
		if got := testutil.ToFloat64(term.above.WithLabelValues("replicas")); got != want {
			t.Errorf("%s: the metric is %v, want %v", name, got, want)
		}
	}
	unfinished := term.report(t.Context(), team, nil, carrier, total.Ledger{Standing: webhook.Amounts{Replicas: 99}})
	if unfinished != nil {
		t.Errorf("a ledger that is still being counted: %v", unfinished)
	}
}

// TestReportIsCheap: what a report costs does not grow with the holders, and the metric counts all
// of them.
func TestReportIsCheap(t *testing.T) {
	carrier := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "team", Annotations: map[string]string{webhook.MaxTotalReplicas: "10"}}}
	cost := func(holders int) float64 {
		c := store(t, interceptor.Funcs{})
		term := newTerm(KeeperOptions{Client: c, Events: events.NewFakeRecorder(holders), Log: logr.Discard()}, newAbove(prometheus.NewRegistry()))
		o := &v1alpha1.Ledger{}
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: "forewarm-system", Name: team.ledger()}, o); err != nil {
			t.Fatal(err)
		}
		report := func(h Holder, replicas int64) {
			if err := term.report(t.Context(), h, o.DeepCopy(), carrier, total.Ledger{Complete: true, Standing: webhook.Amounts{Replicas: replicas}}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range holders {
			report(Holder{Namespace, fmt.Sprint("team-", i)}, 11)
		}
		report(Holder{Namespace, "team-0"}, 10)
		if got := testutil.ToFloat64(term.above.WithLabelValues("replicas")); got != float64(holders-1) {
			t.Errorf("the metric is %v, want %d", got, holders-1)
		}
		meta.SetStatusCondition(&o.Status.Conditions, conditionOf(nil))
		return testing.AllocsPerRun(20, func() { report(team, 10) })
	}
	if few, many := cost(1), cost(300); many > few {
		t.Errorf("a report allocates %v times with one holder, and %v times with 300", few, many)
	}
}

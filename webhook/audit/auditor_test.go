package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// TestAuditorRests: after a whole round the auditor takes its time, until a ceiling changes.
func TestAuditorRests(t *testing.T) {
	w := newWorld(t, nil)
	a := NewAuditor(w.options, AuditorOptions{Events: events.NewFakeRecorder(9), Leading: func() bool { return true }, Log: logr.Discard()})
	const page, quick, later = 10 * time.Millisecond, 190 * time.Millisecond, 1990 * time.Millisecond
	step := func(what string, want time.Duration) {
		t.Helper()
		if got := a.rest(page); got != want {
			t.Errorf("%s: rests %s after a page of %s, want %s", what, got, page, want)
		}
	}
	step("at first", quick)
	a.round(t.Context())
	step("after a round", later)
	if got := a.rest(time.Minute); got != auditEvery {
		t.Errorf("rests %s after a long page, want %s", got, auditEvery)
	}
	seen := w.options.LastGood.Handler()
	lowered := metadataOf("v1", "Namespace", "team", map[string]string{webhook.MaxReplicas: "3"})
	seen.OnAdd(lowered, false)
	step("a ceiling came", quick)
	a.round(t.Context())
	step("after a round with it", later)
	seen.OnUpdate(lowered, metadataOf("v1", "Namespace", "team", map[string]string{webhook.MaxReplicas: "3"}))
	step("something else changed", later)
	seen.OnUpdate(lowered, metadataOf("v1", "Namespace", "team", map[string]string{webhook.MaxReplicas: "2"}))
	step("it was lowered", quick)
	a.round(t.Context())
	seen.OnDelete(lowered)
	step("it went", quick)
}

// TestAuditorTellsOfWhatCannotBeRead: once for each value, and what holds meanwhile.
func TestAuditorTellsOfWhatCannotBeRead(t *testing.T) {
	w := newWorld(t, nil)
	w.options.Kinds = nil
	recorder := events.NewFakeRecorder(9)
	a := NewAuditor(w.options, AuditorOptions{Events: recorder, Leading: func() bool { return true }, Log: logr.Discard()})
	list := func(value string) *v1alpha1.WarmPool {
		return &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100", UID: "p-1", Annotations: map[string]string{webhook.AllowedInstanceTypes: value}}}
	}
	owned := metadataOf("apps/v1", "ReplicaSet", "team", map[string]string{webhook.MaxReplicas: "many"})
	owned.UID, owned.OwnerReferences = "rs-1", []metav1.OwnerReference{{Controller: new(true)}}
	seen := w.options.LastGood.Handler()
	seen.OnAdd(owned, false)
	for _, step := range []struct {
		see  client.Object
		want string // empty for no event
	}{
		{list("p4d.*"), ""},
		{list("p4d.*; g5"), `WarmPool a100: annotation forewarm.dev/allowed-instance-types`},
		{list("p4d.*; g5"), ""},
		{metadataOf("v1", "Namespace", "team", map[string]string{webhook.MaxReplicas: "lots"}), "Namespace team: annotation forewarm.dev/max-replicas"},
		{list("g5.*"), ""},
		{list("g5.*;"), "the last good value, g5.*, stays in force"},
	} {
		seen.OnUpdate(nil, step.see)
		a.round(t.Context())
		said := ""
		if len(recorder.Events) > 0 {
			said = <-recorder.Events
		}
		if (said == "") != (step.want == "") || !strings.Contains(said, step.want) || len(recorder.Events) > 0 {
			t.Errorf("%v: said %q, want %q", step.see.GetAnnotations(), said, step.want)
		}
	}
}

// TestNodesAreCountedInPages: with a pause behind each, as objects are looked at.
func TestNodesAreCountedInPages(t *testing.T) {
	w := newWorld(t, map[string]string{webhook.MaxNodes: "1"})
	pages := []metav1.List{
		{ListMeta: metav1.ListMeta{Continue: "more"}, Items: nodesNamed(t, "a", "b")},
		{Items: nodesNamed(t, "c")},
	}
	w.live.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		page := pages[0]
		pages = pages[1:]
		return true, &page, nil
	})
	a := NewAuditor(w.options, AuditorOptions{Events: events.NewFakeRecorder(9), Leading: func() bool { return true }, Log: logr.Discard()})
	paused := 0
	used, counted, err := a.explainer.Nodes(t.Context(), func() { paused++ })
	if err != nil || !counted || used.Amount != 3 || paused != 2 {
		t.Errorf("%d Nodes counted with %d pauses, %v; want 3 with 2", used.Amount, paused, err)
	}
}

// TestARoundOutlivesItsToken: what is behind a page whose token has expired is looked at too.
func TestARoundOutlivesItsToken(t *testing.T) {
	w := newWorld(t, map[string]string{webhook.MaxReplicas: "2", webhook.MaxNodes: "1"})
	expired := apierrors.NewResourceExpired("too old")
	expired.ErrStatus.Continue = "by now"
	answers := func(first, last runtime.Object) clienttesting.ReactionFunc {
		n := 0
		return func(clienttesting.Action) (bool, runtime.Object, error) {
			n++
			switch n {
			case 1:
				return true, first, nil
			case 2:
				return true, nil, expired
			default:
				return true, last, nil
			}
		}
	}
	w.live.PrependReactor("list", "nodes", answers(
		&metav1.List{ListMeta: metav1.ListMeta{Continue: "more"}, Items: nodesNamed(t, "a")}, &metav1.List{Items: nodesNamed(t, "b")}))
	deployments := func(token string) runtime.Object {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "apps/v1", "kind": "DeploymentList"}, Items: []unstructured.Unstructured{*deployment()}}
		list.SetContinue(token)
		return list
	}
	w.objects.PrependReactor("list", "deployments", answers(deployments("more"), deployments("")))
	a := NewAuditor(w.options, AuditorOptions{Events: events.NewFakeRecorder(9), Leading: func() bool { return true }, Log: logr.Discard()})
	found := 0
	if err := a.explainer.Above(t.Context(), w.options.Kinds[0], "", func(*unstructured.Unstructured, Explanation) { found++ }, func() {}); err != nil || found != 2 {
		t.Errorf("%d of 2 Deployments found, %v", found, err)
	}
	if used, _, err := a.explainer.Nodes(t.Context(), func() {}); err != nil || used.Amount != 2 {
		t.Errorf("%d of 2 Nodes counted, %v", used.Amount, err)
	}
}

// TestRenewed: only where the server gives a token is there a way on.
func TestRenewed(t *testing.T) {
	expired, without := apierrors.NewResourceExpired("too old"), apierrors.NewResourceExpired("too old")
	expired.ErrStatus.Continue = "by now"
	for want, err := range map[string]error{"by now": fmt.Errorf("list: %w", expired), "": without} {
		if token, is := renewed(err); token != want || is != (want != "") {
			t.Errorf("%v: token %q, %t; want %q", err, token, is, want)
		}
	}
	if _, is := renewed(nil); is {
		t.Error("no error has expired")
	}
}

func nodesNamed(t *testing.T, names ...string) []runtime.RawExtension {
	t.Helper()
	var out []runtime.RawExtension
	for _, name := range names {
		out = append(out, runtime.RawExtension{Object: metadataOf("v1", "Node", name, nil)})
	}
	return out
}

package handler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"forewarm.dev/webhook"
)

// by says who writes.
func by(user, body string) string {
	return strings.Replace(body, `"uid":"r1"`, fmt.Sprintf(`"uid":"r1","userInfo":{"username":%q}`, user), 1)
}

// horizontalOf is an HPA as JSON; original is the annotation, if any.
func horizontalOf(target string, most int, original string, current int) string {
	metadata := `{"name":"x","namespace":"team"}`
	if original != "" {
		metadata = fmt.Sprintf(`{"name":"x","namespace":"team","annotations":{%q:%q}}`, webhook.OriginalMaxReplicas, original)
	}
	return fmt.Sprintf(`{"metadata":%s,"spec":{"maxReplicas":%d,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":%q}},"status":{"currentReplicas":%d}}`,
		metadata, most, target, current)
}

func horizontalReview(object, old string) string {
	operation := "CREATE"
	if old != "" {
		operation, old = "UPDATE", `,"oldObject":`+old
	}
	return review(fmt.Sprintf(`{"uid":"r1","kind":{"group":"autoscaling","version":"v2","kind":"HorizontalPodAutoscaler"},
		"resource":{"group":"autoscaling","version":"v2","resource":"horizontalpodautoscalers"},"namespace":"team","name":"x","operation":%q,"object":%s%s}`, operation, object, old))
}

// TestScaleIsClamped: an autoscaler gets the ceiling, everybody else is left to be refused.
func TestScaleIsClamped(t *testing.T) {
	cases := map[string]struct {
		body string
		want string // the patch
		says string
	}{
		"an autoscaler":          {by("hpa", scaleReview("apps", "deployments", "7", 3, 9)), `[{"op":"add","path":"/spec/replicas","value":5}]`, "Deployment team/web: 9 replicas asked for, brought down to 5"},
		"within":                 {by("hpa", scaleReview("apps", "deployments", "7", 3, 5)), "", ""},
		"down":                   {by("hpa", scaleReview("apps", "deployments", "7", 9, 8)), "", ""},
		"a person":               {by("jane", scaleReview("apps", "deployments", "7", 3, 9)), "", ""},
		"what a controller owns": {by("system:hpa", scaleReview("apps", "replicasets", "7", 3, 9)), "", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			owned := metadataOf("apps/v1", "ReplicaSet", "team/web", "7", ceilingOf("5"))
			owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "u-1", Controller: new(true)}}
			w := newWorld(t, append(team(nil), owned, metadataOf("apps/v1", "Deployment", "team/web", "7", ceilingOf("5"))))
			got := answer(t, post(w.clamps, c.body))
			if string(got.Patch) != c.want || !got.Allowed || !strings.Contains(strings.Join(got.Warnings, ""), c.says) {
				t.Errorf("got %+v with patch %s, want %s", got, got.Patch, c.want)
			}
			wantAudit := map[string]string(nil)
			if c.want != "" {
				wantAudit = map[string]string{"reason": "Clamped", "clamped-from": "9", "clamped-to": "5"}
			}
			if diff := cmp.Diff(wantAudit, got.AuditAnnotations); diff != "" {
				t.Errorf("audit annotations:\n%s", diff)
			}
		})
	}
}

// TestScaleOfGroupsIsClamped: what a LeaderWorkerSet's /scale writes are groups, here of 8, and its ceiling counts pods.
func TestScaleOfGroupsIsClamped(t *testing.T) {
	for ceiling, want := range map[string]string{"40": "5", "39": "4", "71": "8", "72": "", "10": "2"} {
		w := newWorld(t, team(ceilingOf(ceiling)), metadataOf("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "team/web", "7", nil))
		got := answer(t, post(w.clamps, by("hpa", scaleReview("leaderworkerset.x-k8s.io", "leaderworkersets", "7", 2, 9))))
		if want != "" {
			want = `[{"op":"add","path":"/spec/replicas","value":` + want + `}]`
		}
		if string(got.Patch) != want {
			t.Errorf("under %s: patch %s, want %s", ceiling, got.Patch, want)
		}
	}
}

// TestHorizontalIsClamped applies the patch, and has its outcome reviewed again.
func TestHorizontalIsClamped(t *testing.T) {
	cases := map[string]struct {
		object, old, want string
	}{
		"created above":                {horizontalOf("api", 9, "", 0), "", horizontalOf("api", 5, "9", 0)},
		"created within":               {horizontalOf("api", 4, "", 0), "", horizontalOf("api", 4, "", 0)},
		"the target's own is smaller":  {horizontalOf("small", 9, "", 0), "", horizontalOf("small", 3, "9", 0)},
		"applied from Git once more":   {horizontalOf("api", 9, "9", 0), horizontalOf("api", 5, "9", 0), horizontalOf("api", 5, "9", 0)},
		"touched":                      {horizontalOf("api", 9, "", 0), horizontalOf("api", 9, "", 0), horizontalOf("api", 5, "9", 0)},
		"more stands by the status":    {horizontalOf("api", 9, "", 0), horizontalOf("api", 9, "", 7), horizontalOf("api", 7, "9", 0)},
		"a status that is just claims": {horizontalOf("api", 9, "", 8), horizontalOf("api", 9, "", 0), horizontalOf("api", 5, "9", 8)},
		"more stands by the target":    {horizontalOf("web", 50, "", 0), "", horizontalOf("web", 40, "50", 0)},
		"no spec at all":               {`{"metadata":{}}`, "", `{"metadata":{}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, team(ceilingOf("5")), metadataOf("apps/v1", "Deployment", "team/small", "7", ceilingOf("3")))
			once := patched(t, answer(t, post(w.clamps, horizontalReview(c.object, c.old))), []byte(c.object))
			equal(t, once, c.want)
			equal(t, patched(t, answer(t, post(w.clamps, horizontalReview(string(once), c.old))), once), c.want)
			if got := answer(t, post(w.ceilings, horizontalReview(string(once), c.old))); !got.Allowed {
				t.Errorf("what was clamped is refused: %+v", got)
			}
		})
	}
}

func equal(t *testing.T, got []byte, want string) {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(want), &a), json.Unmarshal(got, &b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("object:\n%s", diff)
	}
}

// TestAutoscalers: the controller touches just the HPAs that the webhook would change, and
// only while it leads. The touch stands for the webhook here.
func TestAutoscalers(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := autoscalingv2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	hpa := func(namespace string, most int32, annotations map[string]string) *autoscalingv2.HorizontalPodAutoscaler {
		return &autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x", Annotations: annotations},
			Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{MaxReplicas: most, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "api"}},
		}
	}
	lowered := map[string]string{webhook.OriginalMaxReplicas: "9"}
	cases := map[string]struct {
		hpa     *autoscalingv2.HorizontalPodAutoscaler
		ceiling map[string]string
		follows bool
		want    bool
	}{
		"above":            {hpa("team", 9, nil), ceilingOf("5"), false, true},
		"within":           {hpa("team", 5, nil), ceilingOf("5"), false, false},
		"lowered already":  {hpa("team", 5, lowered), ceilingOf("5"), false, false},
		"lifted":           {hpa("team", 5, lowered), nil, false, true},
		"no ceiling":       {hpa("team", 9, nil), nil, false, false},
		"it does not lead": {hpa("team", 9, nil), ceilingOf("5"), true, false},
		"left alone":       {hpa("kube-system", 9, nil), ceilingOf("5"), false, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			touches := 0
			reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(c.hpa).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(_ context.Context, _ client.WithWatch, o client.Object, p client.Patch, _ ...client.PatchOption) error {
					touches++
					if body, err := p.Data(o); err != nil || string(body) != "{}" {
						t.Errorf("patch %s, %v; want an empty one", body, err)
					}
					o.SetResourceVersion("9999")
					return nil
				},
			}).Build()
			a := NewAutoscalers(newWorld(t, team(c.ceiling)).options, AutoscalersOptions{
				Client: reader, Excluded: []string{"kube-system"}, Manager: "m", Leading: func() bool { return !c.follows },
			})
			result, err := a.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c.hpa)})
			if err != nil || result.RequeueAfter != resync || (touches > 0) != c.want {
				t.Errorf("got %+v, %v and %d touches, want one: %t", result, err, touches, c.want)
			}
		})
	}
}

// TestMatters: an HPA's status is written every few seconds.
func TestMatters(t *testing.T) {
	old := &autoscalingv2.HorizontalPodAutoscaler{Status: autoscalingv2.HorizontalPodAutoscalerStatus{CurrentReplicas: 5, DesiredReplicas: 5}}
	for name, c := range map[string]struct {
		change func(*autoscalingv2.HorizontalPodAutoscaler)
		want   bool
	}{
		"desired less": {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.DesiredReplicas = 3 }, false},
		"desired more": {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.DesiredReplicas = 7 }, true},
		"current":      {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Status.CurrentReplicas = 3 }, true},
		"maximum":      {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MaxReplicas = 3 }, true},
		"minimum":      {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.MinReplicas = new(int32(3)) }, true},
		"target":       {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.ScaleTargetRef.Name = "a" }, true},
		"original": {func(h *autoscalingv2.HorizontalPodAutoscaler) {
			h.Annotations = map[string]string{webhook.OriginalMaxReplicas: "9"}
		}, true},
		"another": {func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Annotations = map[string]string{"a": "b"} }, false},
	} {
		now := old.DeepCopy()
		c.change(now)
		if got := matters(event.UpdateEvent{ObjectOld: old, ObjectNew: now}); got != c.want {
			t.Errorf("%s: got %t, want %t", name, got, c.want)
		}
	}
}

// TestTargetInAnotherVersion: what an HPA points to is found in the version that the server has.
func TestTargetInAnotherVersion(t *testing.T) {
	for _, version := range []string{"v2beta1", "v1"} {
		w := newWorld(t, team(nil), metadataOf("kubeflow.org/"+version, "MPIJob", "team/train", "1", ceilingOf("5")))
		hpa := strings.NewReplacer("apps/v1", "kubeflow.org/"+version, "Deployment", "MPIJob").Replace(horizontalOf("train", 9, "", 0))
		got := answer(t, post(w.clamps, horizontalReview(hpa, "")))
		if got.Patch == nil {
			t.Errorf("%s: an HPA up to 9 replicas is not brought under 5", version)
		}
	}
}

// TestClampedByTwin: what the API server has clamped by itself is told of.
func TestClampedByTwin(t *testing.T) {
	clamped := strings.Replace(scaleReview("apps", "deployments", "7", 3, 5), `"metadata":{`, `"metadata":{"annotations":{"forewarm.dev/clamped-from":"9"},`, 1)
	w := newWorld(t, append(team(ceilingOf("5")), metadataOf("apps/v1", "Deployment", "team/web", "7", nil)))
	got := answer(t, post(w.clamps, by("hpa", clamped)))
	if len(got.Patch) > 0 || got.AuditAnnotations["clamped-from"] != "9" || got.AuditAnnotations["clamped-to"] != "5" || len(got.Warnings) != 1 {
		t.Errorf("patch %s, audit %v, warnings %q; want none, 9 to 5, and the writer warned", got.Patch, got.AuditAnnotations, got.Warnings)
	}
}

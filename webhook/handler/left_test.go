package handler

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/total"
)

// shelf has the ledger of Namespace team.
type shelf map[ledger.Holder]total.Ledger

func (s shelf) Of(_ context.Context, h ledger.Holder) (total.Ledger, bool, error) {
	l, known := s[h]
	return l, known, nil
}

// stands is one of others that stand, beside the object's own.
func stands(replicas int64) total.Ledger {
	return total.Ledger{Complete: true, Standing: webhook.Amounts{Replicas: replicas}}
}

// clampsBy is the handler of clamps of a world with a ledger.
func (w *world) clampsBy(l total.Ledger) Handlers {
	o := w.options
	o.Registerer, o.Ledgers = prometheus.NewRegistry(), shelf{{Kind: ledger.Namespace, Name: "team"}: l}
	return New(o)
}

// TestScaleIsClampedToWhatIsLeft: of a total of 10.
func TestScaleIsClampedToWhatIsLeft(t *testing.T) {
	totals := map[string]string{webhook.MaxTotalReplicas: "10"}
	with := func(annotation, value string) map[string]string {
		return map[string]string{webhook.MaxTotalReplicas: "10", annotation: value}
	}
	coming := stands(8)
	coming.Entries = map[total.Key]total.Entry{"statefulsets.apps/db": {Amounts: webhook.Amounts{Replicas: 3}, Standing: webhook.Amounts{Replicas: 1}}}
	again := stands(8) // the write is reviewed once more
	again.Entries = map[total.Key]total.Entry{"deployments.apps/web": {Amounts: webhook.Amounts{Replicas: 4}, Standing: webhook.Amounts{Replicas: 2}}}
	incomplete := stands(8)
	incomplete.Complete = false
	scale := by("hpa", scaleReview("apps", "deployments", "7", 2, 8))
	cases := map[string]struct {
		annotations map[string]string
		own         map[string]string
		ledger      total.Ledger
		body        string
		want        int // 0 for no patch
	}{
		"others hold 6":               {totals, nil, stands(8), scale, 4},
		"and more is coming":          {totals, nil, coming, scale, 2},
		"its own is coming":           {totals, nil, again, scale, 4},
		"all is left":                 {totals, nil, stands(2), scale, 0},
		"more stands than is allowed": {totals, nil, stands(20), scale, 2},
		"a smaller ceiling":           {with(webhook.MaxReplicas, "3"), nil, stands(8), scale, 3},
		"no override lifts it":        {totals, map[string]string{webhook.MaxReplicas: "3", webhook.CeilingOverride: "9 until 1970-01-02T00:00:00Z: test"}, stands(8), scale, 4},
		"what was there is counted":   {totals, nil, incomplete, scale, 0},
		"mode warn":                   {with(webhook.CeilingMode, "warn"), nil, stands(8), scale, 0},
		"no total":                    {nil, nil, stands(8), scale, 0},
		"a total of GPUs":             {map[string]string{webhook.MaxGPUs: "1"}, nil, stands(8), scale, 0},
		"a total that is none":        {map[string]string{webhook.MaxTotalReplicas: "many"}, nil, stands(8), scale, 0},
		"a person":                    {totals, nil, stands(8), by("jane", scaleReview("apps", "deployments", "7", 2, 8)), 0},
		"a kind that does not count":  {totals, nil, stands(8), by("hpa", scaleReview("example.com", "things", "7", 2, 8)), 0},
		"groups of 8":                 {map[string]string{webhook.MaxTotalReplicas: "50"}, nil, stands(16 + 6), by("hpa", scaleReview("leaderworkerset.x-k8s.io", "leaderworkersets", "7", 2, 8)), 5},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, append(team(c.annotations), metadataOf("apps/v1", "Deployment", "team/web", "7", c.own)),
				metadataOf("example.com/v1", "Thing", "team/web", "7", nil), metadataOf("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", "team/web", "7", nil))
			got, want := answer(t, post(w.clampsBy(c.ledger).Clamps, c.body)), ""
			if c.want > 0 {
				want = fmt.Sprintf(`[{"op":"add","path":"/spec/replicas","value":%d}]`, c.want)
			}
			if string(got.Patch) != want || !got.Allowed {
				t.Errorf("got %+v with patch %s, want %s", got, got.Patch, want)
			}
			if c.want == 4 && !strings.Contains(strings.Join(got.Warnings, ""), `8 replicas asked for, brought down to 4: Deployment team/web is held to annotation forewarm.dev/max-total-replicas="10" on Namespace team`) {
				t.Errorf("warnings %q, want the total named", got.Warnings)
			}
		})
	}
}

// TestOwnedIsLeftAlone: a ReplicaSet counts as a part of its Deployment.
func TestOwnedIsLeftAlone(t *testing.T) {
	owned := metadataOf("apps/v1", "ReplicaSet", "team/web", "7", nil)
	owned.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "u-1", Controller: new(true)}}
	w := newWorld(t, append(team(map[string]string{webhook.MaxTotalReplicas: "10"}), owned))
	if got := answer(t, post(w.clampsBy(stands(8)).Clamps, by("system:hpa", scaleReview("apps", "replicasets", "7", 2, 8)))); got.Patch != nil || !got.Allowed {
		t.Errorf("got %+v with patch %s, want it left alone", got, got.Patch)
	}
}

// TestHorizontalFollowsWhatIsLeft: an HPA is brought down once it asks for more than its Namespace's total leaves, and
// is followed from then on. Of its target 40 stand.
func TestHorizontalFollowsWhatIsLeft(t *testing.T) {
	hpa := func(most, least int, original string, current, desired int) string {
		annotations := ""
		if original != "" {
			annotations = fmt.Sprintf(`"annotations":{%q:%q},`, webhook.OriginalMaxReplicas, original)
		}
		return fmt.Sprintf(`{"metadata":{%s"name":"x","namespace":"team"},"spec":{"maxReplicas":%d,"minReplicas":%d,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}},
			"status":{"currentReplicas":%d,"desiredReplicas":%d}}`, annotations, most, least, current, desired)
	}
	atRate := func(hpa, reason string) string {
		return strings.Replace(hpa, `"desiredReplicas"`, `"conditions":[{"type":"ScalingActive","status":"True","reason":"ScaleUpLimit"},{"type":"ScalingLimited","status":"True","reason":"`+reason+`"}],"desiredReplicas"`, 1)
	}
	cases := map[string]struct {
		object, old string
		stands      int64 // in all
		want        string
	}{
		"it wants more than its rate":    {atRate(hpa(90, 1, "", 40, 40), "ScaleUpLimit"), atRate(hpa(90, 1, "", 40, 40), "ScaleUpLimit"), 100, atRate(hpa(40, 1, "90", 40, 40), "ScaleUpLimit")},
		"it is limited by its maximum":   {atRate(hpa(40, 1, "", 40, 40), "TooManyReplicas"), atRate(hpa(40, 1, "", 40, 40), "TooManyReplicas"), 100, atRate(hpa(40, 1, "", 40, 40), "TooManyReplicas")},
		"it may ask for more some day":   {hpa(90, 1, "", 40, 40), hpa(90, 1, "", 40, 40), 90, hpa(90, 1, "", 40, 40)},
		"it asks for more":               {hpa(90, 1, "", 40, 80), hpa(90, 1, "", 40, 80), 90, hpa(50, 1, "90", 40, 80)},
		"it asks for what is left":       {hpa(90, 1, "", 40, 50), hpa(90, 1, "", 40, 50), 90, hpa(90, 1, "", 40, 50)},
		"its minimum asks for more":      {hpa(90, 60, "", 40, 40), "", 90, strings.Replace(hpa(50, 50, "90", 40, 40), `"annotations":{`, `"annotations":{"forewarm.dev/original-min-replicas":"60",`, 1)},
		"it was brought down, and up":    {hpa(50, 1, "90", 40, 40), hpa(50, 1, "90", 40, 40), 80, hpa(60, 1, "90", 40, 40)},
		"it was brought down, and more":  {hpa(50, 1, "90", 40, 40), hpa(50, 1, "90", 40, 40), 95, hpa(45, 1, "90", 40, 40)},
		"all that it wanted is left":     {hpa(50, 1, "90", 40, 40), hpa(50, 1, "90", 40, 40), 45, hpa(90, 1, "", 40, 40)},
		"nothing is left":                {hpa(90, 1, "", 40, 80), hpa(90, 1, "", 40, 80), 120, hpa(40, 1, "90", 40, 80)},
		"a status that is behind":        {hpa(90, 1, "", 20, 80), hpa(90, 1, "", 20, 80), 100, hpa(40, 1, "90", 20, 80)},
		"written anew without its notes": {hpa(90, 1, "", 40, 40), hpa(50, 1, "90", 40, 40), 90, hpa(50, 1, "90", 40, 40)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, team(map[string]string{webhook.MaxTotalReplicas: "100"}), metadataOf("apps/v1", "Deployment", "team/web", "7", nil))
			h := w.clampsBy(stands(c.stands))
			once := patched(t, answer(t, post(h.Clamps, horizontalReview(c.object, c.old))), []byte(c.object))
			want := strings.Replace(c.want, `"annotations":{},`, "", 1)
			if strings.Contains(string(once), `"annotations":{}`) {
				want = strings.Replace(want, `"name":"x"`, `"annotations":{},"name":"x"`, 1)
			}
			equal(t, once, want)
			equal(t, patched(t, answer(t, post(h.Clamps, horizontalReview(string(once), c.old))), once), want)
			if got := answer(t, post(h.Ceilings, horizontalReview(string(once), c.old))); !got.Allowed {
				t.Errorf("what was clamped is refused: %+v", got)
			}
		})
	}
}

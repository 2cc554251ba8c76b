package handler

import (
	"fmt"
	"strings"
	"testing"

	"forewarm.dev/webhook"
)

// TestMadeIsHeldToItsMaker: a TrainJob that leaves the number of its nodes to its runtime is bound where its JobSet
// is made, which says it.
func TestMadeIsHeldToItsMaker(t *testing.T) {
	of := func(kind, name, uid string) string {
		return fmt.Sprintf(`"ownerReferences":[{"apiVersion":"trainer.kubeflow.org/v1alpha1","kind":%q,"name":%q,"uid":%q,"controller":true}]`, kind, name, uid)
	}
	override := map[string]string{webhook.MaxReplicas: "3", webhook.CeilingOverride: "4 until 1970-01-02T00:00:00Z: test"}
	named := map[string]string{webhook.WorkloadMaxReplicas: "trainjob/train=3"}
	cases := map[string]struct {
		trainJob, namespace map[string]string
		owner               string
		wantDenied          string // empty for allowed
		wantLive            int
	}{
		"its own ceiling":       {ceilingOf("3"), nil, of("TrainJob", "train", "u-1"), `at most 3 allowed by annotation forewarm.dev/max-replicas="3" on TrainJob team/train`, 1},
		"within":                {ceilingOf("4"), nil, of("TrainJob", "train", "u-1"), "", 1},
		"an override":           {override, nil, of("TrainJob", "train", "u-1"), "", 1},
		"the Namespace's list":  {nil, named, of("TrainJob", "train", "u-1"), "at most 3 allowed by annotation forewarm.dev/workload-max-replicas", 1},
		"the Namespace's":       {nil, ceilingOf("3"), of("TrainJob", "train", "u-1"), "on Namespace team", 1},
		"another of that name":  {ceilingOf("3"), nil, of("TrainJob", "train", "u-2"), "", 1},
		"none of that name":     {ceilingOf("3"), nil, of("TrainJob", "other", "u-1"), "", 1},
		"another kind":          {ceilingOf("3"), nil, of("TrainingRuntime", "train", "u-1"), "", 0},
		"made by a person":      {ceilingOf("3"), nil, `"labels":{}`, "", 0},
		"a JobSet of that name": {nil, map[string]string{webhook.WorkloadMaxReplicas: "jobset/train=3"}, of("TrainJob", "train", "u-1"), "at most 3", 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, team(c.namespace), metadataOf("trainer.kubeflow.org/v1alpha1", "TrainJob", "team/train", "1", c.trainJob))
			got := answer(t, post(w.ceilings, review(`{"uid":"r1","kind":{"group":"jobset.x-k8s.io","version":"v1alpha2","kind":"JobSet"},
				"resource":{"group":"jobset.x-k8s.io","version":"v1alpha2","resource":"jobsets"},"namespace":"team","name":"train","operation":"CREATE",
				"object":{"metadata":{"name":"train",`+c.owner+`},"spec":{"replicatedJobs":[{"name":"node","template":{"spec":{"parallelism":4}}}]}}}`)))
			if got.Allowed != (c.wantDenied == "") || (!got.Allowed && !strings.Contains(got.Result.Message, c.wantDenied)) {
				t.Errorf("answer %+v, want denied: %q", got, c.wantDenied)
			}
			if live := len(w.live.Actions()); live != c.wantLive {
				t.Errorf("%d live reads, want %d: %v", live, c.wantLive, w.live.Actions())
			}
		})
	}
}

package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
	"forewarm.dev/webhook"
)

// twinFarms is a kind of one's own, as the webhook is told of it.
const twinFarms = `kinds: [{group: example.com, version: v1, resource: farms, kind: Farm, count: "1 + spec.groups[]: replicas=1 * size=1"}]`

// twinKinds are the specs by which the kinds that the twin compiles ask for $N replicas; some may be
// scaled.
var twinKinds = map[string]struct {
	group, version, spec string
	scaled               bool
}{
	"Deployment":            {"apps", "v1", "replicas: $N, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}", true},
	"StatefulSet":           {"apps", "v1", "replicas: $N, serviceName: a, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}", true},
	"ReplicaSet":            {"apps", "v1", "replicas: $N, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}", true},
	"ReplicationController": {"", "v1", "replicas: $N, selector: {a: b}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: a}]}}", true},
	"Job":                   {"batch", "v1", "parallelism: $N, template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}", false},
	"ScaledJob":             {"keda.sh", "v1alpha1", "maxReplicaCount: $N, jobTargetRef: {parallelism: 1}", false},
	"JobSet":                {"jobset.x-k8s.io", "v1alpha2", "replicatedJobs: [{name: a, replicas: $N}]", false},
	"LeaderWorkerSet":       {"leaderworkerset.x-k8s.io", "v1", "replicas: $N, leaderWorkerTemplate: {size: 1}", true},
	"RayCluster":            {"ray.io", "v1", "workerGroupSpecs: [{groupName: a, replicas: $LESS}]", false},
	"RayJob":                {"ray.io", "v1", "rayClusterSpec: {workerGroupSpecs: [{groupName: a, replicas: $LESS}]}", false},
	"RayService":            {"ray.io", "v1", "rayClusterConfig: {workerGroupSpecs: [{groupName: a, replicas: $LESS}]}", false},
	"PyTorchJob":            {"kubeflow.org", "v1", "pytorchReplicaSpecs: {Master: {}, Worker: {replicas: $LESS}}", true},
	"TFJob":                 {"kubeflow.org", "v1", "tfReplicaSpecs: {Chief: {}, Worker: {replicas: $LESS}}", false},
	"XGBoostJob":            {"kubeflow.org", "v1", "xgbReplicaSpecs: {Master: {}, Worker: {replicas: $LESS}}", false},
	"PaddleJob":             {"kubeflow.org", "v1", "paddleReplicaSpecs: {Master: {}, Worker: {replicas: $LESS}}", true},
	"JAXJob":                {"kubeflow.org", "v1", "jaxReplicaSpecs: {Worker: {replicas: $N}}", true},
	"MPIJob":                {"kubeflow.org", "v2beta1", "mpiReplicaSpecs: {Launcher: {}, Worker: {replicas: $LESS}}", false},
	"Rollout":               {"argoproj.io", "v1alpha1", "replicas: $N", true},
	"DeploymentConfig":      {"apps.openshift.io", "v1", "replicas: $N", true},
	"Farm":                  {"example.com", "v1", "groups: [{replicas: $LESS}]", false},
}

// twinEveryKind: every kind that the twin compiles is held without a webhook, where it is made, written and scaled. The
// ceiling of its Namespace is 5.
func twinEveryKind(t *testing.T, e *webhookEnv) {
	const most, above = 5, 6
	files, err := filepath.Glob(filepath.Join("..", "bypass", "testdata", "crds", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.ApplyFiles(t.Context(), files...); err != nil {
		t.Fatal(err)
	}
	var held []string
	for _, k := range webhook.Kinds() {
		if k.Counted() {
			held = append(held, k.Name)
		}
	}
	for kind := range twinKinds {
		if kind != "Farm" && !slices.Contains(held, kind) {
			t.Errorf("%s is not held", kind)
		}
	}
	for _, kind := range append(held, "Farm") {
		t.Run(kind, func(t *testing.T) {
			ctx, of := t.Context(), twinKinds[kind]
			asking := func(n int) *unstructured.Unstructured {
				spec := strings.NewReplacer("$N", fmt.Sprint(n), "$LESS", fmt.Sprint(n-1)).Replace(of.spec)
				return twinObject(t, fmt.Sprintf("{apiVersion: %s, kind: %s, metadata: {namespace: twin, name: every}, spec: {%s}}", strings.TrimPrefix(of.group+"/"+of.version, "/"), kind, spec))
			}
			refused := func(way string, n int, err error) {
				t.Helper()
				if err := webhookDenied(err, "ValidatingAdmissionPolicy", kind+" twin/every", fmt.Sprintf("%d replicas asked for", n), "at most 5 allowed"); err != nil {
					t.Errorf("%s above: %v", way, err)
				}
			}
			cluster.Eventually(t, webhookWait, func() error { return e.Client.Create(ctx, asking(most)) }) // once the kind is served
			again := asking(above)
			again.SetName("other")
			if err := webhookDenied(e.Client.Create(ctx, again), "ValidatingAdmissionPolicy", kind+" twin/other", "at most 5 allowed"); err != nil {
				t.Errorf("create above: %v", err)
			}
			o := asking(most)
			if err := e.Client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				t.Fatal(err)
			}
			count := func(n int) map[string]any { // without what the API server has filled in, and lets nobody change
				spec := asking(n).Object["spec"].(map[string]any)
				delete(spec, "template")
				return spec
			}
			updated := o.DeepCopy()
			maps.Copy(updated.Object["spec"].(map[string]any), count(above))
			refused("update", above, e.Client.Update(ctx, updated))
			patch, err := json.Marshal(map[string]any{"spec": count(above)})
			if err != nil {
				t.Fatal(err)
			}
			refused("merge patch", above, e.Client.Patch(ctx, o.DeepCopy(), twinPatch(string(patch))))
			o.SetLabels(map[string]string{"edited": "yes"})
			if err := e.Client.Update(ctx, o); err != nil {
				t.Errorf("an edit at the ceiling: %v", err)
			}
			maps.Copy(o.Object["spec"].(map[string]any), count(most-1))
			if err := e.Client.Update(ctx, o); err != nil {
				t.Errorf("update below: %v", err)
			}
			if !of.scaled {
				return
			}
			for _, way := range []string{"scale update", "scale patch"} {
				refused(way, above, webhookWays[way](ctx, e.Client, o.DeepCopy(), above))
				if err := webhookWays[way](ctx, e.Client, o.DeepCopy(), most); err != nil {
					t.Errorf("%s to the ceiling: %v", way, err)
				}
			}
		})
	}
}

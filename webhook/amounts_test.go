package webhook

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAmounts: every kind whose pods stand elsewhere than in spec.template, and what pods of a
// template ask for.
func TestAmounts(t *testing.T) {
	const (
		template = `{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":"2","cpu":"1"}}}]}}`
		worker   = `{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":"8"}}}]}}`
	)
	cases := map[string]struct {
		kind, object string
		want         Amounts
	}{
		"Deployment":              {"Deployment", `{"spec":{"replicas":3,"template":` + template + `}}`, Amounts{Replicas: 3, GPUs: 6}},
		"Deployment of one":       {"Deployment", `{"spec":{"template":` + template + `}}`, Amounts{Replicas: 1, GPUs: 2}},
		"Deployment of none":      {"Deployment", `{"spec":{"replicas":0,"template":` + template + `}}`, Amounts{}},
		"no GPUs":                 {"StatefulSet", `{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"a"}]}}}}`, Amounts{Replicas: 3}},
		"vendors and slices":      {"ReplicaSet", `{"spec":{"replicas":2,"template":{"spec":{"containers":[{"resources":{"limits":{"amd.com/gpu":1}}},{"resources":{"requests":{"nvidia.com/mig-1g.5gb":"1","nvidia.com/gpu.shared":"2"}}}]}}}}`, Amounts{Replicas: 2, GPUs: 8}},
		"init containers":         {"ReplicaSet", `{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":1}}}],"initContainers":[{"resources":{"limits":{"nvidia.com/gpu":4}}}]}}}}`, Amounts{Replicas: 1, GPUs: 4}},
		"sidecars":                {"ReplicaSet", `{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":1}}}],"initContainers":[{"restartPolicy":"Always","resources":{"limits":{"nvidia.com/gpu":4}}}]}}}}`, Amounts{Replicas: 1, GPUs: 5}},
		"malformed":               {"ReplicaSet", `{"spec":{"replicas":"x","template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":"lots"}}},7]}}}}`, Amounts{Replicas: 1}},
		"huge":                    {"ReplicaSet", `{"spec":{"replicas":2147483647,"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":"9E"}}}]}}}}`, Amounts{Replicas: 2147483647, GPUs: 9223372036854775807}},
		"Job":                     {"Job", `{"spec":{"parallelism":4,"completions":3,"template":` + template + `}}`, Amounts{Replicas: 3, GPUs: 6}},
		"suspended Job":           {"Job", `{"spec":{"parallelism":4,"suspend":true,"template":` + template + `}}`, Amounts{}},
		"ScaledJob":               {"ScaledJob", `{"spec":{"maxReplicaCount":5,"jobTargetRef":{"template":` + template + `}}}`, Amounts{Replicas: 5, GPUs: 10}},
		"JobSet":                  {"JobSet", `{"spec":{"replicatedJobs":[{"replicas":2,"template":{"spec":{"parallelism":3,"template":` + worker + `}}},{"template":{"spec":{"template":` + template + `}}}]}}`, Amounts{Replicas: 7, GPUs: 50}},
		"LeaderWorkerSet":         {"LeaderWorkerSet", `{"spec":{"replicas":2,"leaderWorkerTemplate":{"size":4,"workerTemplate":` + worker + `}}}`, Amounts{Replicas: 8, GPUs: 64}},
		"LeaderWorkerSet, leader": {"LeaderWorkerSet", `{"spec":{"leaderWorkerTemplate":{"size":2,"leaderTemplate":` + worker + `,"workerTemplate":` + template + `}}}`, Amounts{Replicas: 2, GPUs: 16}},
		"RayCluster":              {"RayCluster", `{"spec":{"headGroupSpec":{"template":` + template + `},"workerGroupSpecs":[{"replicas":2,"template":` + worker + `}]}}`, Amounts{Replicas: 3, GPUs: 18}},
		"RayCluster that may":     {"RayCluster", `{"spec":{"enableInTreeAutoscaling":true,"headGroupSpec":{"template":` + template + `},"workerGroupSpecs":[{"replicas":2,"maxReplicas":4,"template":` + worker + `}]}}`, Amounts{Replicas: 5, GPUs: 34}},
		"RayJob":                  {"RayJob", `{"spec":{"rayClusterSpec":{"headGroupSpec":{"template":` + template + `},"workerGroupSpecs":[{"replicas":2,"template":` + worker + `}]}}}`, Amounts{Replicas: 3, GPUs: 18}},
		"PyTorchJob":              {"PyTorchJob", `{"spec":{"pytorchReplicaSpecs":{"Master":{"template":` + template + `},"Worker":{"replicas":2,"template":` + worker + `}}}}`, Amounts{Replicas: 3, GPUs: 18}},
		"elastic PyTorchJob":      {"PyTorchJob", `{"spec":{"elasticPolicy":{"maxReplicas":4},"pytorchReplicaSpecs":{"Worker":{"replicas":2,"template":` + worker + `}}}}`, Amounts{Replicas: 4, GPUs: 32}},
		"MPIJob":                  {"MPIJob", `{"spec":{"mpiReplicaSpecs":{"Launcher":{"template":{"spec":{"containers":[]}}},"Worker":{"replicas":2,"template":` + worker + `}}}}`, Amounts{Replicas: 3, GPUs: 16}},
		"a claim for each":        {"Deployment", `{"spec":{"replicas":3,"template":{"spec":{"resourceClaims":[{"name":"a","resourceClaimTemplateName":"two"}]}}}}`, Amounts{Replicas: 3, GPUs: 6}},
		"two claims for each":     {"Deployment", `{"spec":{"replicas":3,"template":{"spec":{"resourceClaims":[{"resourceClaimTemplateName":"two"},{"resourceClaimTemplateName":"two"}]}}}}`, Amounts{Replicas: 3, GPUs: 12}},
		"a shared claim":          {"Deployment", `{"spec":{"replicas":3,"template":{"spec":{"resourceClaims":[{"resourceClaimName":"shared"},{"resourceClaimName":"shared"}]}}}}`, Amounts{Replicas: 3, GPUs: 4}},
		"a shared claim of none":  {"Deployment", `{"spec":{"replicas":0,"template":{"spec":{"resourceClaims":[{"resourceClaimName":"shared"}]}}}}`, Amounts{}},
		"claims and plugins":      {"Job", `{"spec":{"parallelism":2,"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":1}}}],"resourceClaims":[{"resourceClaimTemplateName":"two"},{"resourceClaimName":"shared"}]}}}}`, Amounts{Replicas: 2, GPUs: 10}},
		"no such template":        {"Deployment", `{"spec":{"template":{"spec":{"resourceClaims":[{"resourceClaimTemplateName":"none"},{"resourceClaimName":7},8]}}}}`, Amounts{Replicas: 1}},
		"a class as a resource":   {"Deployment", `{"spec":{"replicas":2,"template":{"spec":{"containers":[{"resources":{"limits":{"deviceclass.resource.kubernetes.io/gpu.nvidia.com":"3"}}}]}}}}`, Amounts{Replicas: 2, GPUs: 6}},
		"a claim of the leader":   {"LeaderWorkerSet", `{"spec":{"leaderWorkerTemplate":{"size":2,"leaderTemplate":{"spec":{"resourceClaims":[{"resourceClaimTemplateName":"two"}]}},"workerTemplate":` + worker + `}}}`, Amounts{Replicas: 2, GPUs: 16}},
		"huge claims":             {"ReplicaSet", `{"spec":{"replicas":9223372036854775807,"template":{"spec":{"resourceClaims":[{"resourceClaimTemplateName":"two"},{"resourceClaimName":"shared"}]}}}}`, Amounts{Replicas: 9223372036854775807, GPUs: 9223372036854775807}},
		"huge requests":           {"ReplicaSet", `{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":"9E"}}},{"resources":{"limits":{"nvidia.com/gpu":"9E"}}}]}}}}`, Amounts{Replicas: 1, GPUs: 9223372036854775807}},
		"fractions":               {"ReplicaSet", `{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":"500m"}}},{"resources":{"limits":{"nvidia.com/gpu":"-3"}}}]}}}}`, Amounts{Replicas: 1, GPUs: 1}},
	}
	claims := Claims{
		{FromTemplate, "two"}:             {{Vendor: "nvidia", Count: 1}, {Vendor: "amd", Count: 1}},
		{FromClaim, "shared"}:             {{Vendor: "nvidia", Count: 4}},
		{FromClass, "gpu.nvidia.com"}:     {{Vendor: "nvidia", Count: 1}},
		{FromTemplate, "of another kind"}: nil,
	}
	kinds := map[string]Kind{}
	for _, k := range Kinds() {
		kinds[k.Name] = k
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			kind := kinds[c.kind]
			if !kind.Counted() {
				t.Fatalf("%s does not count", c.kind)
			}
			if diff := cmp.Diff(c.want, kind.Ask(decode(t, c.object)).With(claims)); diff != "" {
				t.Errorf("amounts:\n%s", diff)
			}
		})
	}
}

// TestAskClaims: what is to be looked up, each once.
func TestAskClaims(t *testing.T) {
	object := `{"spec":{"replicas":0,"template":{"spec":{"containers":[{"resources":{"limits":{"deviceclass.resource.kubernetes.io/c":"3"}}}],
		"resourceClaims":[{"resourceClaimTemplateName":"b"},{"resourceClaimTemplateName":"a"},{"resourceClaimTemplateName":"b"},{"resourceClaimName":"a"}]}}}}`
	deployment := Kinds()[0]
	if got := deployment.Ask(decode(t, object)).Claims(); got != nil {
		t.Errorf("claims of no pods: %v", got)
	}
	got := deployment.Ask(decode(t, strings.Replace(object, `"replicas":0`, `"replicas":2`, 1))).Claims()
	want := []ClaimRef{{FromClass, "c"}, {FromClaim, "a"}, {FromTemplate, "a"}, {FromTemplate, "b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims:\n%s", diff)
	}
}

// TestPodsOfAnother: a Rollout may leave its pods to a Deployment, which may itself have none.
func TestPodsOfAnother(t *testing.T) {
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == "Rollout" })
	deployment := decode(t, `{"spec":{"replicas":0,"template":{"spec":{"containers":[{"resources":{"limits":{"nvidia.com/gpu":"2"}}}],"resourceClaims":[{"resourceClaimTemplateName":"one"}]}}}}`)
	claims := Claims{{FromTemplate, "one"}: {{Vendor: "nvidia", Count: 1}}}
	for object, want := range map[string]struct {
		of    Reference
		asked Amounts
	}{
		`{"spec":{"replicas":3,"workloadRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}`: {Reference{"apps", "Deployment", "web"}, Amounts{Replicas: 3, GPUs: 9}},
		`{"spec":{"workloadRef":{"apiVersion":"v1","kind":"PodTemplate","name":"web"}}}`:                  {Reference{"", "PodTemplate", "web"}, Amounts{Replicas: 1, GPUs: 3}},
		`{"spec":{"replicas":0,"workloadRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}`: {Reference{"apps", "Deployment", "web"}, Amounts{}},
		`{"spec":{"replicas":3,"workloadRef":7}}`:                                                         {Reference{}, Amounts{Replicas: 3, GPUs: 9}},
	} {
		ask := Kinds()[i].Ask(decode(t, object))
		if diff := cmp.Diff(want.of, ask.Template); diff != "" {
			t.Errorf("%s has its template elsewhere:\n%s", object, diff)
		}
		if without := ask.With(claims); without.GPUs != 0 || without.Replicas != want.asked.Replicas {
			t.Errorf("%s asks by itself for %+v, want replicas alone", object, without)
		}
		if want.of.Name == "" {
			continue
		}
		if diff := cmp.Diff(want.asked, ask.Of(Pod(deployment)).With(claims)); diff != "" {
			t.Errorf("%s:\n%s", object, diff)
		}
		if got := ask.Of(Pod(deployment)).Claims(); (len(got) == 1) != (want.asked.Replicas > 0) {
			t.Errorf("%s claims %v", object, got)
		}
	}
}

// TestNotCounted: what bounds other objects, or makes such as count themselves.
func TestNotCounted(t *testing.T) {
	not := map[string]bool{
		"CronJob": true, "HorizontalPodAutoscaler": true, "ScaledObject": true, "Service": true, "TrainJob": true, "CapacityBuffer": true, "ProvisioningRequest": true,
	}
	for _, k := range Kinds() {
		if k.Counted() == (not[k.Name] || k.Measure == Nodes) {
			t.Errorf("%s counts: %t", k.Name, k.Counted())
		}
	}
}

func TestClaimsNode(t *testing.T) {
	cases := map[string]bool{
		`{}`: true,
		`{"metadata":{"deletionTimestamp":"2026-11-24T12:00:00Z"}}`:                                  false,
		`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`:                               true,
		`{"status":{"conditions":[{"type":"DisruptionReason","status":"True","reason":"Drifted"}]}}`: false,
		`{"status":{"conditions":[{"type":"DisruptionReason","status":"False"}]}}`:                   true,
	}
	for claim, want := range cases {
		if got := ClaimsNode(decode(t, claim)); got != want {
			t.Errorf("%s counts: %t, want %t", claim, got, want)
		}
	}
}

func TestAmountsAt(t *testing.T) {
	for name, c := range map[string]struct {
		at    Amounts
		n, to int64
		want  Amounts
	}{
		"more":         {Amounts{Replicas: 2, GPUs: 4}, 2, 5, Amounts{Replicas: 5, GPUs: 10}},
		"none":         {Amounts{Replicas: 2, GPUs: 4}, 2, 0, Amounts{}},
		"rounded up":   {Amounts{Replicas: 3, GPUs: 4}, 3, 2, Amounts{Replicas: 2, GPUs: 3}},
		"out of none":  {Amounts{}, 0, 5, Amounts{Replicas: 5}},
		"out of sight": {Amounts{Replicas: 1, GPUs: math.MaxInt64}, 1, 9, Amounts{Replicas: 9, GPUs: math.MaxInt64}},
	} {
		if got := c.at.At(c.n, c.to); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

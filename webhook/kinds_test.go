package webhook

import (
	"slices"
	"testing"

	yaml "sigs.k8s.io/json"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	var out any
	if err := yaml.UnmarshalCaseSensitivePreserveInts([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestKinds(t *testing.T) {
	seen := map[[2]string]bool{}
	for _, k := range Kinds() {
		key := [2]string{k.Group, k.Resource}
		if seen[key] || k.Version == "" || k.Name == "" || k.Measure == "" || len(k.Counts) == 0 && k.Instances == nil {
			t.Errorf("%s of %q is there twice or incomplete", k.Resource, k.Group)
		}
		seen[key] = true
	}
}

func TestBound(t *testing.T) {
	deployment := Kinds()[0]
	for object, want := range map[string]int64{
		`{"spec":{"replicas":10,"strategy":{"rollingUpdate":{"maxSurge":"25%"}}}}`:   13,
		`{"spec":{"replicas":10,"strategy":{"rollingUpdate":{"maxSurge":2}}}}`:       12,
		`{"spec":{"replicas":10,"strategy":{"type":"Recreate"}}}`:                    13,
		`{"spec":{"replicas":10,"strategy":{"rollingUpdate":{"maxSurge":"?"}}}}`:     10,
		`{"spec":{"replicas":10,"strategy":{"rollingUpdate":{"maxSurge":1000}}}}`:    20,
		`{"spec":{"replicas":10,"strategy":{"rollingUpdate":{"maxSurge":"1000%"}}}}`: 20,
		`{"spec":{"replicas":0,"strategy":{"rollingUpdate":{"maxSurge":1000}}}}`:     0,
		`{}`: 2,
	} {
		if got := deployment.Bound(decode(t, object)); got != want {
			t.Errorf("%s: got %d, want %d", object, got, want)
		}
	}
}

// TestSurgeOfMachineDeployments: it stands elsewhere in v1beta2 of Cluster API than in v1beta1.
func TestSurgeOfMachineDeployments(t *testing.T) {
	i := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == "MachineDeployment" })
	for object, want := range map[string]int64{
		`{"spec":{"replicas":10,"strategy":{"rollingUpdate":{"maxSurge":4}}}}`:                 14,
		`{"spec":{"replicas":10,"rollout":{"strategy":{"rollingUpdate":{"maxSurge":4}}}}}`:     14,
		`{"spec":{"replicas":10,"rollout":{"strategy":{"rollingUpdate":{"maxSurge":"50%"}}}}}`: 15,
	} {
		if got := Kinds()[i].Bound(decode(t, object)); got != want {
			t.Errorf("%s: got %d, want %d", object, got, want)
		}
	}
}

// TestScaledTo: what /scale writes is a part of the count of some kinds.
func TestScaledTo(t *testing.T) {
	for _, k := range Kinds() {
		var object string
		var want int64
		switch k.Name {
		case "LeaderWorkerSet":
			object, want = `{"spec":{"replicas":2,"leaderWorkerTemplate":{"size":4}}}`, 12
		case "PyTorchJob":
			object, want = `{"spec":{"pytorchReplicaSpecs":{"Master":{"replicas":1},"Worker":{"replicas":2}}}}`, 4
		default:
			continue
		}
		if got := k.ScaledTo(decode(t, object).(map[string]any), 3); got != want {
			t.Errorf("%s scaled to 3 asks for %d, want %d", k.Name, got, want)
		}
	}
}

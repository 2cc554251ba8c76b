package webhook

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestLeader(t *testing.T) {
	for name, c := range map[string]struct {
		name             string
		version, kind    string
		controller, want string
		wantOrdinal      int64
	}{
		"a group":                      {"web-1", "v1", "Pod", "web-1", "web", 1},
		"of a name with a number":      {"web-1-12", "v1", "Pod", "web-1-12", "web-1", 12},
		"of another name than its pod": {"mine", "v1", "Pod", "web-1", "", 0},
		"without a number":             {"web", "v1", "Pod", "web", "", 0},
		"of a number written oddly":    {"web-01", "v1", "Pod", "web-01", "", 0},
		"of a number that is none":     {"web-+1", "v1", "Pod", "web-+1", "", 0},
		"of a number that is too high": {"web-9999999999", "v1", "Pod", "web-9999999999", "", 0},
		"of no name":                   {"-1", "v1", "Pod", "-1", "", 0},
		"of a Pod of somebody's own":   {"web-1", "example.com/v1", "Pod", "web-1", "", 0},
		"of another kind":              {"web-1", "v1", "ReplicationController", "web-1", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			of, ordinal, led := Leader(c.name, &metav1.OwnerReference{APIVersion: c.version, Kind: c.kind, Name: c.controller})
			if of != c.want || led && ordinal != c.wantOrdinal || led != (c.want != "") {
				t.Errorf("got %q %d %t, want %q %d", of, ordinal, led, c.want, c.wantOrdinal)
			}
		})
	}
	if _, _, led := Leader("web-1", nil); led {
		t.Error("led by nobody")
	}
}

// TestMembers: a group of an object is bounded by its size, and counted with the object as far as that counts it.
func TestMembers(t *testing.T) {
	pod := func(gpus string) map[string]any {
		return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"resources": map[string]any{"limits": map[string]any{"nvidia.com/gpu": gpus}}}}}}
	}
	set := func(surge any) map[string]any {
		return map[string]any{"spec": map[string]any{
			"replicas": int64(2), "leaderWorkerTemplate": map[string]any{"size": int64(4), "workerTemplate": pod("2"), "leaderTemplate": pod("8")},
			"rolloutStrategy": map[string]any{"rollingUpdateConfiguration": map[string]any{"maxSurge": surge}},
		}}
	}
	groups := leaderWorkers()
	for name, c := range map[string]struct {
		surge   any
		ordinal int64
		amounts Amounts
		bound   int64
		counted bool
	}{
		"the first":                    {nil, 0, Amounts{Replicas: 3, GPUs: 6}, 3, true},
		"the last":                     {nil, 1, Amounts{Replicas: 3, GPUs: 6}, 3, true},
		"of a smaller size":            {nil, 1, Amounts{Replicas: 2, GPUs: 4}, 3, true},
		"of a larger size":             {nil, 1, Amounts{Replicas: 4}, 3, false},
		"with more GPUs":               {nil, 1, Amounts{Replicas: 3, GPUs: 7}, 3, false},
		"one too many":                 {nil, 2, Amounts{Replicas: 3}, 0, false},
		"one of a rollout":             {int64(1), 2, Amounts{Replicas: 3}, 3, false},
		"one too many of a rollout":    {int64(1), 3, Amounts{Replicas: 3}, 0, false},
		"one of a rollout, by percent": {"50%", 2, Amounts{Replicas: 3}, 3, false},
		"no rollout is so large":       {int64(100), 4, Amounts{Replicas: 3}, 0, false},
		"a surge that is none":         {"-5", 2, Amounts{Replicas: 3}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := groups.Of(set(c.surge))
			if got := m.Bound(c.ordinal); got != c.bound {
				t.Errorf("bound %d, want %d", got, c.bound)
			}
			if got := m.Counts(c.ordinal, c.amounts, nil); got != c.counted {
				t.Errorf("counted %t, want %t", got, c.counted)
			}
		})
	}
	var none *Groups
	if m := none.Of(set(nil)); m.Bound(0) != 0 || m.Counts(0, Amounts{Replicas: 1}, nil) {
		t.Error("a kind without groups has some")
	}
}

package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/decisions"
	"forewarm.dev/test/cluster"
)

// capacityDecisions replays what the parts before have decided, from objects and from lines.
func capacityDecisions(t *testing.T, e *loopEnv) {
	var list v1alpha1.DecisionList
	if err := e.Client.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	limited := map[string]bool{}
	for _, decision := range list.Items {
		for _, by := range decision.Spec.Chunks[0].LimitedBy {
			limited[by] = true
		}
	}
	if !limited["LimitedByMaxNodes"] || !limited["LimitedByApproval"] {
		t.Errorf("%d decisions tell of the limits %v, want those of nodes and of approval", len(list.Items), limited)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.Decision) int { return a.Spec.At.Compare(b.Spec.At.Time) })
	first, last := list.Items[0], list.Items[len(list.Items)-1]
	for _, d := range []v1alpha1.Decision{first, last} {
		out, complaints, code := e.run(t, "forewarmctl", "replay", d.Name, "--kubeconfig", e.Kubeconfig)
		if code != 0 || !strings.Contains(out, "bit for bit") || !strings.Contains(out, d.Spec.Digest) {
			t.Errorf("replay %s: exit code %d, %s%s", d.Name, code, out, complaints)
		}
	}
	out, complaints, code := e.run(t, "forewarmctl", "decisions", loopName, "--kubeconfig", e.Kubeconfig)
	if code != 0 || !strings.Contains(out, last.Name) || !strings.Contains(out, "Approve") {
		t.Errorf("exit code %d, %s, want %s in:\n%s", code, complaints, last.Name, out)
	}
	if _, complaints, code = e.run(t, "forewarmctl", "replay", "nosuch", "--kubeconfig", e.Kubeconfig); code != 1 || !strings.Contains(complaints, "forewarmctl decisions lists") {
		t.Errorf("exit code %d, %s", code, complaints)
	}
	capacityLines(t, e)
}

// capacityLines replays the first line, without a cluster.
func capacityLines(t *testing.T, e *loopEnv) {
	t.Helper()
	path := filepath.Join(e.folder, "decisions.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var line decisions.Line
	row, _, _ := strings.Cut(string(text), "\n")
	if err := json.Unmarshal([]byte(row), &line); err != nil || line.Decision.Pool != loopName {
		t.Fatalf("%v in %s", err, row)
	}
	out, complaints, code := e.run(t, "forewarmctl", "replay", line.ID, "--lines", path)
	if code != 0 || !strings.Contains(out, "bit for bit") {
		t.Errorf("exit code %d, %s%s", code, out, complaints)
	}
	cluster.Eventually(t, loopWait, func() error { // every plan is a line, also one that changes nothing
		more, err := os.ReadFile(path)
		if err == nil && len(more) <= len(text) {
			err = fmt.Errorf("no line was added")
		}
		return err
	})
}

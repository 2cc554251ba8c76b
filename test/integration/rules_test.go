package integration

import (
	"os/exec"
	"path/filepath"
	"testing"

	"forewarm.dev/test/cluster/assets"
)

// TestRules has Prometheus' own tool check our rules, and fire each alert by made series.
func TestRules(t *testing.T) {
	promtool, err := assets.Find(assets.Promtool)
	if assets.IsMissing(err) && testing.Short() {
		t.Skipf("-short and no promtool: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join("..", "..", "manifests", "monitoring")
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		tool := exec.CommandContext(t.Context(), promtool, args...)
		tool.Dir = folder
		if output, err := tool.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, output)
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRun: all files are written, and nothing without rules.
func TestRun(t *testing.T) {
	folder := t.TempDir()
	if err := run([]string{folder}); !os.IsNotExist(err) {
		t.Errorf("without rules.yaml: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "rules.yaml"), []byte("groups: []"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{folder}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"prometheusrule.yaml", "dashboards/forewarm-capacity.json", "dashboards/forewarm-control-plane.json"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := run(nil); err == nil {
		t.Error("without a folder: no error")
	}
}

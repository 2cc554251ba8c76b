package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun: the pages are written from the CRDs and the types, and nothing without them.
func TestRun(t *testing.T) {
	root, folder := filepath.Join("..", "..", ".."), t.TempDir()
	crds, source := filepath.Join(root, "manifests", "crd"), filepath.Join(root, "internal", "config")
	kinds, settings := filepath.Join(folder, "reference.md"), filepath.Join(folder, "reference-config.md")
	if err := run([]string{crds, kinds, source, settings}); err != nil {
		t.Fatal(err)
	}
	for page, want := range map[string]string{kinds: "WarmPool", settings: "maxChangesPerPlan"} {
		text, err := os.ReadFile(page)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s tells nothing of %s: %v\n%.200s", page, want, err, text)
		}
	}
	missing := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{{missing, missing, source, missing}, {crds, missing, missing, missing}} {
		if err := run(args); err == nil {
			t.Errorf("%q: no error", args)
		}
		if _, err := os.Stat(missing); !os.IsNotExist(err) {
			t.Errorf("%q: a page was written: %v", args, err)
		}
	}
	if err := run([]string{crds, kinds}); err == nil || !strings.Contains(err.Error(), "docs/reference-config.md") {
		t.Errorf("without the other pages: %v", err)
	}
}

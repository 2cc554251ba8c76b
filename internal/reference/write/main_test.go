package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun: the page is written from the CRDs, and nothing without them.
func TestRun(t *testing.T) {
	page := filepath.Join(t.TempDir(), "reference.md")
	if err := run([]string{filepath.Join("..", "..", "..", "manifests", "crd"), page}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(text), "WarmPool") {
		t.Errorf("the page tells nothing of WarmPools: %v\n%.200s", err, text)
	}
	missing := filepath.Join(t.TempDir(), "none")
	if err := run([]string{missing, missing}); err == nil {
		t.Error("without CRDs: no error")
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("without CRDs a page was written: %v", err)
	}
	if err := run([]string{missing}); err == nil || !strings.Contains(err.Error(), "docs/reference.md") {
		t.Errorf("without a page: %v", err)
	}
}

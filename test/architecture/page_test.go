package architecture

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThePageHasEveryPackage: docs/architecture.md has a line for every package of ours that others can
// import, and names every kind.
func TestThePageHasEveryPackage(t *testing.T) {
	root := filepath.Join("..", "..")
	text := page(t, "docs/architecture.md")
	packages := 0
	for _, feature := range []string{"api", "forecast", "capacity", "webhook", "extender", "internal"} {
		err := fs.WalkDir(os.DirFS(root), feature, func(folder string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			found, err := build.ImportDir(filepath.Join(root, folder), 0)
			if err != nil || found.IsCommand() {
				return nil //nolint:nilerr // a folder without Go files of ours is no package
			}
			if packages++; !strings.Contains(text, "](../"+folder+") |") {
				t.Errorf("docs/architecture.md has no line for %s", folder)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	crds, err := filepath.Glob(filepath.Join(root, "manifests", "crd", "*.yaml"))
	if err != nil || len(crds) == 0 || packages < 50 {
		t.Fatalf("%d CRDs and %d packages were found: %v", len(crds), packages, err)
	}
	for _, path := range crds {
		crd, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if kind := regexp.MustCompile(`(?m)^    kind: (\w+)$`).FindSubmatch(crd); kind == nil || !strings.Contains(text, "`"+string(kind[1])+"`") {
			t.Errorf("docs/architecture.md does not name the kind %s of %s", kind, path)
		}
	}
}

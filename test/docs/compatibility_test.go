package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/internal/doctor"
)

// TestCompatibility: the page has the kinds that doctor looks for, and the versions that tests run on.
func TestCompatibility(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range doctor.Features() {
		want = append(want, fmt.Sprintf("| `%s` `%s/%s` | %s | %s |", f.Kind.Kind, f.Kind.Group, f.Kind.Version, f.Since, f.Without))
	}
	got := slices.DeleteFunc(strings.Split(string(page), "\n"), func(line string) bool { return !strings.HasPrefix(line, "| `") })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows of kinds in docs/compatibility.md: %s", diff)
	}
	recipes, err := filepath.Glob(filepath.Join(root, "test", "cluster", "kubernetes", "*", "go.mod"))
	if err != nil || len(recipes) == 0 {
		t.Fatalf("older recipes: %v, %v", recipes, err)
	}
	pinned := regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes v(\S+)`)
	for _, path := range append(recipes, filepath.Join(root, "test", "cluster", "kubernetes", "go.mod")) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		version := pinned.FindSubmatch(text)
		if version == nil || !strings.Contains(string(page), string(version[1])) {
			t.Errorf("docs/compatibility.md does not name version %q of %s", version, path)
		}
	}
}

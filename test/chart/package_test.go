package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
)

// TestPackage: the archive that helm package makes, in which no link is left, renders as the folder does.
func TestPackage(t *testing.T) {
	pack := action.NewPackage()
	pack.Destination = t.TempDir()
	archive, err := pack.Run(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range choices {
		want, err := Render(t.Context(), folder, Namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Render(t.Context(), archive, Namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: folder (-) and archive (+): %s", name, diff)
		}
	}
}

// TestWithoutLinks: a copy that lacks what the links of the chart lead to, as those make that follow none, is
// refused rather than installed without rights.
func TestWithoutLinks(t *testing.T) {
	for _, lacks := range []string{"files/", "files/rbac/", "files/crd/", "files/service.yaml"} {
		lone := t.TempDir()
		for _, file := range load(t).Raw {
			if strings.HasPrefix(file.Name, lacks) {
				continue
			}
			path := filepath.Join(lone, filepath.FromSlash(file.Name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, file.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Render(t.Context(), lone, Namespace, "{}"); err == nil || !strings.Contains(err.Error(), "is missing in this copy of the chart") {
			t.Errorf("without %s: %v", lacks, err)
		}
	}
}

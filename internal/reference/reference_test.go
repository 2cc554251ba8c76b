package reference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPageIsCurrent compares the page with the CRDs.
func TestPageIsCurrent(t *testing.T) {
	root := filepath.Join("..", "..")
	want, err := Page(filepath.Join(root, "manifests", "crd"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "docs", "reference.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("docs/reference.md (-) is stale; run: make generate\n%s", diff)
	}
}

const crd = `
spec:
  group: example.com
  scope: Cluster
  names: {kind: Farm}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: Farm grows things.
        properties:
          kind: {type: string}
          spec:
            required: [crops]
            properties:
              crops:
                type: array
                description: Crops are "a | b",
                  in rows.
                items:
                  type: object
                  properties:
                    rows: {type: integer, format: int32, default: 3}
              mode: {type: string, enum: [Dry, Wet]}
              size: {x-kubernetes-int-or-string: true}
              labels: {type: object, additionalProperties: {type: string}}
`

func TestPage(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "farm.yaml"), []byte(crd), 0o600); err != nil {
		t.Fatal(err)
	}
	page, err := Page(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## Farm\n\n`example.com/v1`, of the cluster. Farm grows things.\n",
		"| `spec.crops` | list of object | required | Crops are \"a \\| b\", in rows. |\n",
		"| `spec.crops[].rows` | integer (int32) | `3` |  |\n",
		"| `spec.mode` | Dry, Wet |  |  |\n",
		"| `spec.size` | number or text |  |  |\n",
		"| `spec.labels` | map of string |  |  |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "`kind`") {
		t.Errorf("the page tells of what every kind has:\n%s", page)
	}
}

package reference

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/internal/config"
)

var settingsFolder = filepath.Join("..", "config")

// TestSettingsAreCurrent compares the page with the types.
func TestSettingsAreCurrent(t *testing.T) {
	want, err := Settings(settingsFolder)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference-config.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("docs/reference-config.md (-) is stale; run: make generate\n%s", diff)
	}
}

func TestSettings(t *testing.T) {
	page, err := Settings(settingsFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n## webhook\n\n| field | type | default | meaning |\n",
		"| `webhook.metricsAddress` | text | `\":8080\"` | MetricsAddress is where /metrics is served, host:port. |\n", // of an embedded struct
		"| `webhook.clientCA` | object |  | ",
		"| `webhook.clientCA.names` | list of text |  | ",                   // behind a pointer that is absent
		"| `webhook.certificate.keyFile` | text |  | CertFile and KeyFile ", // told of with the field before it
		"| `webhook.kinds` | list of object |  | ",
		"| `webhook.kinds[].count` | text |  | ",
		"| `webhook.markClaims` | true, false | `false` | ",
		"| `extender.deadline` | duration | `\"200ms\"` | ",
		"| `reserver.priority` | number | `-10` | ",
		"| `reserver.history.prometheus.maxInFlight` | number | `4` | ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
}

// TestSettingsWithoutComments: nobody forgets to say what a field means.
func TestSettingsWithoutComments(t *testing.T) {
	said, err := comments(settingsFolder)
	if err != nil {
		t.Fatal(err)
	}
	delete(said, "Decisions.Keep")
	var page strings.Builder
	err = settings(&page, "decisions", reflect.ValueOf(config.Default().Reserver.Decisions), said)
	if err == nil || !strings.Contains(err.Error(), "Keep") {
		t.Errorf("a field without a comment: %v", err)
	}
	if _, err := Settings(t.TempDir()); err == nil || !strings.Contains(err.Error(), "folder of package config") {
		t.Errorf("a folder without source: %v", err)
	}
}

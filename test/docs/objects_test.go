// Package docs holds what the pages show to what the code takes.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/config"
)

var (
	// block is a block of YAML of a page.
	block = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	// here is what a command of a page is given on its standard input.
	here = regexp.MustCompile(`(?ms)<<'EOF'\n(.*?)^EOF$`)
	// separator stands between two objects.
	separator = regexp.MustCompile(`(?m)^---$`)
)

// TestObjects: objects of ours and of Kubernetes' that the pages and samples show have the fields of
// their types and no others.
func TestObjects(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	root := filepath.Join("..", "..")
	decoded := map[string]int{}
	for _, pattern := range []string{"README.md", "docs/*.md", "manifests/samples/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			for _, text := range objects(t, file) {
				if strings.Contains(text, "apiVersion: config.forewarm.dev/") {
					decoded["Config"]++
					configures(t, file, text)
					continue
				}
				_, kind, err := decoder.Decode([]byte(text), nil, nil)
				if runtime.IsNotRegisteredError(err) || runtime.IsMissingKind(err) || runtime.IsMissingVersion(err) {
					continue // somebody else's, or a part
				}
				if err != nil {
					t.Errorf("%s shows\n%s\nwhich its type does not take: %v", filepath.Base(file), text, err)
					continue
				}
				decoded[kind.Kind]++
			}
		}
	}
	for _, kind := range []string{"WarmPool", "Job", "Deployment", "DemandEvent", "Config"} {
		if decoded[kind] == 0 {
			t.Errorf("no %s was found: %v", kind, decoded)
		}
	}
}

// objects are the texts of a file that may be objects.
func objects(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) == ".yaml" {
		return separator.Split(string(text), -1)
	}
	var found []string
	for _, pattern := range []*regexp.Regexp{block, here} {
		for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
			found = append(found, separator.Split(match[1], -1)...)
		}
	}
	return found
}

// configures fails unless a text is a configuration file that every process of ours takes.
func configures(t *testing.T, file, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "forewarm.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(path); err != nil {
		t.Errorf("%s shows\n%s\nwhich is no configuration: %v", filepath.Base(file), text, err)
	}
}

package architecture

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is how docs/reliability.md names a test: its folder, its function, and the name of a part.
var named = regexp.MustCompile("`([a-z/]+): ((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([^`]+))?`")

// TestReliabilityNamesTests: each of R1 to R20 is held by tests that exist, but for what the page
// says is missing.
func TestReliabilityNamesTests(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, match := range named.FindAllStringSubmatch(string(page), -1) {
		folder, function, part := match[1], match[2], match[3]
		if _, read := sources[folder]; !read {
			files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				sources[folder] += string(text)
			}
		}
		if !strings.Contains(sources[folder], "func "+function+"(") {
			t.Errorf("docs/reliability.md names %s, and %s has no such test", match[0], folder)
		}
		if part != "" && !strings.Contains(sources[folder], `{"`+part+`",`) {
			t.Errorf("docs/reliability.md names %s, and no test of %s has such a part", match[0], folder)
		}
	}
	for i := range 20 {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| R%d \|.*$`, i+1)).FindString(string(page))
		if !named.MatchString(row) && !strings.Contains(row, "what is missing") {
			t.Errorf("docs/reliability.md: R%d names no test", i+1)
		}
	}
}

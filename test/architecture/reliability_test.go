package architecture

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is how a page names a test: its folder, its function, and the name of a part.
var named = regexp.MustCompile("`([a-z/]+): ((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([^`]+))?`")

// namesTests fails unless every test that a page names exists. It returns the page.
func namesTests(t *testing.T, name string) string {
	t.Helper()
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", name))
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
			t.Errorf("docs/%s names %s, and %s has no such test", name, match[0], folder)
		}
		if part != "" && !strings.Contains(sources[folder], `{"`+part+`",`) {
			t.Errorf("docs/%s names %s, and no test of %s has such a part", name, match[0], folder)
		}
	}
	return string(page)
}

// TestReliabilityNamesTests: each of R1 to R20 is held by tests that exist, but for what the page
// says is missing.
func TestReliabilityNamesTests(t *testing.T) {
	page := namesTests(t, "reliability.md")
	for i := range 20 {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| R%d \|.*$`, i+1)).FindString(page)
		if !named.MatchString(row) && !strings.Contains(row, "what is missing") {
			t.Errorf("docs/reliability.md: R%d names no test", i+1)
		}
	}
}

// TestThreatsNameTests: each row of the threat model is held by tests that exist.
func TestThreatsNameTests(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| [A-Z][0-9]+ \|.*$`).FindAllString(namesTests(t, "threat-model.md"), -1)
	for _, row := range rows {
		if !named.MatchString(row) {
			t.Errorf("docs/threat-model.md names no test for %s", row)
		}
	}
	if len(rows) < 20 {
		t.Errorf("docs/threat-model.md has %d rows", len(rows))
	}
}

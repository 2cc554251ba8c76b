package architecture

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// page is the text of a page without its blocks of code.
func page(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return fenced.ReplaceAllString(string(text), "")
}

// pages are all pages of the repository, as paths from its root.
func pages(t *testing.T) []string {
	t.Helper()
	var files []string
	root := os.DirFS(filepath.Join("..", ".."))
	err := fs.WalkDir(root, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (file == "bin" || file == ".git" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if path.Ext(file) == ".md" {
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// anchors are the names under which the headings of a page can be reached.
func anchors(text string) map[string]bool {
	names, seen := map[string]bool{}, map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		title := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(match[1], "$1")
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		if n := seen[name]; n > 0 {
			names[fmt.Sprintf("%s-%d", name, n)] = true
		}
		seen[name]++
		names[name] = true
	}
	return names
}

// TestLinks: every link from a page of ours to a file of ours leads somewhere, anchors included.
func TestLinks(t *testing.T) {
	links := 0
	for _, file := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(page(t, file), ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			at := file
			if target != "" {
				at = path.Join(path.Dir(file), target)
			}
			if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(at))); err != nil {
				t.Errorf("%s links to %s, and there is no %s", file, match[1], at)
				continue
			}
			if anchor != "" && path.Ext(at) == ".md" && !anchors(page(t, at))[anchor] {
				t.Errorf("%s links to %s, and %s has no such heading", file, match[1], at)
			}
		}
	}
	if links < 100 {
		t.Errorf("%d links were found", links)
	}
}

// TestReadmeLinksAllPages: who reads the README finds every page of docs.
func TestReadmeLinksAllPages(t *testing.T) {
	readme := page(t, "README.md")
	for _, file := range pages(t) {
		if path.Dir(file) == "docs" && !strings.Contains(readme, "]("+file+")") {
			t.Errorf("README.md does not link to %s", file)
		}
	}
}

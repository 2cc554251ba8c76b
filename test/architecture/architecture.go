// Package architecture checks the house rules of docs/architecture.md on the source tree:
// which packages are pure, who may import whom, what folders and files there may be. It reads
// source only, so that its test can plant violations.
package architecture

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the module path that own imports start with.
const Module = "forewarm.dev"

// Violation is one breach of a rule.
type Violation struct {
	// Path is the file or folder, relative to the root of the tree.
	Path string
	// Line is where in the file; zero for the whole of it.
	Line int
	// Message says what is wrong and what to do instead.
	Message string
}

// String reads like a compiler's message.
func (v Violation) String() string {
	if v.Line == 0 {
		return v.Path + ": " + v.Message
	}
	return fmt.Sprintf("%s:%d: %s", v.Path, v.Line, v.Message)
}

// Check returns every violation in the tree, in the order of the paths. The error is one of
// reading or parsing.
func Check(tree fs.FS) ([]Violation, error) {
	var violations []Violation
	sizes := packageSizes{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(tree, name) {
				return fs.SkipDir
			}
			violations = append(violations, checkFolder(name)...)
			return nil
		}
		found, lines, err := checkFile(tree, name)
		violations = append(violations, found...)
		sizes.add(name, lines)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the source tree: %w", err)
	}
	return append(violations, sizes.check()...), nil
}

// skipped tells folders that hold no source of this module: hidden ones, built binaries, test
// data, and the recipes, which are modules of their own.
func skipped(tree fs.FS, name string) bool {
	if name == "." {
		return false
	}
	base := path.Base(name)
	if name == "bin" || base == "testdata" || strings.HasPrefix(base, ".") {
		return true
	}
	_, err := fs.Stat(tree, path.Join(name, "go.mod"))
	return err == nil
}

// checkFile applies the rules on sizes, and on Go source those on packages and imports. It returns
// how many lines a file has.
func checkFile(tree fs.FS, name string) ([]Violation, int, error) {
	limit, why := lineLimit(name)
	isGo := strings.HasSuffix(name, ".go")
	if limit == 0 && !isGo {
		return nil, 0, nil
	}
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, 0, err
	}
	var violations []Violation
	lines := strings.Count(string(data), "\n")
	if limit > 0 && lines > limit {
		violations = append(violations, Violation{Path: name, Message: fmt.Sprintf("has %d lines, at most %d allowed: %s", lines, limit, why)})
	}
	if !isGo {
		return violations, lines, nil
	}
	source, err := parse(name, data)
	if err != nil {
		return nil, lines, err
	}
	violations = append(violations, source.checkName()...)
	violations = append(violations, source.checkArrows()...)
	return append(violations, source.checkPurity()...), lines, nil
}

// lineLimit is the most lines that a file may have, and why; zero means any number.
func lineLimit(name string) (int, string) {
	base := path.Base(name)
	switch {
	case name == "Makefile":
		return 200, "move logic into a Go program"
	case name == "README.md":
		return 150, "move detail into docs/"
	case base == "main.go" && strings.HasPrefix(name, "cmd/"):
		return 60, "a main has flags, config, wire, run; put wiring in a file beside it"
	case strings.HasPrefix(base, "zz_generated"):
		return 0, ""
	case strings.HasSuffix(base, "_test.go"):
		return 600, "split the tests by subject"
	case strings.HasSuffix(base, ".go"):
		return 400, "one idea per file: split it"
	default:
		return 0, ""
	}
}

var (
	// topFolders are the only folders at the top of the tree.
	topFolders = []string{"api", "capacity", "cmd", "docs", "extender", "forecast", "internal", "manifests", "test", "webhook"}
	// vagueNames say nothing about what a package owns.
	vagueNames = []string{"base", "common", "core", "helper", "helpers", "manager", "misc", "shared", "types", "util", "utils"}
)

func checkFolder(name string) []Violation {
	var violations []Violation
	if name != "." && !strings.Contains(name, "/") && !slices.Contains(topFolders, name) {
		violations = append(violations, Violation{Path: name, Message: "is not one of the top folders " + strings.Join(topFolders, ", ") + "; a new feature needs a decision (docs/adr)"})
	}
	if path.Base(name) == "pkg" {
		violations = append(violations, Violation{Path: name, Message: "no pkg folder: name the package by what it owns"})
	}
	return violations
}

package architecture

import (
	"fmt"
	"go/ast"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// CheckSeeds holds that every fuzz target of the tree has seeds in testdata/fuzz beside it, which each run
// of the tests tries, and that all seeds there have a target.
func CheckSeeds(tree fs.FS) ([]Violation, error) {
	targets, seeded := map[string]Violation{}, map[string]bool{} // by folder and name
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasSuffix(path.Dir(name), "testdata/fuzz"):
			seeds, err := fs.ReadDir(tree, name)
			seeded[path.Join(path.Dir(path.Dir(path.Dir(name))), path.Base(name))] = len(seeds) > 0
			return err
		case entry.IsDir() && path.Base(name) != "testdata" && skipped(tree, name):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/"):
			return nil
		}
		return fuzzTargets(tree, name, targets)
	})
	if err != nil {
		return nil, fmt.Errorf("read the source tree: %w", err)
	}
	return unseeded(targets, seeded), nil
}

// fuzzTargets adds those of a file, each with what is wrong if it has no seeds.
func fuzzTargets(tree fs.FS, name string, targets map[string]Violation) error {
	data, err := fs.ReadFile(tree, name)
	if err != nil {
		return err
	}
	s, err := parse(name, data)
	if err != nil {
		return err
	}
	for _, decl := range s.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
			targets[path.Join(s.folder, f.Name.Name)] = s.violation(f, "%s has no seeds in testdata/fuzz/%s: run it with -fuzz, and keep a few of what it finds", f.Name.Name, f.Name.Name)
		}
	}
	return nil
}

func unseeded(targets map[string]Violation, seeded map[string]bool) []Violation {
	var violations []Violation
	for target, missing := range targets {
		if !seeded[target] {
			violations = append(violations, missing)
		}
	}
	for seeds := range seeded {
		if _, ok := targets[seeds]; !ok {
			violations = append(violations, Violation{Path: path.Join(path.Dir(seeds), "testdata", "fuzz", path.Base(seeds)), Message: "holds the seeds of no fuzz target here: move them to where it is, or delete them"})
		}
	}
	slices.SortFunc(violations, func(a, b Violation) int { return strings.Compare(a.String(), b.String()) })
	return violations
}

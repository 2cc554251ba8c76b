package architecture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
)

// pure maps each pure package to what it may import besides the standard library. Pure means:
// a function of its arguments. Since only pure packages of ours appear here, purity holds for
// everything that is imported indirectly as well.
var pure = map[string][]string{
	"internal/quantity":     kubernetesTypes,
	"forecast":              {numerics, Module + "/forecast/member", Module + "/forecast/leastsquares", Module + "/forecast/season"},
	"forecast/member":       {numerics, Module + "/forecast/leastsquares"},
	"forecast/leastsquares": {numerics},
	"forecast/season":       {numerics},
	"forecast/backtest":     {numerics, Module + "/forecast"},
	"forecast/champion":     {numerics, Module + "/forecast", Module + "/forecast/backtest"},
	"capacity":              append(slices.Clone(kubernetesTypes), numerics, quantities, Module+"/forecast"),
	"capacity/policy":       append(slices.Clone(kubernetesTypes), numerics, quantities, Module+"/forecast", Module+"/capacity"),
	"capacity/replay":       append(slices.Clone(kubernetesTypes), quantities, Module+"/capacity"),
	"capacity/waiting":      {},
	"capacity/simulate":     append(slices.Clone(kubernetesTypes), numerics, quantities, Module+"/forecast", Module+"/forecast/backtest", Module+"/capacity", Module+"/capacity/policy"),
	"webhook":               append(slices.Clone(kubernetesTypes), quantities, Module+"/webhook/expression"),
	"webhook/total":         append(slices.Clone(kubernetesTypes), quantities, Module+"/webhook"),
	"webhook/expression":    append(slices.Clone(kubernetesTypes), quantities),
	"extender":              append(slices.Clone(kubernetesTypes), quantities),
}

const (
	numerics   = "gonum.org/v1/gonum/..."
	quantities = Module + "/internal/quantity"
)

// kubernetesTypes are where a real PodSpec is the subject, with the scheduler's arithmetic on it.
var kubernetesTypes = []string{"k8s.io/api/...", "k8s.io/apimachinery/...", "k8s.io/component-helpers/..."}

// worldly are standard packages that reach outside, and so have no place in a pure package.
var worldly = []string{"crypto/rand", "log/...", "math/rand", "net/...", "os/...", "plugin", "syscall", "testing/..."}

// worldlyNames are functions that read the clock, wait, print or roll unseeded dice.
var worldlyNames = map[string][]string{
	"time":         {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"fmt":          {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"math/rand/v2": {"ExpFloat64", "Float32", "Float64", "Int", "Int32", "Int32N", "Int64", "Int64N", "IntN", "N", "NormFloat64", "Perm", "Shuffle", "Uint", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN"},
}

// source is a parsed file of the tree.
type source struct {
	name   string // path of the file
	folder string // its folder, which is its import path below the module
	test   bool
	file   *ast.File
	lines  *token.FileSet
}

func parse(name string, data []byte) (*source, error) {
	lines := token.NewFileSet()
	file, err := parser.ParseFile(lines, name, data, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse Go source: %w", err)
	}
	return &source{name: name, folder: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), file: file, lines: lines}, nil
}

func (s *source) violation(node ast.Node, format string, args ...any) Violation {
	return Violation{Path: s.name, Line: s.lines.Position(node.Pos()).Line, Message: fmt.Sprintf(format, args...)}
}

// imports lists the import paths of the file with the names that they go by in it.
func (s *source) imports() map[string]*ast.ImportSpec {
	imports := make(map[string]*ast.ImportSpec, len(s.file.Imports))
	for _, spec := range s.file.Imports {
		if imported, err := strconv.Unquote(spec.Path.Value); err == nil {
			imports[imported] = spec
		}
	}
	return imports
}

// checkPurity holds a pure package to its imports, and to functions of its arguments.
func (s *source) checkPurity() []Violation {
	allowed, isPure := pure[s.folder]
	if !isPure || s.test {
		return nil
	}
	var violations []Violation
	aliases := map[string]string{}
	for imported, spec := range s.imports() {
		aliases[localName(imported, spec)] = imported
		standard := !strings.Contains(strings.Split(imported, "/")[0], ".")
		switch {
		case standard && matches(worldly, imported):
			violations = append(violations, s.violation(spec, "pure package imports %s: pass in what it would fetch, and leave the world to a child folder", imported))
		case !standard && !matches(allowed, imported):
			violations = append(violations, s.violation(spec, "pure package imports %s; allowed are the standard library and %s", imported, strings.Join(allowed, ", ")))
		}
	}
	violations = append(violations, s.checkCalls(aliases)...)
	slices.SortFunc(violations, func(a, b Violation) int { return a.Line - b.Line })
	return violations
}

// checkCalls looks for goroutines and for functions that reach outside; aliases are the imports
// by their local name.
func (s *source) checkCalls(aliases map[string]string) []Violation {
	var violations []Violation
	ast.Inspect(s.file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			violations = append(violations, s.violation(n, "pure package starts a goroutine: compute in the caller's"))
		case *ast.SelectorExpr:
			of, ok := n.X.(*ast.Ident)
			if ok && slices.Contains(worldlyNames[aliases[of.Name]], n.Sel.Name) {
				violations = append(violations, s.violation(n, "pure package uses %s.%s: take it as an argument (now, a seeded source) or return the text", of.Name, n.Sel.Name))
			}
		}
		return true
	})
	return violations
}

// localName is what an import is called in the file; of a version suffix the element before it.
func localName(imported string, spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	base := path.Base(imported)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(imported))
	}
	return base
}

// matches tells whether an import path is one of the patterns; "x/..." is x and all below it.
func matches(patterns []string, imported string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "/...")
		return imported == prefix || open && strings.HasPrefix(imported, prefix+"/")
	})
}

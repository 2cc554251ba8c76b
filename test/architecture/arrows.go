package architecture

import (
	"path"
	"slices"
	"strings"
)

// arrows lists, for each feature, the other features that any of its folders may import. They
// point one way: forecast → capacity; everything else meets in API objects.
var arrows = map[string][]string{
	"forecast": {},
	"capacity": {"forecast"},
	"webhook":  {},
	"extender": {},
}

// checkArrows holds the directions of imports between our own folders.
func (s *source) checkArrows() []Violation {
	var violations []Violation
	from := top(s.folder)
	for imported, spec := range s.imports() {
		own, isOwn := s.elsewhere(imported)
		if !isOwn {
			continue
		}
		to := top(own)
		switch {
		case to == "cmd":
			violations = append(violations, s.violation(spec, "imports %s: nothing imports a command but itself; move what is shared to the package that owns it", own))
		case to == "test" && from != "test" && !s.test:
			violations = append(violations, s.violation(spec, "imports %s: only tests import test/", own))
		case s.test:
			// A test may look at any feature.
		case from == "api" && to != "api":
			violations = append(violations, s.violation(spec, "imports %s: API types depend on nothing of ours", own))
		case forbidden(from, to):
			violations = append(violations, s.violation(spec, "%s imports %s: features meet in API objects only, save along forecast → capacity", from, own))
		}
	}
	slices.SortFunc(violations, func(a, b Violation) int { return a.Line - b.Line })
	return violations
}

// elsewhere is the folder of ours that is imported; false for what is not ours, and for a part of the
// importing command itself.
func (s *source) elsewhere(imported string) (string, bool) {
	own, isOwn := strings.CutPrefix(imported, Module+"/")
	return own, isOwn && (top(own) != "cmd" || command(own) != command(s.folder))
}

// command is the folder of the command that a folder is part of; empty for any other.
func command(folder string) string {
	parts := strings.Split(folder, "/")
	if parts[0] != "cmd" || len(parts) < 2 {
		return ""
	}
	return parts[1]
}

// forbidden tells whether one feature may not import another.
func forbidden(from, to string) bool {
	allowed, fromFeature := arrows[from]
	_, toFeature := arrows[to]
	return fromFeature && toFeature && from != to && !slices.Contains(allowed, to)
}

func top(folder string) string {
	first, _, _ := strings.Cut(folder, "/")
	return first
}

// checkName refuses packages, by folder or by clause, whose name says nothing.
func (s *source) checkName() []Violation {
	clause := strings.TrimSuffix(s.file.Name.Name, "_test")
	for _, name := range []string{clause, path.Base(s.folder)} {
		if slices.Contains(vagueNames, name) {
			return []Violation{s.violation(s.file.Name, "package name %s says nothing: name it by the noun that it owns", name)}
		}
	}
	return nil
}

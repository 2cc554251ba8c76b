package architecture

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// packageLines is how many lines a package may have, its tests and generated code left out.
const packageLines = 2500

// larger are the packages that are still larger, and how large they may be until they are split.
// The list only shrinks: one that has come below the number is to be taken off it.
var larger = map[string]int{
	"cmd/forewarmctl": 2700, // each command is to become a package of its own
}

// packageSizes are the lines of packages by their folders.
type packageSizes map[string]int

func (p packageSizes) add(name string, lines int) {
	base := path.Base(name)
	if strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go") && !strings.HasPrefix(base, "zz_generated") {
		p[path.Dir(name)] += lines
	}
}

// check holds every package to its number of lines, and the list of larger ones to shrink.
func (p packageSizes) check() []Violation {
	var violations []Violation
	for _, folder := range slices.Sorted(maps.Keys(p)) {
		lines, allowed := p[folder], packageLines
		if exception, is := larger[folder]; is {
			allowed = exception
			if lines <= packageLines {
				violations = append(violations, Violation{Path: folder, Message: fmt.Sprintf("has %d lines: take it off the list of larger packages", lines)})
			}
		}
		if lines > allowed {
			violations = append(violations, Violation{Path: folder, Message: fmt.Sprintf("has %d lines without tests, at most %d allowed: split it along a seam", lines, allowed)})
		}
	}
	return violations
}

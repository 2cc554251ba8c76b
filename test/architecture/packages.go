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

// packageSizes are the lines of packages by their folders.
type packageSizes map[string]int

func (p packageSizes) add(name string, lines int) {
	base := path.Base(name)
	if strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go") && !strings.HasPrefix(base, "zz_generated") {
		p[path.Dir(name)] += lines
	}
}

// check holds every package to its number of lines.
func (p packageSizes) check() []Violation {
	var violations []Violation
	for _, folder := range slices.Sorted(maps.Keys(p)) {
		if lines := p[folder]; lines > packageLines {
			violations = append(violations, Violation{Path: folder, Message: fmt.Sprintf("has %d lines without tests, at most %d allowed: split it along a seam", lines, packageLines)})
		}
	}
	return violations
}

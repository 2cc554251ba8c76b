package expression

import (
	"fmt"
	"regexp"
	"strings"
)

// CEL is the expression in the Common Expression Language, read from an object that CEL knows by
// a name; it is of the type int. On whole numbers and what is absent it says the same as
// [Expression.Evaluate]. It cuts fractions off, and fails where Evaluate takes a sum for endless or
// a text for absent.
func (e Expression) CEL(object string) string {
	terms := make([]string, len(e.terms))
	for i, t := range e.terms {
		terms[i] = t.cel(object)
	}
	return strings.Join(terms, " + ")
}

// cel sums the product over the elements, where there are any to sum over.
func (t term) cel(object string) string {
	at := t.path.cel(object)
	switch t.each {
	case '[':
		return at + `.orValue([]).map(e, ` + t.celProduct(object, "e") + `).sum()`
	case '{':
		return at + `.orValue({}).map(k, ` + t.celProduct(object, `(`+at+`.orValue({})[k])`) + `).sum()`
	default:
		return t.celProduct(object, object)
	}
}

func (t term) celProduct(root, at string) string {
	factors := make([]string, len(t.factors))
	for i, f := range t.factors {
		factors[i] = f.cel(root, at)
	}
	return strings.Join(factors, " * ")
}

func (f factor) cel(root, at string) string {
	switch f.operation {
	case 'c':
		return fmt.Sprint(f.constant)
	case '!':
		return `(` + f.values[0].celTrue(root, at) + ` ? 0 : 1)`
	case '?':
		return `(` + f.values[0].celTrue(root, at) + ` ? 1 : 0)`
	}
	numbers := make([]string, len(f.values))
	for i, v := range f.values {
		numbers[i] = celNumber(v.cel(root, at), v.absent)
	}
	switch f.operation {
	case 'm':
		return `[` + strings.Join(numbers, ", ") + `].min()`
	case 'M':
		return `[` + strings.Join(numbers, ", ") + `].max()`
	default:
		return numbers[0]
	}
}

// cel is an optional value.
func (v value) cel(root, at string) string {
	if v.root {
		at = root
	}
	return v.at().cel(at)
}

// celTrue is what [value.isTrue] is.
func (v value) celTrue(root, at string) string {
	if v.annotation != "" {
		return v.cel(root, at) + `.orValue('false') != 'false'`
	}
	return v.cel(root, at) + `.orValue(false) == true`
}

// celNumber takes a number for absent that is below zero, as Evaluate does. int() also reads
// digits, as annotations have them.
func celNumber(optional string, absent int64) string {
	return fmt.Sprintf(`[%s.orValue(%d)].map(n, int(n) < 0 ? %d : int(n))[0]`, optional, absent, absent)
}

// celName is what may follow a dot.
var celName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// CEL is what stands at the path, an optional value that is none where the path ends early.
func (p Path) CEL(object string) string { return p.cel(object) }

// celReserved are the names that may not.
var celReserved = map[string]bool{"in": true, "true": true, "false": true, "null": true}

// cel is an optional value: an early end is none.
func (p Path) cel(at string) string {
	for _, name := range p {
		dot := at + `.?` + name
		if !celName.MatchString(name) || celReserved[name] {
			dot = at + `[?'` + name + `']`
		}
		at = dot
	}
	return at
}

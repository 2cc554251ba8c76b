// Package expression reads numbers out of objects of any kind, by expressions that admins may write,
// and says them in CEL for the API server's own policies.
package expression

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"forewarm.dev/internal/quantity"
)

// Expression says where an object states a number: a sum of products of values.
//
//	spec.replicas=1                                   the value there, 1 where there is none
//	spec.replicas=1 * spec.leaderWorkerTemplate.size=1
//	1 + spec.workerGroupSpecs[]: replicas=1 * numOfHosts=1
//	spec.mpiReplicaSpecs{}: replicas=1
//	min(spec.parallelism=1, spec.completions=100) * not(spec.suspend)
//	@example.com/max-size=0                           the value of an annotation
//
// "+" binds weaker than "*". A path before "[]:" or "{}:" stands for each element of a
// list, or each value of a map, and the rest of its product is read from there; a path that
// begins with "/" is read from the object itself. "@" reads an annotation, of the object or
// of what carries it ("@spec.template:key"). not(P) is 0 where P is true, else 1; is(P) is 1
// where P is true, else 0. Values below zero and values that are no numbers count as absent;
// sums and products stop at the largest int64.
type Expression struct {
	text  string
	terms []term
}

// term is a product, for each element at a path where each is not 0.
type term struct {
	each    byte // '[', '{' or 0
	path    Path
	factors []factor
}

type factor struct {
	operation byte // 0 value, 'c' constant, 'm' min, 'M' max, '!' not, '?' is
	constant  int64
	values    []value
}

// value is a number in an object.
type value struct {
	path       Path
	annotation string
	root       bool
	absent     int64
}

// Path is the names of members, each within the one before.
type Path []string

// String is the text that the expression was parsed from.
func (e Expression) String() string { return e.text }

// Parse reads an expression. The error says what cannot be read.
func Parse(text string) (Expression, error) {
	e := Expression{text: text}
	for part := range strings.SplitSeq(text, " + ") {
		t, err := parseTerm(strings.TrimSpace(part))
		if err != nil {
			return e, fmt.Errorf("count %q: %w; write for example spec.replicas=1", text, err)
		}
		e.terms = append(e.terms, t)
	}
	return e, nil
}

func parseTerm(text string) (term, error) {
	var t term
	for _, open := range []string{"[]: ", "{}: "} {
		if before, after, found := strings.Cut(text, open); found {
			p, err := parsePath(before)
			if err != nil {
				return t, err
			}
			t.each, t.path, text = open[0], p, after
			break
		}
	}
	for part := range strings.SplitSeq(text, " * ") {
		f, err := parseFactor(strings.TrimSpace(part))
		if err != nil {
			return t, err
		}
		t.factors = append(t.factors, f)
	}
	return t, nil
}

// operations by the word that is written.
var operations = map[string]byte{"min": 'm', "max": 'M', "not": '!', "is": '?'}

func parseFactor(text string) (factor, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return factor{operation: 'c', constant: n}, nil
	}
	var f factor
	inner := text
	if word, rest, found := strings.Cut(text, "("); found {
		f.operation = operations[word]
		if f.operation == 0 || !strings.HasSuffix(rest, ")") {
			return f, fmt.Errorf("%q is none of min(…), max(…), not(…), is(…)", text)
		}
		inner = strings.TrimSuffix(rest, ")")
	}
	for part := range strings.SplitSeq(inner, ", ") {
		v, err := parseValue(part)
		if err != nil {
			return f, err
		}
		f.values = append(f.values, v)
	}
	if single := f.operation != 'm' && f.operation != 'M'; single && len(f.values) != 1 {
		return f, fmt.Errorf("%q takes one path", text)
	}
	return f, nil
}

func parseValue(text string) (value, error) {
	v := value{}
	if before, number, found := strings.Cut(text, "="); found {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 {
			return v, fmt.Errorf("%q is not a whole number from 0 on", number)
		}
		text, v.absent = before, n
	}
	text, v.root = strings.TrimPrefix(text, "/"), strings.HasPrefix(text, "/")
	if key, found := strings.CutPrefix(text, "@"); found {
		carrier, annotation, carried := strings.Cut(key, ":")
		if !carried {
			carrier, annotation = "", key
		}
		v.annotation = annotation
		if annotation == "" {
			return v, fmt.Errorf("%q names no annotation", text)
		}
		if carrier == "" {
			return v, nil
		}
		text = carrier
	}
	var err error
	v.path, err = parsePath(text)
	return v, err
}

func parsePath(text string) (Path, error) {
	p := Path(strings.Split(text, "."))
	for _, name := range p {
		if name == "" || name[0] == '-' || strings.ContainsAny(name, " ()[]{}*+=,@/") {
			return nil, fmt.Errorf("%q is not a path of names joined by dots", text)
		}
	}
	return p, nil
}

// Evaluate is the number that an object states, decoded from JSON with whole numbers as
// int64. A missing object states what absent values mean.
func (e Expression) Evaluate(object any) int64 {
	sum := int64(0)
	for _, p := range e.Products(object) {
		sum = quantity.Add(sum, p.Value)
	}
	return sum
}

// Outside are the paths that the expression reads from and that do not begin with a member, each once.
func (e Expression) Outside(member string) []Path {
	var out []Path
	add := func(p Path) {
		if p[0] != member && !slices.ContainsFunc(out, func(o Path) bool { return slices.Equal(o, p) }) {
			out = append(out, p)
		}
	}
	for _, t := range e.terms {
		if t.each != 0 {
			add(t.path)
		}
		for _, f := range t.factors {
			for _, v := range f.values {
				if t.each == 0 || v.root {
					add(v.at())
				}
			}
		}
	}
	return out
}

// Product is one of those that an expression sums.
type Product struct {
	// Term is which of the expression's terms it is of, and At where its values are read from.
	Term  int
	At    any
	Value int64
}

// Products are what the object's number is the sum of.
func (e Expression) Products(object any) iter.Seq2[int, Product] {
	return func(yield func(int, Product) bool) {
		n := 0
		for i, t := range e.terms {
			for at := range t.elements(object) {
				if !yield(n, Product{i, at, t.product(object, at)}) {
					return
				}
				n++
			}
		}
	}
}

// elements are what the product is made for: the object itself, or what stands at the path.
func (t term) elements(object any) iter.Seq[any] {
	switch t.each {
	case '[':
		list, _ := t.path.Of(object).([]any)
		return slices.Values(list)
	case '{':
		members, _ := t.path.Of(object).(map[string]any)
		return maps.Values(members)
	default:
		return slices.Values([]any{object})
	}
}

func (t term) product(root, at any) int64 {
	product := int64(1)
	for _, f := range t.factors {
		product = quantity.Multiply(product, f.of(root, at))
	}
	return product
}

func (f factor) of(root, at any) int64 {
	switch f.operation {
	case 'c':
		return f.constant
	case '!', '?':
		if f.values[0].isTrue(root, at) == (f.operation == '?') {
			return 1
		}
		return 0
	}
	n := f.values[0].of(root, at)
	for _, v := range f.values[1:] {
		if f.operation == 'm' {
			n = min(n, v.of(root, at))
		} else {
			n = max(n, v.of(root, at))
		}
	}
	return n
}

func (v value) raw(root, at any) any {
	if v.root {
		at = root
	}
	at = v.path.Of(at)
	if v.annotation == "" {
		return at
	}
	return Path{"metadata", "annotations", v.annotation}.Of(at)
}

// at is where the value stands, from what it is read from.
func (v value) at() Path {
	if v.annotation == "" {
		return v.path
	}
	return append(slices.Clone(v.path), "metadata", "annotations", v.annotation)
}

func (v value) isTrue(root, at any) bool {
	raw := v.raw(root, at)
	if v.annotation != "" {
		return raw != nil && raw != "false"
	}
	return raw == true
}

func (v value) of(root, at any) int64 {
	if n, ok := Number(v.raw(root, at)); ok {
		return n
	}
	return v.absent
}

// Number reads a JSON number or a quantity; what has a fraction is rounded up.
func Number(raw any) (int64, bool) {
	switch n := raw.(type) {
	case int64:
		return n, n >= 0
	case float64:
		if !(n >= 0) {
			return 0, false
		}
		if n >= math.MaxInt64 {
			return math.MaxInt64, true
		}
		return int64(math.Ceil(n)), true
	case string:
		q, err := resource.ParseQuantity(n)
		if err != nil || q.Sign() < 0 {
			return 0, false
		}
		return q.Value(), true
	}
	return 0, false
}

// Of follows the path; nil where it ends early.
func (p Path) Of(object any) any {
	for _, name := range p {
		members, ok := object.(map[string]any)
		if !ok {
			return nil
		}
		object = members[name]
	}
	return object
}

// Text is the string at a path of names joined by dots.
func Text(object any, at string) (string, bool) {
	text, ok := Path(strings.Split(at, ".")).Of(object).(string)
	return text, ok
}

package twin

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// ceilings holds growth to the smallest ceiling, and says what the webhook would: the API
// server asks policies first.
func (o Options) ceilings(sets bool) part {
	return part{
		conditions: []admissionregistrationv1.MatchCondition{o.ofReplicas(), {Name: "not-owned", Expression: o.notOwned()}},
		variables: append(o.limits(sets),
			// Written once for both, since the API server takes a while to compile it.
			admissionregistrationv1.Variable{Name: "counts", Expression: `(request.operation == 'CREATE' ? [object] : [object, oldObject]).map(o, ` + o.counts("o") + `)`},
			admissionregistrationv1.Variable{Name: "asked", Expression: `variables.counts[0]`},
			admissionregistrationv1.Variable{Name: "before", Expression: `request.operation == 'CREATE' ? variables.asked.map(n, 0) : variables.counts[1]`},
			admissionregistrationv1.Variable{Name: "fields", Expression: o.fields()},
			// Which of them grow.
			admissionregistrationv1.Variable{Name: "growing", Expression: indices(o.held()) + `.filter(i, i < size(variables.asked) && variables.asked[i] > variables.before[i])`},
			admissionregistrationv1.Variable{Name: "above", Expression: `variables.lowest < 0 ? [] : variables.growing.filter(i, variables.asked[i] > variables.lowest)`},
		),
		validation: admissionregistrationv1.Validation{
			Expression:        `variables.above == [] || variables.growing.all(i, variables.asked[i] <= variables.override) || ` + relaxed,
			MessageExpression: message(),
		},
	}
}

// ofReplicas leaves out the /scale of kinds of nodes.
func (o Options) ofReplicas() admissionregistrationv1.MatchCondition {
	var nodes []string
	for _, k := range o.Kinds {
		if k.Measure == webhook.Nodes && !k.Cluster {
			nodes = append(nodes, resource(k))
		}
	}
	return admissionregistrationv1.MatchCondition{Name: "replicas", Expression: `!(` + resourceOf + ` in ` + texts(nodes) + `)`}
}

// limits are the ceilings that bind, and the smallest. Numbers below zero stand for none.
func (o Options) limits(sets bool) []admissionregistrationv1.Variable {
	// An annotation that cannot be read falls back on the CeilingSet's last good value.
	ofNamespace, listed, own, override := number("namespaceObject", "-1"), inList("-1"), "-1", "-1"
	lastGood := func(string) string { return "-1" }
	if sets {
		spec := func(list string) string { return `params.spec.?` + list + `[?variables.key].orValue(-1)` }
		ofNamespace = number("namespaceObject", `(`+has("namespaceObject")+` ? params.spec.?maxReplicas.orValue(-1) : -1)`)
		lastGood = func(object string) string { return `(` + has(object) + ` ? ` + spec("own") + ` : -1)` }
		listed, own, override = inList(spec("named")), `(variables.scale ? `+spec("own")+` : -1)`, spec("overrides")
	}
	literal := "-1"
	if o.Cluster != nil {
		literal = fmt.Sprint(*o.Cluster)
	}
	const inNamespace, inCluster = `'Namespace ' + request.namespace`, `'Namespace kube-system'`
	limits := []string{
		limit(`(variables.scale ? -1 : `+number("object", lastGood("object"))+`)`, webhook.MaxReplicas, "variables.name"),
		limit(`(variables.scale || request.operation == 'CREATE' ? -1 : `+number("oldObject", lastGood("oldObject"))+`)`, webhook.MaxReplicas, "variables.name"),
		limit(own, webhook.MaxReplicas, "variables.name"),
		limit(listed, webhook.WorkloadMaxReplicas, inNamespace),
		limit(ofNamespace, webhook.MaxReplicas, inNamespace),
		limit(literal, webhook.MaxReplicas, inCluster),
	}
	return []admissionregistrationv1.Variable{
		{Name: "of", Expression: nameOf},
		{Name: "scale", Expression: scaleOf},
		{Name: "resource", Expression: resourceOf},
		{Name: "key", Expression: `variables.resource + '/' + variables.of`},
		{Name: "kind", Expression: kindName(o.Kinds)},
		{Name: "list", Expression: annotation("namespaceObject", `'`+webhook.WorkloadMaxReplicas+`'`) + `.filter(l, size(l) <= ` + fmt.Sprint(listLength) + `)`},
		{Name: "entries", Expression: `variables.list == [] ? [] : variables.list[0].split(',').map(e, e.trim())`},
		{Name: "entry", Expression: `variables.entries.filter(e, e.startsWith(variables.kind.lowerAscii() + '/' + variables.of + '='))`},
		{Name: "name", Expression: `variables.kind + ' ' + request.namespace + '/' + variables.of`},
		{Name: "limits", Expression: `[` + strings.Join(limits, ", ") + `].filter(l, l.n >= 0)`},
		{Name: "lowest", Expression: `size(variables.limits) == 0 ? -1 : variables.limits.map(l, int(l.n)).min()`},
		{Name: "malformed", Expression: has("namespaceObject") + ` && !(` + readable(`namespaceObject.metadata.annotations['`+webhook.MaxReplicas+`']`) + `)`},
		{Name: "override", Expression: override},
	}
}

// listLength is up to how many bytes of a Namespace's list of workloads a policy reads, since it may
// do only so much.
const listLength = 8 << 10

// inList is what the Namespace's list says of the workload: of one that cannot be read, or is too
// long, what the CeilingSet says. It reads as webhook.ParseWorkloads does, but looks for a second
// entry of this workload only.
func inList(otherwise string) string {
	const number = `variables.entry[0].substring(variables.entry[0].indexOf('=') + 1)`
	return `(variables.entries == [] || size(variables.entry) > 1 || !variables.entries.all(e, e.matches('^[^/=A-Z]+/[^/= ]+=0*[0-9]{1,10}$') && int(e.substring(e.indexOf('=') + 1)) <= 2147483647)` +
		` ? ` + otherwise + ` : variables.entry == [] ? -1 : int(` + number + `))`
}

// limit is one ceiling: its number, its annotation, and the object that carries it.
func limit(n, annotation, on string) string {
	return `{'n': dyn(` + n + `), 'by': dyn('` + annotation + `'), 'on': dyn(` + on + `)}`
}

// counts are what an object asks for, in the order of the table; of a Scale, and of a kind of
// which that is all, its replicas.
func (o Options) counts(object string) string {
	replicas, err := expression.Parse("spec.replicas=1")
	if err != nil {
		return "" // it can be read
	}
	none, err := expression.Parse("spec.replicas=0")
	if err != nil {
		return ""
	}
	out := `[` + replicas.CEL(object) + `]`
	for _, k := range o.counting() {
		var counts []string
		for _, c := range k.Counts {
			counts = append(counts, c.Of.CEL(object))
		}
		out = `variables.resource == '` + resource(k) + `' ? [` + strings.Join(counts, ", ") + `] : (` + out + `)`
	}
	return `variables.scale ? [` + none.CEL(object) + `] : variables.resource in ` + texts(o.plain()) + ` ? [` + replicas.CEL(object) + `] : (` + out + `)`
}

// plain are the resources whose count is spec.replicas with 1 for its absence, which most are.
func (o Options) plain() []string {
	var out []string
	for _, k := range o.held() {
		if isPlain(k) {
			out = append(out, resource(k))
		}
	}
	return out
}

// counting are the kinds that count otherwise.
func (o Options) counting() []webhook.Kind { return slices.DeleteFunc(o.held(), isPlain) }

func isPlain(k webhook.Kind) bool {
	return len(k.Counts) == 1 && k.Counts[0].Of.String() == "spec.replicas=1"
}

// fields are the names of the counts.
func (o Options) fields() string {
	var known []string
	for _, k := range o.counting() {
		var fields []string
		for _, c := range k.Counts {
			fields = append(fields, c.Field)
		}
		known = append(known, `'`+resource(k)+`': `+texts(fields))
	}
	return `variables.scale ? ['spec.replicas'] : {` + strings.Join(known, ", ") + `}[?variables.resource].orValue(['spec.replicas'])`
}

// indices are those of the kind with the most counts.
func indices(kinds []webhook.Kind) string {
	out := []string{"0"}
	for _, k := range kinds {
		for i := len(out); i < len(k.Counts); i++ {
			out = append(out, fmt.Sprint(i))
		}
	}
	return `[` + strings.Join(out, ", ") + `]`
}

// message is what the webhook says of a denial.
func message() string {
	const by = `variables.limits.filter(l, l.n == variables.lowest)[0]`
	const broken = `(variables.malformed && string(` + by + `.on).startsWith('Namespace ' + request.namespace))`
	raw := broken + ` ? namespaceObject.metadata.annotations['` + webhook.MaxReplicas + `'] : string(variables.lowest)`
	malformed := broken + ` ? ' (malformed; its last good value, ' + string(variables.lowest) + ', stays in force)' : ''`
	const first, own = `variables.above[0]`, `'` + webhook.MaxReplicas + `'`
	return `variables.name + ': ' + string(variables.asked[` + first + `]) + ' replicas asked for' + (variables.fields[` + first + `] == 'spec.replicas' ? '' : ' by ' + variables.fields[` + first + `])` +
		` + ', at most ' + string(variables.lowest) + ' allowed by annotation ' + string(` + by + `.by)` +
		` + '="' + (` + raw + `) + '" on ' + string(` + by + `.on) + (` + malformed + `) + '; ask for at most ' + string(variables.lowest) + ', or have somebody who may edit ' + string(` + by + `.on) + ' raise it'` +
		` + (!variables.scale && request.operation == 'UPDATE' && ` + annotation("object", own) + ` != ` + annotation("oldObject", own) + ` ? '; a write that changes the annotation and grows is held to the smaller of both values, so raise it in a write of its own before this one' : '')` +
		` + (variables.before[` + first + `] > variables.lowest ? '; the ' + string(variables.before[` + first + `]) + ' replicas that exist already may stay' : '')`
}

// kindName is the kind as people write it: a Scale does not carry its parent's.
func kindName(kinds []webhook.Kind) string {
	var known []string
	for _, k := range kinds {
		known = append(known, `'`+resource(k)+`': '`+k.Name+`'`)
	}
	return `{` + strings.Join(known, ", ") + `}[?` + resourceOf + `].orValue(` + resourceOf + `)`
}

// relaxed is true in a Namespace of the mode warn or audit.
const relaxed = `(has(namespaceObject.metadata.annotations) && '` + webhook.CeilingMode + `' in namespaceObject.metadata.annotations` +
	` && namespaceObject.metadata.annotations['` + webhook.CeilingMode + `'] in ['warn', 'audit'])`

// has says whether an object carries a ceiling.
func has(object string) string {
	return `has(` + object + `.metadata.annotations) && '` + webhook.MaxReplicas + `' in ` + object + `.metadata.annotations`
}

// number is an object's ceiling, or otherwise where it has none or one that cannot be read.
func number(object, otherwise string) string {
	value := object + `.metadata.annotations['` + webhook.MaxReplicas + `']`
	return `(` + has(object) + ` && ` + readable(value) + ` ? int(` + value + `) : ` + otherwise + `)`
}

// readable says what ParseCeiling reads: digits, up to the largest int32.
func readable(value string) string {
	return value + `.matches('^0*[0-9]{1,10}$') && int(` + value + `) <= 2147483647`
}

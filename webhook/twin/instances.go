package twin

import (
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/expression"
)

// Pool is what a NodePool says of its NodeClaims.
type Pool struct {
	// Instances is its list of approved instance types, empty for none.
	Instances string
	// Relaxed is true in the modes warn and audit.
	Relaxed bool
}

// ofPools holds the instance types of objects that select nodes to their own lists, before and
// after the write, and to the cluster's.
func (o Options) ofPools() part {
	const list, mode = `'` + webhook.AllowedInstanceTypes + `'`, `'` + webhook.CeilingMode + `'`
	kinds := o.selecting()
	var asking []string
	for _, k := range kinds {
		if k.Instances.Asks {
			asking = append(asking, resource(k))
		}
	}
	return instances(kinds,
		`(`+annotation("object", list)+` + `+before(list)+`).map(v, `+setting("v", "variables.of")+`)`+
			` + (`+resourceOf+` in `+texts(asking)+` ? `+o.ofCluster()+` : [])`,
		// Lifting a list and passing it takes two writes.
		annotation("object", mode)+`.exists(m, m in ['warn', 'audit'] && (request.operation == 'CREATE' || `+before(mode)+` == [m]))`)
}

// ofClaims holds NodeClaims to the lists of their NodePool and of the cluster.
func (o Options) ofClaims() part {
	var known, relaxed []string
	for _, name := range slices.Sorted(maps.Keys(o.Pools)) {
		if o.Pools[name].Instances != "" {
			known = append(known, `'`+name+`': '`+o.Pools[name].Instances+`'`)
		}
		if o.Pools[name].Relaxed {
			relaxed = append(relaxed, name)
		}
	}
	const pool = `object.metadata.?labels[?'karpenter.sh/nodepool']`
	return instances([]webhook.Kind{webhook.NodeClaims},
		`[`+pool+`.orValue('')].filter(p, p in {`+strings.Join(known, ", ")+`}).map(p, `+setting(`{`+strings.Join(known, ", ")+`}[p]`, `('NodePool ' + p)`)+`) + `+o.ofCluster(),
		pool+`.orValue('') in `+texts(relaxed))
}

func setting(value, on string) string {
	return `{'value': string(` + value + `), 'on': string(` + on + `)}`
}

func (o Options) ofCluster() string {
	if o.Instances == "" {
		return `[]`
	}
	return `[` + setting(`'`+o.Instances+`'`, `'Namespace kube-system'`) + `]`
}

// instances lets through the types that all lists which can be read approve, or that were
// allowed before.
func instances(kinds []webhook.Kind, lists, relaxed string) part {
	return part{
		variables: []admissionregistrationv1.Variable{
			{Name: "of", Expression: kindName(kinds) + ` + ' ' + ` + nameOf},
			{Name: "asked", Expression: typesOf("object", kinds)},
			{Name: "was", Expression: `request.operation == 'CREATE' ? [] : ` + typesOf("oldObject", kinds)},
			{Name: "widened", Expression: `variables.asked.filter(t, !variables.was.exists(w, t == w || w.matches('^` + expression.InstancePattern + `$') && t.matches(` + expressionOf(`[w]`) + `)))`},
			{Name: "lists", Expression: `(` + lists + `).filter(l, ` + listed("l.value") + `)`},
			{Name: "unapproved", Expression: `variables.widened.filter(t, variables.lists.exists(l, !t.matches(` + expressionOf(entries("l.value")) + `)))`},
			{Name: "relaxed", Expression: relaxed},
		},
		validation: admissionregistrationv1.Validation{
			Expression: `variables.unapproved == [] || variables.relaxed`,
			MessageExpression: `variables.of + ': ' + (variables.unapproved.exists(t, t == '` + expression.AnyInstance + `') ? 'every instance type' : 'instance type ' + variables.unapproved.map(t, string(t)).join(', ')) +` +
				` ' allowed by it and not approved by annotation ` + webhook.AllowedInstanceTypes + ` of all of ' + variables.lists.map(l, l.on + ' ("' + l.value + '")').join(', ') +` +
				` '; require ` + expression.InstanceTypeLabel + ` In approved ones, or have somebody who may edit them approve more'`,
		},
	}
}

// typesOf is expression.Selection.Of: those named by type, else by family, else any.
func typesOf(object string, kinds []webhook.Kind) string {
	out := `[]`
	for _, k := range kinds {
		types := `[` + chosen(object, *k.Instances, expression.InstanceTypeLabel) + `].map(t, t != [] ? t : ` +
			`[` + chosen(object, *k.Instances, expression.InstanceFamilyLabel) + `].map(f, f != [] ? f.map(x, x + '.*') : ['` + expression.AnyInstance + `'])[0])[0]`
		if len(kinds) == 1 {
			return types
		}
		out = `(` + resourceOf + ` == '` + resource(k) + `' ? ` + types + ` : ` + out + `)`
	}
	return out
}

// chosen are the values of a label: by a label of the nodes, else by the first requirement In.
func chosen(object string, s expression.Selection, label string) string {
	out := `[` + optional(object, s.Requirements) + `.orValue([]).filter(r, r.?key.orValue('') == '` + label + `' && r.?operator.orValue('') == 'In')].map(r, r == [] ? [] : r[0].?values.orValue([]))[0]`
	if s.Labels != "" {
		out = `[` + optional(object, s.Labels) + `[?'` + label + `']].map(l, l.hasValue() ? [l.value()] : ` + out + `)[0]`
	}
	return out
}

// optional is what stands at a path.
func optional(object, path string) string {
	return object + `.?` + strings.ReplaceAll(path, ".", ".?")
}

// entries are those of a list that can be read.
func entries(value string) string { return value + `.split(',').map(e, e.trim())` }

// listed says whether a list can be read.
func listed(value string) string { return value + `.matches('` + expression.InstanceListPattern + `')` }

// expressionOf is expression.InstanceExpression of a list of patterns.
func expressionOf(patterns string) string {
	return `('^(' + ` + patterns + `.join('|').replace('.', '[.]').replace('*', '.*') + ')$')`
}

package twin

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// loosening holds who may loosen a ceiling, as the webhook does: raise or remove one needs the
// verb set, also where values cannot be compared here; an override needs the verb override. A
// number, mode or list that cannot be read is refused to everybody: stored while no webhook
// answers, it would be good for nothing, and no replica would know what had been in force.
// The labels by which Namespaces are under a total, or have a CeilingSet, are for those to change who hold
// the verb set or may delete CeilingSets, which are Forewarm's own processes: without its label a Namespace
// has no total while no webhook answers.
// What a controller owns carries copies of its owner's annotations and is left alone, and so
// are the system's namespaces, but not their own annotations.
func (o Options) loosening() part {
	may := func(verb webhook.Verb) string {
		return `authorizer.group('forewarm.dev').resource('ceilings').namespace(variables.within).name(variables.of).check('` + string(verb) + `').allowed()`
	}
	anyOf := func(name, test string, annotations ...string) admissionregistrationv1.Variable {
		return admissionregistrationv1.Variable{Name: name, Expression: texts(annotations) + `.exists(k, ` + test + `)`}
	}
	const now, was = `variables.now[k]`, `variables.was[k]`
	return part{
		conditions: []admissionregistrationv1.MatchCondition{
			{Name: "annotated", Expression: texts(webhook.Written()) + `.exists(k, ` + annotation("object", "k") + ` != ` + before("k") + `) || ` + relabelled},
			{Name: "not-owned", Expression: o.notOwned()},
			{Name: "not-excluded", Expression: `request.resource.resource == 'namespaces' || !(` + namespaceOf + ` in ` + texts(o.Excluded) + `)`},
		},
		variables: []admissionregistrationv1.Variable{
			{Name: "of", Expression: nameOf},
			{Name: "within", Expression: `request.resource.resource == 'namespaces' ? variables.of : ` + namespaceOf},
			{Name: "where", Expression: `(variables.within == '' || request.resource.resource == 'namespaces' ? '' : variables.within + '/') + variables.of`},
			{Name: "now", Expression: byKey(func(key string) string { return annotation("object", key) })},
			{Name: "was", Expression: byKey(before)},
			{Name: "unread", Expression: unread(numbers, `!(`+readable("n")+`)`) + ` + ` + unread([]string{webhook.AllowedInstanceTypes}, `!`+listed("n")) + ` + ` +
				unread([]string{webhook.CeilingMode}, `!(n in ['enforce', 'warn', 'audit'])`) + ` + ` + unread([]string{webhook.WorkloadMaxReplicas}, entries("n")+`.exists(e, !e.matches('^[^A-Z/=]+/[^/= ]+=[0-9]+$'))`)},
			anyOf("numbers", was+` != [] && (`+now+` == [] || `+was+`.all(o, `+readable("o")+` && `+now+`.all(n, `+readable("n")+` && int(n) > int(o))))`,
				numbers...),
			anyOf("names", was+` != [] && `+now+` != `+was, webhook.WorkloadMaxReplicas),
			anyOf("types", was+` != [] && (`+now+` == [] || `+was+`.all(o, `+listed("o")+` && `+now+`.all(n, `+listed("n")+` && `+entries("n")+`.exists(e, !e.matches(`+expressionOf(entries("o"))+`)))))`,
				webhook.AllowedInstanceTypes),
			anyOf("mode", laxness(now)+` > `+laxness(was), webhook.CeilingMode),
			{Name: "relabelled", Expression: relabelled},
			anyOf("override", now+` != [] && `+now+` != `+was, webhook.CeilingOverride),
		},
		validation: admissionregistrationv1.Validation{
			Expression: `variables.unread == [] && (!(variables.numbers || variables.names || variables.types || variables.mode) || ` + may(webhook.Set) + `) && (!variables.override || ` + may(webhook.Overrule) + `)` +
				` && (!variables.relabelled || ` + may(webhook.Set) + ` || authorizer.group('forewarm.dev').resource('ceilingsets').namespace(variables.within).check('delete').allowed())`,
			MessageExpression: `variables.unread != [] ? ` + o.kindOf() + ` + ' ' + variables.where + ': annotation ' + variables.unread[0] + ': "' + variables.now[variables.unread[0]][0] + '" cannot be read; write for example ' +` +
				` variables.unread[0] + ': ' + ` + byKey(func(key string) string { return example(strings.Trim(key, `'`)) }) + `[variables.unread[0]] + ', or remove the annotation'` +
				` : !(variables.numbers || variables.names || variables.types || variables.mode || variables.override) ? 'Namespace ' + variables.of + ': the labels ' + ` + texts(ourLabels) + `.join(' and ') + ' are written by Forewarm alone; leave them as they are, and write annotations instead'` +
				` : request.resource.resource + ' ' + variables.where + ': this loosens a ceiling, for which one needs the verb ' +` +
				` (variables.override ? '"override"' : '"set"') + ' on ceilings.forewarm.dev; have somebody do it who may'`,
		},
	}
}

// ourLabels are those of Namespaces by which the API server selects what it asks us, and which policy.
var ourLabels = []string{v1alpha1.LabelCeilings, v1alpha1.LabelTotals}

// relabelled says whether one of our labels of a Namespace changes. One that is made with them is put right.
var relabelled = `(request.resource.resource == 'namespaces' && request.operation == 'UPDATE' && ` + texts(ourLabels) + `.exists(l, ` +
	label("object") + ` != ` + label("oldObject") + `))`

// label is a list of the value of label l of an object, or of none.
func label(object string) string {
	return `(has(` + object + `.metadata.labels) && l in ` + object + `.metadata.labels ? [` + object + `.metadata.labels[l]] : [])`
}

// kindOf is what messages call the object.
func (o Options) kindOf() string {
	return `(request.resource.resource == 'namespaces' ? 'Namespace' : ` + kindName(o.Kinds) + `)`
}

// example is a value that can be read, quoted.
func example(annotation string) string { return `'"` + webhook.Example(annotation) + `"'` }

// numbers are the annotations that are one.
var numbers = []string{webhook.MaxReplicas, webhook.MaxNodes, webhook.MaxTotalReplicas, webhook.MaxGPUs}

// unread are those of annotations that are written with a value n of which the test says that it
// cannot be read.
func unread(annotations []string, test string) string {
	return texts(annotations) + `.filter(k, variables.now[k] != variables.was[k] && variables.now[k].exists(n, ` + test + `))`
}

// byKey is a map with something for each of our annotations.
func byKey(of func(key string) string) string {
	var members []string
	for _, key := range webhook.Written() {
		key = `'` + key + `'`
		members = append(members, key+`: `+of(key))
	}
	return `{` + strings.Join(members, ", ") + `}`
}

func laxness(list string) string {
	return `(` + list + ` == ['audit'] ? 2 : ` + list + ` == ['warn'] ? 1 : 0)`
}

// notOwned leaves out what is controlled by one of the kinds that are held themselves, where a controller says
// so: a person can write any owner, and act as any ServiceAccount of a Namespace that is edited.
func (o Options) notOwned() string {
	vouching := slices.DeleteFunc(slices.Clone(o.Kinds), func(k webhook.Kind) bool { return !k.Vouches })
	return `has(request.subResource) || !` + webhook.Believed(vouching)
}

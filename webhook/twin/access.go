package twin

import (
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"forewarm.dev/webhook"
)

// loosening holds who may loosen a ceiling, as the webhook does: raise or remove one needs the
// verb set, also where values cannot be compared here; an override needs the verb override.
// What a controller owns carries copies of its owner's annotations and is left alone, and so
// are the system's namespaces, but not their own annotations.
func loosening(excluded, owners []string) part {
	may := func(verb webhook.Verb) string {
		return `authorizer.group('forewarm.dev').resource('ceilings').namespace(variables.within).name(variables.of).check('` + string(verb) + `').allowed()`
	}
	return part{
		conditions: []admissionregistrationv1.MatchCondition{
			{Name: "annotated", Expression: `['` + strings.Join(webhook.Written(), `', '`) + `'].exists(k, ` + value("object") + ` != (request.operation == 'CREATE' ? [] : ` + value("oldObject") + `))`},
			{Name: "not-owned", Expression: notOwned(owners)},
			{Name: "not-excluded", Expression: `request.resource.resource == 'namespaces' || !(request.namespace in ['` + strings.Join(excluded, `', '`) + `'])`},
		},
		variables: []admissionregistrationv1.Variable{
			{Name: "of", Expression: name},
			{Name: "within", Expression: `request.resource.resource == 'namespaces' ? variables.of : request.namespace`},
			{Name: "numbers", Expression: `['` + strings.Join([]string{webhook.MaxReplicas, webhook.MaxNodes, webhook.MaxTotalReplicas, webhook.MaxGPUs}, `', '`) + `'].exists(k, ` + numberLoosened() + `)`},
			{Name: "names", Expression: `['` + webhook.WorkloadMaxReplicas + `'].exists(k, ` + old() + ` != [] && ` + value("object") + ` != ` + old() + `)`},
			{Name: "mode", Expression: `['` + webhook.CeilingMode + `'].exists(k, ` + laxness(value("object")) + ` > ` + laxness(old()) + `)`},
			{Name: "override", Expression: `['` + webhook.CeilingOverride + `'].exists(k, ` + value("object") + ` != [] && ` + value("object") + ` != ` + old() + `)`},
		},
		validation: admissionregistrationv1.Validation{
			Expression: `(!(variables.numbers || variables.names || variables.mode) || ` + may(webhook.Set) + `) && (!variables.override || ` + may(webhook.Overrule) + `)`,
			MessageExpression: `request.resource.resource + ' ' + variables.within + '/' + variables.of + ': this loosens a ceiling, for which one needs the verb ' +` +
				` (variables.override ? '"override"' : '"set"') + ' on ceilings.forewarm.dev; have somebody do it who may'`,
		},
	}
}

// value is the list of the value of annotation k, or of none.
func value(object string) string {
	return `(has(` + object + `.metadata.annotations) && k in ` + object + `.metadata.annotations ? [` + object + `.metadata.annotations[k]] : [])`
}

func old() string {
	return `(request.operation == 'CREATE' ? [] : ` + value("oldObject") + `)`
}

// numberLoosened is true where a number is removed, or both can be read and it is raised.
func numberLoosened() string {
	return old() + ` != [] && (` + value("object") + ` == [] || (` + old() + `.all(v, ` + readable("v") + `) && ` + value("object") + `.all(v, ` + readable("v") + `)` +
		` && ` + value("object") + `.all(n, ` + old() + `.all(o, int(n) > int(o)))))`
}

func laxness(list string) string {
	return `(` + list + ` == ['audit'] ? 2 : ` + list + ` == ['warn'] ? 1 : 0)`
}

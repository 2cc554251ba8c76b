package twin

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"forewarm.dev/webhook"
)

// selected are the kinds that count and that a controller finds by their labels: one whose labels it does
// not find any more it lets go of, and makes another in its place, which passes as part of a rollout.
func selected() rules {
	var out rules
	for _, k := range []webhook.Kind{{Group: "apps", Version: "v1", Resource: "replicasets"}, {Version: "v1", Resource: "replicationcontrollers"}} {
		for _, subresource := range []string{"", "/status"} {
			out = out.with(on(k, subresource, admissionregistrationv1.Update))
		}
	}
	return out
}

// keepsLabels refuses to change the labels of what a controller has, or to take it from its controller, in a
// Namespace with a total: the replicas that are let go would stand beside those that are made for them. The
// control plane may, and whoever may update the finalizers of the controller, which operators may and no
// role of tenants gives.
func (o Options) keepsLabels() part {
	const labels = `.?metadata.?labels.orValue({})`
	controllers := func(object string) string {
		return object + `.?metadata.?ownerReferences.orValue([]).filter(o, o.?controller.orValue(false))`
	}
	const operates = `authorizer.group(o.apiVersion.contains('/') ? o.apiVersion.split('/')[0] : '').resource(o.kind.lowerAscii() + 's').subresource('finalizers')` +
		`.namespace(request.namespace).name(o.name).check('update').allowed()`
	return part{
		conditions: []admissionregistrationv1.MatchCondition{
			{Name: "controlled", Expression: controllers("oldObject") + ` != []`},
			{Name: "not-by-the-control-plane", Expression: `!` + webhook.ByControlPlane},
		},
		variables: []admissionregistrationv1.Variable{{Name: "kept", Expression: controllers("object") + `.map(o, o.uid)`}},
		validation: admissionregistrationv1.Validation{
			Expression: `object` + labels + ` == oldObject` + labels + ` && ` + controllers("oldObject") + `.all(o, o.uid in variables.kept)` +
				` || ` + relaxed + ` || ` + controllers("oldObject") + `.all(o, ` + operates + `)`,
			MessageExpression: kindName(o.Kinds) + ` + ' ' + request.namespace + '/' + ` + nameOf + ` + ': its controller finds it by its labels, and would make another beside it, more than the totals of Namespace ' +` +
				` request.namespace + ' allow; leave metadata.labels and the controller in metadata.ownerReferences as they are, and change labels in the template of the controller'`,
		},
	}
}

// Package twin keeps ceilings while no webhook answers: it compiles them to the API server's
// own ValidatingAdmissionPolicies and, per namespace, to a CeilingSet that those read.
//
// What the twin holds: max-replicas in all forms on create, update and */scale of Deployments,
// StatefulSets, ReplicaSets and ReplicationControllers and on */scale of every other kind, and
// who may loosen a ceiling on those and on Namespaces. It answers as package webhook does,
// which a test shows on the same requests, with two differences: an owned ReplicaSet is let
// through by the kind of its owner, which cannot be read there; and ceilings of the mode warn
// warn nobody.
package twin

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// Names of the policies and of their bindings.
const (
	// Sets reads the CeilingSet of namespaces that have one.
	Sets = "forewarm-ceiling-sets"
	// Plain holds the ceilings of Namespace and cluster elsewhere.
	Plain = "forewarm-ceilings"
	// Access holds who may loosen a ceiling.
	Access = "forewarm-ceilings-access"
)

// Policies are the three policies. cluster is the ceiling on kube-system, nil for none;
// excluded are the namespaces that are left alone; owners the kinds that answer for what they
// control.
func Policies(cluster *int64, excluded, owners []string) []admissionregistrationv1.ValidatingAdmissionPolicy {
	selector := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: excluded,
	}}}
	plain := policy(Plain, selector, growth, ceilings(cluster, owners, false))
	sets := policy(Sets, selector, growth, ceilings(cluster, owners, true))
	sets.Spec.ParamKind = &admissionregistrationv1.ParamKind{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CeilingSet"}
	access := policy(Access, nil, annotated, loosening(excluded, owners))
	return []admissionregistrationv1.ValidatingAdmissionPolicy{plain, sets, access}
}

// Bindings bind each policy. A namespace is under one of the first two: by the label that only
// Forewarm sets. Where it is set and the CeilingSet is missing, growth is refused.
func Bindings() []admissionregistrationv1.ValidatingAdmissionPolicyBinding {
	labelled := func(operator metav1.LabelSelectorOperator) *admissionregistrationv1.MatchResources {
		return &admissionregistrationv1.MatchResources{
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: v1alpha1.LabelCeilings, Operator: operator}}},
			ObjectSelector:    &metav1.LabelSelector{}, MatchPolicy: ptr.To(admissionregistrationv1.Equivalent),
		}
	}
	plain, sets, access := binding(Plain), binding(Sets), binding(Access)
	plain.Spec.MatchResources = labelled(metav1.LabelSelectorOpDoesNotExist)
	sets.Spec.MatchResources = labelled(metav1.LabelSelectorOpExists)
	sets.Spec.ParamRef = &admissionregistrationv1.ParamRef{Name: v1alpha1.CeilingSetName, ParameterNotFoundAction: ptr.To(admissionregistrationv1.DenyAction)}
	return []admissionregistrationv1.ValidatingAdmissionPolicyBinding{plain, sets, access}
}

func binding(name string) admissionregistrationv1.ValidatingAdmissionPolicyBinding {
	return admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
}

// rules are what a policy matches.
type rules []admissionregistrationv1.NamedRuleWithOperations

func on(groups, resources []string, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.NamedRuleWithOperations {
	version, scope := "v1", admissionregistrationv1.AllScopes
	if groups[0] == "*" { // objects of the cluster have no Namespace to ask
		version, scope = "*", admissionregistrationv1.NamespacedScope
	}
	return admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
		Operations: operations,
		Rule:       admissionregistrationv1.Rule{APIGroups: groups, APIVersions: []string{version}, Resources: resources, Scope: new(scope)},
	}}
}

var (
	workloads = []string{"deployments", "statefulsets", "replicasets"}
	growth    = rules{
		on([]string{"apps"}, workloads, admissionregistrationv1.Create, admissionregistrationv1.Update),
		on([]string{""}, []string{"replicationcontrollers"}, admissionregistrationv1.Create, admissionregistrationv1.Update),
		on([]string{"*"}, []string{"*/scale"}, admissionregistrationv1.Update),
	}
	annotated = rules{
		on([]string{"apps"}, append(workloads, "deployments/status", "statefulsets/status", "replicasets/status"), admissionregistrationv1.Create, admissionregistrationv1.Update),
		on([]string{""}, []string{"replicationcontrollers", "replicationcontrollers/status", "namespaces", "namespaces/status"}, admissionregistrationv1.Create, admissionregistrationv1.Update),
	}
)

// name is empty where the server is still to make it up. Empty members of the request are
// missing in CEL, and reading one would fail, and refuse the write.
const name = `has(request.name) ? request.name : ''`

// part is what a policy decides.
type part struct {
	conditions []admissionregistrationv1.MatchCondition
	variables  []admissionregistrationv1.Variable
	validation admissionregistrationv1.Validation
}

// policy fails closed: its expressions are total, so that nothing but a missing CeilingSet
// makes it fail.
func policy(name string, namespaces *metav1.LabelSelector, matched rules, p part) admissionregistrationv1.ValidatingAdmissionPolicy {
	if namespaces == nil {
		namespaces = &metav1.LabelSelector{}
	}
	p.validation.Reason = ptr.To(metav1.StatusReasonForbidden)
	return admissionregistrationv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ResourceRules: matched, NamespaceSelector: namespaces, ObjectSelector: &metav1.LabelSelector{}, MatchPolicy: ptr.To(admissionregistrationv1.Equivalent),
			},
			FailurePolicy:   ptr.To(admissionregistrationv1.Fail),
			MatchConditions: p.conditions, Variables: p.variables, Validations: []admissionregistrationv1.Validation{p.validation},
		},
	}
}

// ceilings holds growth to the smallest ceiling, and says what the webhook would: the API
// server asks policies first. Numbers below zero stand for none.
func ceilings(cluster *int64, owners []string, sets bool) part {
	// An annotation that cannot be read falls back on the CeilingSet's last good value.
	ofNamespace, named, own, override := number("namespaceObject", "-1"), "-1", "-1", "-1"
	lastGood := func(string) string { return "-1" }
	if sets {
		spec := func(list string) string {
			return `(has(params.spec.` + list + `) && variables.key in params.spec.` + list + ` ? params.spec.` + list + `[variables.key] : -1)`
		}
		ofNamespace = number("namespaceObject", "(has(params.spec.maxReplicas) && "+has("namespaceObject")+" ? params.spec.maxReplicas : -1)")
		lastGood = func(object string) string { return `(` + has(object) + ` ? ` + spec("own") + ` : -1)` }
		named, own, override = spec("named"), `(variables.scale ? `+spec("own")+` : -1)`, spec("overrides")
	}
	literal := "-1"
	if cluster != nil {
		literal = fmt.Sprint(*cluster)
	}
	const inNamespace, inCluster = `'Namespace ' + request.namespace`, `'Namespace kube-system'`
	limits := []string{
		limit(`(variables.scale ? -1 : `+number("object", lastGood("object"))+`)`, webhook.MaxReplicas, "variables.name"),
		limit(`(variables.scale || request.operation == 'CREATE' ? -1 : `+number("oldObject", lastGood("oldObject"))+`)`, webhook.MaxReplicas, "variables.name"),
		limit(own, webhook.MaxReplicas, "variables.name"),
		limit(named, webhook.WorkloadMaxReplicas, inNamespace),
		limit(ofNamespace, webhook.MaxReplicas, inNamespace),
		limit(literal, webhook.MaxReplicas, inCluster),
	}
	return part{
		conditions: []admissionregistrationv1.MatchCondition{
			{Name: "grows", Expression: `request.operation == 'CREATE' || ` + replicasOf("object") + ` > ` + replicasOf("oldObject")},
			{Name: "not-owned", Expression: notOwned(owners)},
		},
		variables: []admissionregistrationv1.Variable{
			{Name: "of", Expression: name},
			{Name: "scale", Expression: `(has(request.subResource) && request.subResource == 'scale')`},
			{Name: "asked", Expression: replicas("object")},
			{Name: "before", Expression: `request.operation == 'CREATE' ? 0 : ` + replicas("oldObject")},
			{Name: "resource", Expression: `request.resource.resource + (request.resource.group == '' ? '' : '.' + request.resource.group)`},
			{Name: "key", Expression: `variables.resource + '/' + variables.of`},
			{Name: "name", Expression: kindName() + ` + ' ' + request.namespace + '/' + variables.of`},
			{Name: "limits", Expression: `[` + strings.Join(limits, ", ") + `].filter(l, l.n >= 0)`},
			{Name: "lowest", Expression: `size(variables.limits) == 0 ? -1 : variables.limits.map(l, int(l.n)).min()`},
			{Name: "malformed", Expression: has("namespaceObject") + ` && !(` + readable(`namespaceObject.metadata.annotations['`+webhook.MaxReplicas+`']`) + `)`},
			{Name: "override", Expression: override},
		},
		validation: admissionregistrationv1.Validation{
			Expression:        `variables.lowest < 0 || variables.asked <= variables.lowest || variables.asked <= variables.override || ` + relaxed(),
			MessageExpression: message(),
		},
	}
}

// limit is one ceiling: its number, its annotation, and the object that carries it.
func limit(n, annotation, on string) string {
	return `{'n': dyn(` + n + `), 'by': dyn('` + annotation + `'), 'on': dyn(` + on + `)}`
}

// message is what the webhook says of a denial.
func message() string {
	by := `variables.limits.filter(l, l.n == variables.lowest)[0]`
	raw := `(variables.malformed && string(` + by + `.on).startsWith('Namespace ' + request.namespace) ? namespaceObject.metadata.annotations['` + webhook.MaxReplicas + `'] : string(variables.lowest))`
	malformed := `(variables.malformed && string(` + by + `.on).startsWith('Namespace ' + request.namespace) ? ' (malformed; its last good value, ' + string(variables.lowest) + ', stays in force)' : '')`
	return `variables.name + ': ' + string(variables.asked) + ' replicas asked for, at most ' + string(variables.lowest) + ' allowed by annotation ' + string(` + by + `.by)` +
		` + '="' + ` + raw + ` + '" on ' + string(` + by + `.on) + ` + malformed + ` + '; ask for at most ' + string(variables.lowest) + ', or have somebody who may edit ' + string(` + by + `.on) + ' raise it'` +
		` + (variables.before > variables.lowest ? '; the ' + string(variables.before) + ' replicas that exist already may stay' : '')` +
		` + (!variables.scale && request.operation == 'UPDATE' && ` + changed() + ` ? '; a write that changes the annotation and grows is held to the smaller of both values, so raise it in a write of its own before this one' : '')`
}

// changed says whether a write changes the object's own ceiling.
func changed() string {
	return `['` + webhook.MaxReplicas + `'].exists(k, ` + value("object") + ` != ` + value("oldObject") + `)`
}

// kindName is the kind as people write it: a Scale does not carry its parent's.
func kindName() string {
	var known []string
	for _, k := range webhook.Kinds() {
		resource := k.Resource
		if k.Group != "" {
			resource += "." + k.Group
		}
		known = append(known, `'`+resource+`': '`+k.Name+`'`)
	}
	names := `{` + strings.Join(known, ", ") + `}`
	return `(variables.resource in ` + names + ` ? ` + names + `[variables.resource] : variables.resource)`
}

// notOwned leaves out ReplicaSets that are said to be controlled by one of the kinds that are
// held themselves.
func notOwned(owners []string) string {
	return `!(!has(request.subResource) && request.resource.resource in ['replicasets', 'replicationcontrollers'] && has(object.metadata.ownerReferences)` +
		` && object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller && o.kind in ['` + strings.Join(owners, `', '`) + `']))`
}

// relaxed is true in a Namespace of the mode warn or audit.
func relaxed() string {
	return `(has(namespaceObject.metadata.annotations) && '` + webhook.CeilingMode + `' in namespaceObject.metadata.annotations` +
		` && namespaceObject.metadata.annotations['` + webhook.CeilingMode + `'] in ['warn', 'audit'])`
}

// replicas is the number that an object asks for; absent means none on a Scale, else one.
func replicas(object string) string {
	return `(has(` + object + `.spec) && has(` + object + `.spec.replicas) ? ` + object + `.spec.replicas : (variables.scale ? 0 : 1))`
}

// replicasOf is replicas where variables are not to be had.
func replicasOf(object string) string {
	return strings.ReplaceAll(replicas(object), "variables.scale", "(has(request.subResource) && request.subResource == 'scale')")
}

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

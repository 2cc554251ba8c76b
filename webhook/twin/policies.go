// Package twin keeps ceilings while no webhook answers: it compiles them to the API server's
// own policies and, per namespace, to a CeilingSet that those read.
//
// What the twin holds: max-replicas in all forms on create, update and */scale of every kind
// that counts for totals, and on */scale of every other kind in a namespace; approved instance
// types; and who may loosen any of that, also by the labels of a Namespace. Under a total it also has ReplicaSets keep the labels that their
// controller finds them by, which no webhook does. From Kubernetes 1.36 it clamps autoscalers. It answers
// as package webhook does, which a test shows on the same requests, with these differences: what
// the system says that a controller owns is let through by the kind of its owner, which cannot
// be read there; ceilings of the mode warn warn nobody; and on the /scale of a kind of which that
// is only a part, the part is held.
package twin

import (
	"slices"
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
	// NodePools and NodeClaims hold approved instance types.
	NodePools  = "forewarm-node-pools"
	NodeClaims = "forewarm-node-claims"
	// Selected has what a controller finds by its labels keep them, where totals are set.
	Selected = "forewarm-selected"
)

// Names are those of all validating policies.
func Names() []string { return []string{Plain, Sets, Access, NodePools, NodeClaims, Selected} }

// Options are what policies are made of.
type Options struct {
	// Cluster is the ceiling on kube-system, nil for none.
	Cluster *int64
	// Instances is the list of approved instance types there, empty for none.
	Instances string
	// Excluded are the namespaces that are left alone.
	Excluded []string
	// Autoscalers are the users whose writes of /scale are clamped.
	Autoscalers []string
	// Kinds is the table of kinds.
	Kinds []webhook.Kind
	// Pools are the NodePools that say something, by name.
	Pools map[string]Pool
}

// Policies are the validating policies.
func Policies(o Options) []admissionregistrationv1.ValidatingAdmissionPolicy {
	plain := policy(Plain, o.namespaces(), o.growth(), o.ceilings(false))
	sets := policy(Sets, o.namespaces(), o.growth(), o.ceilings(true))
	sets.Spec.ParamKind = paramKind()
	access := policy(Access, &metav1.LabelSelector{}, o.annotated(), o.loosening())
	pools := policy(NodePools, &metav1.LabelSelector{}, written(o.selecting()), o.ofPools())
	claims := policy(NodeClaims, &metav1.LabelSelector{}, rules{on(webhook.NodeClaims, "", admissionregistrationv1.Create)}, o.ofClaims())
	// Without nodes nothing comes up, so an expression that fails is no reason to refuse one.
	claims.Spec.FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
	selected := policy(Selected, o.namespaces(), selected(), o.keepsLabels())
	return []admissionregistrationv1.ValidatingAdmissionPolicy{plain, sets, access, pools, claims, selected}
}

func paramKind() *admissionregistrationv1.ParamKind {
	return &admissionregistrationv1.ParamKind{APIVersion: v1alpha1.GroupVersion.String(), Kind: "CeilingSet"}
}

// namespaces are those that are not left alone.
func (o Options) namespaces() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: o.Excluded,
	}}}
}

// Bindings bind each policy. A namespace is under one of the first two: by the label that only
// Forewarm sets. Where it is set and the CeilingSet is missing, growth is refused.
func Bindings() []admissionregistrationv1.ValidatingAdmissionPolicyBinding {
	var out []admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for _, name := range Names() {
		out = append(out, binding(name))
	}
	out[0].Spec.MatchResources = labelled(v1alpha1.LabelCeilings, metav1.LabelSelectorOpDoesNotExist)
	out[1].Spec.MatchResources = labelled(v1alpha1.LabelCeilings, metav1.LabelSelectorOpExists)
	out[len(out)-1].Spec.MatchResources = labelled(v1alpha1.LabelTotals, metav1.LabelSelectorOpIn, v1alpha1.TotalsEnforced, v1alpha1.TotalsTold)
	out[1].Spec.ParamRef = &admissionregistrationv1.ParamRef{Name: v1alpha1.CeilingSetName, ParameterNotFoundAction: ptr.To(admissionregistrationv1.DenyAction)}
	return out
}

func labelled(key string, operator metav1.LabelSelectorOperator, values ...string) *admissionregistrationv1.MatchResources {
	return &admissionregistrationv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}},
		ObjectSelector:    &metav1.LabelSelector{}, MatchPolicy: ptr.To(admissionregistrationv1.Equivalent),
	}
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

// on matches a kind, or one of its subresources.
func on(k webhook.Kind, subresource string, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.NamedRuleWithOperations {
	scope := admissionregistrationv1.NamespacedScope
	if k.Cluster {
		scope = admissionregistrationv1.ClusterScope
	}
	return admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
		Operations: operations,
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{k.Group}, APIVersions: k.Versions(),
			Resources: []string{k.Resource + subresource}, Scope: &scope,
		},
	}}
}

// with adds a rule; kinds of one group, scope and the same versions share one.
func (r rules) with(rule admissionregistrationv1.NamedRuleWithOperations) rules {
	for i := range r {
		if r[i].APIGroups[0] == rule.APIGroups[0] && slices.Equal(r[i].APIVersions, rule.APIVersions) && *r[i].Scope == *rule.Scope {
			r[i].Resources = append(r[i].Resources, rule.Resources...)
			return r
		}
	}
	return append(r, rule)
}

// scales match every /scale in a namespace.
func scales() admissionregistrationv1.NamedRuleWithOperations {
	return on(webhook.Kind{Group: "*", Version: "*", Resource: "*"}, "/scale", admissionregistrationv1.Update)
}

// held are the kinds whose counts a policy holds: those of which others are made (HPA, CronJob)
// are held by what they make.
func (o Options) held() []webhook.Kind {
	return slices.DeleteFunc(slices.Clone(o.Kinds), func(k webhook.Kind) bool { return !k.Counted() })
}

func (o Options) growth() rules {
	return append(written(o.held()), scales())
}

// written matches creates and updates.
func written(kinds []webhook.Kind) rules {
	var out rules
	for _, k := range kinds {
		out = out.with(on(k, "", admissionregistrationv1.Create, admissionregistrationv1.Update))
	}
	return out
}

// annotated are all objects that carry annotations of ours.
func (o Options) annotated() rules {
	var out rules
	namespaces := webhook.Kind{Version: "v1", Resource: "namespaces", Cluster: true}
	for _, k := range append(slices.Clone(o.Kinds), namespaces) {
		for _, subresource := range []string{"", "/status"} {
			out = out.with(on(k, subresource, admissionregistrationv1.Create, admissionregistrationv1.Update))
		}
	}
	return out.with(on(namespaces, "/finalize", admissionregistrationv1.Create, admissionregistrationv1.Update)) // it takes annotations too
}

// selecting are the kinds that name instance types.
func (o Options) selecting() []webhook.Kind {
	return slices.DeleteFunc(slices.Clone(o.Kinds), func(k webhook.Kind) bool { return k.Instances == nil })
}

// part is what a policy decides.
type part struct {
	conditions []admissionregistrationv1.MatchCondition
	variables  []admissionregistrationv1.Variable
	validation admissionregistrationv1.Validation
}

// policy fails closed: its expressions are total, so that nothing but a missing CeilingSet, or
// a count beyond what CEL can add up, makes it fail.
func policy(name string, namespaces *metav1.LabelSelector, matched rules, p part) admissionregistrationv1.ValidatingAdmissionPolicy {
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

// Parts of expressions. Empty members of a request are missing in CEL, and reading one would
// fail, and refuse the write.
const (
	nameOf      = `request.?name.orValue('')`
	namespaceOf = `request.?namespace.orValue('')`
	scaleOf     = `(request.?subResource.orValue('') == 'scale')`
	resourceOf  = `(request.resource.resource + (request.resource.group == '' ? '' : '.' + request.resource.group))`
)

// resource is how CEL names the resource of a kind.
func resource(k webhook.Kind) string { return strings.TrimSuffix(Key(k.Group, k.Resource, ""), "/") }

// texts is a list of texts.
func texts(of []string) string {
	if len(of) == 0 {
		return `[]`
	}
	return `['` + strings.Join(of, `', '`) + `']`
}

// annotation is a list of the value of an annotation of an object, or of none.
func annotation(object, key string) string {
	return `(has(` + object + `.metadata.annotations) && ` + key + ` in ` + object + `.metadata.annotations ? [` + object + `.metadata.annotations[` + key + `]] : [])`
}

// before is annotation, of the object before the write.
func before(key string) string {
	return `(request.operation == 'CREATE' ? [] : ` + annotation("oldObject", key) + `)`
}

// Package registration tells the API server about the webhook: it writes the webhook
// configurations and keeps their CA bundle current, and signs the serving certificate.
package registration

import (
	"slices"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// Paths under which the webhook serves each kind of review.
const (
	CeilingsPath = "/ceilings"
	TotalsPath   = "/totals"
	ClampsPath   = "/clamps"
	PodsPath     = "/pods"
)

// TouchManager is the field manager whose writes of HPAs are reviewed even where they change
// nothing.
const TouchManager = "forewarm-webhook-autoscalers"

// Name is the name of both configurations.
const Name = "forewarm"

// timeoutSeconds is how long the API server waits; the handler gives up before.
const timeoutSeconds = 2

// Target is where the API server reaches the webhook, and whom it leaves alone.
type Target struct {
	// URL is https://host:port; empty means through Service in Namespace.
	URL string
	// Service is the name of the Service.
	Service string
	// Namespace is Forewarm's own namespace, from which no review is ever asked for.
	Namespace string
	// Kinds are the kinds whose counts are reviewed.
	Kinds []webhook.Kind
	// Autoscalers are the users whose writes of /scale are clamped.
	Autoscalers []string
	// InjectCAFrom is the cert-manager Certificate, NAMESPACE/NAME, whose CA cert-manager puts
	// into the bundles; empty where they are written here.
	InjectCAFrom string
}

// enforcer is the annotation by which AKS leaves a configuration alone. Its Admissions Enforcer adds
// to every namespaceSelector else, for as long as it is put right, and would hide writes of
// kube-system, which carries the ceilings of the cluster. What must come up by itself we exclude.
const enforcer = "admissions.enforcer/disabled"

func (t Target) metadata() metav1.ObjectMeta {
	out := metav1.ObjectMeta{Name: Name, Annotations: map[string]string{enforcer: "true"}}
	if t.InjectCAFrom != "" {
		out.Annotations[certmanagerv1.WantInjectAnnotation] = t.InjectCAFrom
	}
	return out
}

func (t Target) clientConfig(path string, caBundle []byte) admissionregistrationv1.WebhookClientConfig {
	if t.URL != "" {
		return admissionregistrationv1.WebhookClientConfig{URL: new(t.URL + path), CABundle: caBundle}
	}
	return admissionregistrationv1.WebhookClientConfig{CABundle: caBundle, Service: &admissionregistrationv1.ServiceReference{
		Namespace: t.Namespace, Name: t.Service, Path: &path, Port: ptr.To[int32](443),
	}}
}

// Excluded are the namespaces that must come up by themselves.
func (t Target) Excluded() []string {
	out := []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, v1alpha1.PlaceholderNamespace}
	if !slices.Contains(out, t.Namespace) {
		out = append(out, t.Namespace)
	}
	slices.Sort(out)
	return out
}

// namespaces selects all others. The name label is set by the API server, so that nobody can
// opt out by labelling a Namespace.
func (t Target) namespaces() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: t.Excluded(),
	}}}
}

// Validating is the configuration of the ceilings. Every entry is Ignore: ceilings are not
// worth an outage; save that of the totals, which nothing else holds. An empty namespaceSelector lets the Namespace entry see kube-system;
// an objectSelector is never used, since it does not match /scale, and is written as empty so that nobody else uses one.
func Validating(t Target, caBundle []byte) *admissionregistrationv1.ValidatingWebhookConfiguration {
	entry := func(name string, namespaces *metav1.LabelSelector, conditions []admissionregistrationv1.MatchCondition, rules ...admissionregistrationv1.RuleWithOperations) admissionregistrationv1.ValidatingWebhook {
		if namespaces == nil {
			namespaces = &metav1.LabelSelector{} // else somebody's own would stay when this is applied
		}
		return admissionregistrationv1.ValidatingWebhook{
			Name: name, ClientConfig: t.clientConfig(CeilingsPath, caBundle), Rules: rules,
			FailurePolicy: ptr.To(admissionregistrationv1.Ignore), MatchPolicy: ptr.To(admissionregistrationv1.Equivalent),
			NamespaceSelector: namespaces, ObjectSelector: &metav1.LabelSelector{}, SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds: ptr.To[int32](timeoutSeconds), AdmissionReviewVersions: []string{"v1"},
			MatchConditions: conditions,
		}
	}
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: t.metadata(),
		Webhooks: []admissionregistrationv1.ValidatingWebhook{
			entry("workloads.ceilings.forewarm.dev", t.namespaces(), workloadConditions, rules(t.Kinds, true)...),
			entry("kinds.ceilings.forewarm.dev", t.namespaces(), asksOtherwise(t.Kinds), rules(t.Kinds, false)...),
			entry("scale.ceilings.forewarm.dev", t.namespaces(), scaleConditions,
				rule([]string{"*"}, "*", []string{"*/scale"}, admissionregistrationv1.AllScopes, admissionregistrationv1.Update)),
			entry("status.ceilings.forewarm.dev", t.namespaces(), annotationConditions, statusRules(t.Kinds)...),
			entry("namespaces.ceilings.forewarm.dev", nil, annotationConditions,
				rule([]string{""}, "v1", []string{"namespaces", "namespaces/status", "namespaces/finalize"}, admissionregistrationv1.ClusterScope, admissionregistrationv1.Create, admissionregistrationv1.Update)),
			entry("machines.ceilings.forewarm.dev", t.namespaces(), machineConditions, machineRule()),
			t.totals(entry("totals.ceilings.forewarm.dev", t.counting(v1alpha1.TotalsEnforced), totalConditions(t.Kinds), countedRules(t.Kinds)...), admissionregistrationv1.Fail, caBundle),
			t.totals(entry("told.totals.ceilings.forewarm.dev", t.counting(v1alpha1.TotalsTold), toldConditions(t.Kinds), countedRules(t.Kinds)...), admissionregistrationv1.Ignore, caBundle),
			t.totals(entry("rollouts.totals.ceilings.forewarm.dev", t.counting(v1alpha1.TotalsEnforced), rolloutConditions(t.Kinds), countedRules(t.Kinds)...), admissionregistrationv1.Ignore, caBundle),
			t.totals(entry("nodeclaims.ceilings.forewarm.dev", nil, nil,
				rule([]string{webhook.NodeClaims.Group}, webhook.NodeClaims.Version, []string{webhook.NodeClaims.Resource}, admissionregistrationv1.ClusterScope, admissionregistrationv1.Create)),
				admissionregistrationv1.Ignore, caBundle),
		},
	}
}

// machineRule is for Machines that are made, in every version that the server may have.
func machineRule() admissionregistrationv1.RuleWithOperations {
	out := rules([]webhook.Kind{webhook.Machines}, false)[0]
	out.Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Create}
	return out
}

// totals makes an entry one that writes ledgers.
func (t Target) totals(entry admissionregistrationv1.ValidatingWebhook, policy admissionregistrationv1.FailurePolicyType, caBundle []byte) admissionregistrationv1.ValidatingWebhook {
	entry.ClientConfig = t.clientConfig(TotalsPath, caBundle)
	entry.FailurePolicy = &policy
	entry.SideEffects = ptr.To(admissionregistrationv1.SideEffectClassNoneOnDryRun)
	return entry
}

// counting selects the namespaces that carry a total, by the value of their label.
func (t Target) counting(value string) *metav1.LabelSelector {
	out := t.namespaces()
	out.MatchExpressions = append(out.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: v1alpha1.LabelTotals, Operator: metav1.LabelSelectorOpIn, Values: []string{value},
	})
	return out
}

// countedRules are those of the kinds that count for totals, with every /scale.
func countedRules(kinds []webhook.Kind) []admissionregistrationv1.RuleWithOperations {
	counted := slices.DeleteFunc(slices.Clone(kinds), func(k webhook.Kind) bool { return !k.Counted() })
	out := append(rules(counted, true), rules(counted, false)...)
	return append(out, rule([]string{"*"}, "*", []string{"*/scale"}, admissionregistrationv1.NamespacedScope, admissionregistrationv1.Update))
}

// Mutating is the configuration of the clamps and of the pods. Later webhooks may add
// containers or change an HPA, hence IfNeeded.
func Mutating(t Target, caBundle []byte) *admissionregistrationv1.MutatingWebhookConfiguration {
	entry := func(name, path string, conditions []admissionregistrationv1.MatchCondition, rule admissionregistrationv1.RuleWithOperations) admissionregistrationv1.MutatingWebhook {
		return admissionregistrationv1.MutatingWebhook{
			Name: name, ClientConfig: t.clientConfig(path, caBundle), Rules: []admissionregistrationv1.RuleWithOperations{rule},
			FailurePolicy: ptr.To(admissionregistrationv1.Ignore), MatchPolicy: ptr.To(admissionregistrationv1.Equivalent),
			NamespaceSelector: t.namespaces(), ObjectSelector: &metav1.LabelSelector{}, SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds: ptr.To[int32](timeoutSeconds), AdmissionReviewVersions: []string{"v1"},
			ReinvocationPolicy: ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy),
			MatchConditions:    conditions,
		}
	}
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration"},
		ObjectMeta: t.metadata(),
		Webhooks: []admissionregistrationv1.MutatingWebhook{
			entry("pods.forewarm.dev", PodsPath, podConditions,
				rule([]string{""}, "v1", []string{"pods"}, admissionregistrationv1.NamespacedScope, admissionregistrationv1.Create)),
			entry("scale.clamps.forewarm.dev", ClampsPath, append([]admissionregistrationv1.MatchCondition{writtenBy(t.Autoscalers)}, scaleConditions...),
				rule([]string{"*"}, "*", []string{"*/scale"}, admissionregistrationv1.AllScopes, admissionregistrationv1.Update)),
			entry("autoscalers.clamps.forewarm.dev", ClampsPath, boundsConditions,
				rule([]string{"autoscaling"}, "v2", []string{"horizontalpodautoscalers"}, admissionregistrationv1.NamespacedScope, admissionregistrationv1.Create, admissionregistrationv1.Update)),
		},
	}
}

// rules are those of the kinds whose growth a match condition can tell, or of all others. Kinds of
// one group, scope and the same versions share a rule.
func rules(kinds []webhook.Kind, plain bool) []admissionregistrationv1.RuleWithOperations {
	var out []admissionregistrationv1.RuleWithOperations
	for _, k := range kinds {
		if isWorkload(k) != plain {
			continue
		}
		scope := admissionregistrationv1.NamespacedScope
		if k.Cluster {
			scope = admissionregistrationv1.ClusterScope
		}
		versions := k.Versions()
		i := slices.IndexFunc(out, func(r admissionregistrationv1.RuleWithOperations) bool {
			return r.APIGroups[0] == k.Group && slices.Equal(r.APIVersions, versions) && *r.Scope == scope
		})
		if i >= 0 {
			out[i].Resources = append(out[i].Resources, k.Resource)
			continue
		}
		added := rule([]string{k.Group}, k.Version, []string{k.Resource}, scope, admissionregistrationv1.Create, admissionregistrationv1.Update)
		added.APIVersions = versions
		out = append(out, added)
	}
	return out
}

// statusRules are for annotations that come with a status.
func statusRules(kinds []webhook.Kind) []admissionregistrationv1.RuleWithOperations {
	out := append(rules(kinds, true), rules(kinds, false)...)
	for i := range out {
		out[i].Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Update}
		for j, resource := range out[i].Resources {
			out[i].Resources[j] = resource + "/status"
		}
	}
	return out
}

func rule(groups []string, version string, resources []string, scope admissionregistrationv1.ScopeType, operations ...admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: operations,
		Rule:       admissionregistrationv1.Rule{APIGroups: groups, APIVersions: []string{version}, Resources: resources, Scope: &scope},
	}
}

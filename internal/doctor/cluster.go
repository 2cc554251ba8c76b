package doctor

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// own tells whether an object's name is one of ours.
func own(name string) bool { return strings.HasPrefix(name, "forewarm") }

// entry is what the entries of both kinds of webhook configurations have in common.
type entry struct {
	where      string
	policy     admissionregistrationv1.FailurePolicyType
	timeout    int32
	namespaces *metav1.LabelSelector
	conditions int
	rules      []admissionregistrationv1.RuleWithOperations
	bundle     []byte
	match      admissionregistrationv1.MatchPolicyType
	// once is true for a mutating entry that is not asked again after later ones.
	once bool
	// inside is true for one that asks a Service of the cluster.
	inside bool
}

func ownEntries(f Facts) []entry {
	var all []entry
	value := func(policy *admissionregistrationv1.FailurePolicyType) admissionregistrationv1.FailurePolicyType {
		if policy == nil {
			return admissionregistrationv1.Fail
		}
		return *policy
	}
	seconds := func(timeout *int32) int32 {
		if timeout == nil {
			return 10
		}
		return *timeout
	}
	for i := range f.Validating {
		c := &f.Validating[i]
		for j := range c.Webhooks {
			if w := &c.Webhooks[j]; own(c.Name) {
				all = append(all, entry{"ValidatingWebhookConfiguration " + c.Name + ", " + w.Name, value(w.FailurePolicy), seconds(w.TimeoutSeconds), w.NamespaceSelector, len(w.MatchConditions), w.Rules, w.ClientConfig.CABundle, matched(w.MatchPolicy), false, w.ClientConfig.Service != nil})
			}
		}
	}
	for i := range f.Mutating {
		c := &f.Mutating[i]
		for j := range c.Webhooks {
			if w := &c.Webhooks[j]; own(c.Name) {
				all = append(all, entry{"MutatingWebhookConfiguration " + c.Name + ", " + w.Name, value(w.FailurePolicy), seconds(w.TimeoutSeconds), w.NamespaceSelector, len(w.MatchConditions), w.Rules, w.ClientConfig.CABundle, matched(w.MatchPolicy), w.ReinvocationPolicy == nil || *w.ReinvocationPolicy == admissionregistrationv1.NeverReinvocationPolicy, w.ClientConfig.Service != nil})
			}
		}
	}
	return all
}

func matched(policy *admissionregistrationv1.MatchPolicyType) admissionregistrationv1.MatchPolicyType {
	if policy == nil {
		return admissionregistrationv1.Equivalent
	}
	return *policy
}

func configurations(f Facts) []Finding {
	kinds := map[string]bool{}
	for _, e := range ownEntries(f) {
		kind, _, _ := strings.Cut(e.where, " ")
		kinds[kind] = true
	}
	var all []Finding
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		if !kinds[kind] {
			all = append(all, Finding{Wrong, kind, "there is none of Forewarm's: nobody asks the webhook", "start cmd/webhook, which writes it once it is ready; if it was disarmed: forewarmctl arm"})
		}
	}
	return all
}

// entries judges whether a dead webhook would be an outage.
func entries(f Facts) []Finding {
	var all []Finding
	for _, e := range ownEntries(f) {
		if e.timeout > 5 {
			all = append(all, Finding{Wrong, e.where + ".timeoutSeconds", fmt.Sprintf("is %d: a hung webhook holds every write up that long", e.timeout), "let cmd/webhook write it, which takes 2"})
		}
		if e.policy == admissionregistrationv1.Ignore {
			continue
		}
		if e.namespaces == nil || len(e.namespaces.MatchLabels)+len(e.namespaces.MatchExpressions) == 0 {
			all = append(all, Finding{Wrong, e.where + ".failurePolicy", "is Fail for every namespace: a dead webhook stops the cluster", "set Ignore; the API server's policies hold the ceilings meanwhile"})
		}
		for _, rule := range e.rules {
			for _, resource := range []string{"pods", "nodes", "nodeclaims", "machines", "*", "*/*"} {
				if slices.Contains(rule.Resources, resource) {
					all = append(all, Finding{Wrong, e.where + ".rules", "refuses " + resource + " while no webhook answers: a cluster at zero nodes cannot come up", "set failurePolicy: Ignore for it"})
				}
			}
		}
	}
	return all
}

// soon is how early an end of a CA is told.
const soon = 7 * 24 * time.Hour

func certificates(f Facts) []Finding {
	var all []Finding
	for _, e := range ownEntries(f) {
		where := e.where + ".clientConfig.caBundle"
		latest, readable := time.Time{}, false
		for rest := e.bundle; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				readable = true
				if c.NotAfter.After(latest) {
					latest = c.NotAfter
				}
			}
		}
		switch {
		case !readable:
			all = append(all, Finding{Wrong, where, "holds no certificate: API servers do not trust the webhook", "see docs/certificates.md for who writes it in your mode"})
		case latest.Before(f.Now):
			all = append(all, Finding{Wrong, where, "has run out on " + latest.Format(time.DateOnly), "see docs/certificates.md; with SelfManaged look at the webhook's log"})
		case latest.Before(f.Now.Add(soon)):
			all = append(all, Finding{Doubtful, where, "runs out on " + latest.Format(time.DateOnly), "with SelfManaged it is renewed by itself; see docs/certificates.md otherwise"})
		}
	}
	return all
}

// pokePolicy looks for the policy that keeps the extender's right to patch pods small.
func pokePolicy(f Facts) []Finding {
	const name = "forewarm-extender"
	policy := slices.ContainsFunc(f.Policies, func(p admissionregistrationv1.ValidatingAdmissionPolicy) bool { return p.Name == name })
	bound := slices.ContainsFunc(f.PolicyBindings, func(b admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool {
		return b.Spec.PolicyName == name && slices.Contains(b.Spec.ValidationActions, admissionregistrationv1.Deny)
	})
	if policy && bound {
		return nil
	}
	return []Finding{{Wrong, "ValidatingAdmissionPolicy " + name, "is missing, or not bound with Deny: the extender's ServiceAccount may change more of pods than one annotation", "apply manifests/rbac/extender.yaml"}}
}

// taints looks for GPU nodes that any pod may take CPU and memory of.
func taints(f Facts) []Finding {
	open := 0
	for i := range f.Nodes {
		node := &f.Nodes[i]
		gpus := slices.ContainsFunc(slices.Collect(maps.Keys(node.Status.Allocatable)), webhook.IsGPU)
		tainted := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule })
		if gpus && !tainted {
			open++
		}
	}
	if open == 0 {
		return nil
	}
	return []Finding{{Doubtful, fmt.Sprintf("%d GPU nodes", open), "have no taint: pods without GPUs take their CPU and memory, and the extender never keeps those off", "taint them, for example nvidia.com/gpu:NoSchedule; the webhook adds the toleration to GPU pods"}}
}

// priorities looks for pods that could never take a placeholder over, and for a missing class.
func priorities(f Facts) []Finding {
	lowest, found := int32(0), false
	for i := range f.PriorityClasses {
		if f.PriorityClasses[i].Name == v1alpha1.PlaceholderPriorityClass {
			lowest, found = f.PriorityClasses[i].Value, true
		}
	}
	if !found {
		if len(f.Pools) == 0 {
			return nil
		}
		return []Finding{{Wrong, "PriorityClass " + v1alpha1.PlaceholderPriorityClass, "does not exist: no placeholder can be made", "start cmd/reserver, which makes it"}}
	}
	var all []Finding
	for i := range f.PriorityClasses {
		c := &f.PriorityClasses[i]
		if !v1alpha1.IsPlaceholderClass(c.Name) && c.Value <= lowest {
			all = append(all, Finding{Doubtful, "PriorityClass " + c.Name, fmt.Sprintf("has value %d, at or below that of placeholders (%d): its pods preempt none", c.Value, lowest), "raise it, or leave it to the reserver, which deletes a placeholder for them"})
		}
	}
	return all
}

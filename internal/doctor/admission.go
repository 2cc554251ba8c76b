package doctor

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
)

// rewritten is the remedy for what cmd/webhook writes itself.
const rewritten = "let cmd/webhook write it: it puts back what others change; see its log for why it does not"

// recovery are Namespaces that a cluster, and Forewarm itself, cannot come up without.
var recovery = []string{metav1.NamespaceSystem, corev1.NamespaceNodeLease, v1alpha1.SystemNamespace}

// reach judges whom the webhook is asked about: reliability.md R1, R2, R13 and R15.
func reach(f Facts) []Finding {
	var all []Finding
	for _, e := range ownEntries(f) {
		i := slices.IndexFunc(recovery, func(namespace string) bool { return selects(e.namespaces, namespace) })
		for _, trap := range []struct {
			trapped bool
			finding Finding
		}{
			{namespaced(e.rules) && i >= 0, Finding{Wrong, e.where + ".namespaceSelector", "has the webhook asked about " + recovery[max(i, 0)] + ": it stands between the cluster and its own recovery", rewritten}},
			{e.conditions == 0 && updates(e.rules), Finding{Doubtful, e.where + ".matchConditions", "are missing: every write waits for the webhook, also those that grow nothing", rewritten}},
			{e.match == admissionregistrationv1.Exact, Finding{Wrong, e.where + ".matchPolicy", "is Exact: a write in another API version leads past every ceiling", rewritten}},
			{e.once, Finding{Doubtful, e.where + ".reinvocationPolicy", "is Never: what a later webhook adds to a pod is not seen", rewritten}},
		} {
			if trap.trapped {
				all = append(all, trap.finding)
			}
		}
	}
	return all
}

// namespaced tells whether any rule is about objects in namespaces.
func namespaced(rules []admissionregistrationv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return r.Scope == nil || *r.Scope != admissionregistrationv1.ClusterScope
	})
}

func updates(rules []admissionregistrationv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return slices.Contains(r.Operations, admissionregistrationv1.Update) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)
	})
}

// selects tells whether a selector takes a namespace by its name, which API servers put on it as a
// label; one that cannot be read takes nothing.
func selects(selector *metav1.LabelSelector, namespace string) bool {
	if selector == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set{corev1.LabelMetadataName: namespace})
}

// twin are the policies by which the API server holds ceilings itself.
var twin = []string{"forewarm-ceilings", "forewarm-ceiling-sets", "forewarm-ceilings-access", "forewarm-node-pools", "forewarm-node-claims", "forewarm-selected"}

// policies looks for the twin where the webhook is not disarmed: R4 and R12.
func policies(f Facts) []Finding {
	if len(ownEntries(f)) == 0 {
		return nil
	}
	var all []Finding
	for _, name := range twin {
		policy := slices.ContainsFunc(f.Policies, func(p admissionregistrationv1.ValidatingAdmissionPolicy) bool { return p.Name == name })
		bound := slices.ContainsFunc(f.PolicyBindings, func(b admissionregistrationv1.ValidatingAdmissionPolicyBinding) bool {
			return b.Spec.PolicyName == name && slices.Contains(b.Spec.ValidationActions, admissionregistrationv1.Deny)
		})
		if !policy || !bound {
			all = append(all, Finding{Wrong, "ValidatingAdmissionPolicy " + name, "is missing, or bound without Deny: without the webhook nothing holds the ceilings", "let cmd/webhook write it, which needs the rights of manifests/rbac/webhook.yaml"})
		}
	}
	return all
}

// priority looks for a priority level of our own, which our own calls get: R17.
func priority(f Facts) []Finding {
	const schema, queues, apply = "FlowSchema forewarm-webhook", ": what admission waits for queues behind other service accounts' requests", "apply manifests/flowcontrol/webhook.yaml"
	if len(ownEntries(f)) == 0 {
		return nil
	}
	i := slices.IndexFunc(f.FlowSchemas, func(s flowcontrolv1.FlowSchema) bool { return s.Name == "forewarm-webhook" })
	if i < 0 {
		return []Finding{{Doubtful, schema, "does not exist" + queues, apply}}
	}
	own := &f.FlowSchemas[i]
	if slices.ContainsFunc(own.Status.Conditions, func(c flowcontrolv1.FlowSchemaCondition) bool {
		return c.Type == flowcontrolv1.FlowSchemaConditionDangling && c.Status == flowcontrolv1.ConditionTrue
	}) {
		return []Finding{{Doubtful, schema, "names a PriorityLevelConfiguration that does not exist, " + own.Spec.PriorityLevelConfiguration.Name + queues, apply}}
	}
	for i := range f.OwnPods {
		pod := &f.OwnPods[i]
		if account := pod.Spec.ServiceAccountName; strings.Contains(pod.Name, "webhook") && account != "" {
			return itsLevel(f, own, pod.Namespace, account, queues)
		}
	}
	return nil
}

// itsLevel judges whether what a ServiceAccount asks for gets the priority level of a FlowSchema.
func itsLevel(f Facts, own *flowcontrolv1.FlowSchema, namespace, account, queues string) []Finding {
	if !forAccount(own, namespace, account) {
		return []Finding{{Doubtful, "FlowSchema " + own.Name + ", rules", "are not for ServiceAccount " + namespace + "/" + account + ", by which the webhook acts" + queues, "name it among the subjects"}}
	}
	for i := range f.FlowSchemas {
		if s := &f.FlowSchemas[i]; s.Spec.MatchingPrecedence < own.Spec.MatchingPrecedence && forAccount(s, namespace, account) {
			return []Finding{{Doubtful, "FlowSchema " + s.Name, fmt.Sprintf("comes before %s (matchingPrecedence %d, below %d) and takes the webhook's calls%s", own.Name, s.Spec.MatchingPrecedence, own.Spec.MatchingPrecedence, queues), "raise its matchingPrecedence, or leave the webhook's ServiceAccount out of it"}}
		}
	}
	return nil
}

// forAccount tells whether a FlowSchema is for all that a ServiceAccount asks for.
func forAccount(s *flowcontrolv1.FlowSchema, namespace, account string) bool {
	return slices.ContainsFunc(s.Spec.Rules, func(r flowcontrolv1.PolicyRulesWithSubjects) bool {
		every := slices.ContainsFunc(r.ResourceRules, func(r flowcontrolv1.ResourcePolicyRule) bool {
			return slices.Contains(r.Verbs, flowcontrolv1.VerbAll) && slices.Contains(r.Resources, flowcontrolv1.ResourceAll)
		})
		return every && slices.ContainsFunc(r.Subjects, func(s flowcontrolv1.Subject) bool {
			return s.ServiceAccount != nil && s.ServiceAccount.Namespace == namespace && (s.ServiceAccount.Name == account || s.ServiceAccount.Name == flowcontrolv1.NameAll)
		})
	})
}

// callers judges who may ask for reviews: R10.
func callers(f Facts) []Finding {
	if !f.AnyCaller {
		return nil
	}
	return []Finding{{Doubtful, "configuration, webhook.clientCA", "is not set: whoever reaches the webhook may ask it for reviews", "set it, as docs/certificates.md says, or close the port by a NetworkPolicy to all but API servers"}}
}

// replicas judges how the webhook runs, by its pods: R5, R6 and R14. One that runs outside the
// cluster has none.
func replicas(f Facts) []Finding {
	var pods []*corev1.Pod
	nodes := map[string]bool{}
	for i := range f.OwnPods {
		if pod := &f.OwnPods[i]; strings.Contains(pod.Name, "webhook") && pod.DeletionTimestamp == nil {
			pods = append(pods, pod)
			nodes[pod.Spec.NodeName] = true
		}
	}
	var all []Finding
	switch {
	case len(pods) == 0 && slices.ContainsFunc(ownEntries(f), func(e entry) bool { return e.inside }):
		all = append(all, Finding{Wrong, "pods of the webhook", "there are none, and API servers are told to ask it in the cluster: growth under a total is refused", "see why its Deployment makes none; forewarmctl disarm takes it out of admission"})
	case len(pods) == 1:
		all = append(all, Finding{Doubtful, "pod " + name(pods[0]), "is the only replica of the webhook: while it restarts, growth under a total is refused", "run two or three"})
	case len(pods) > 1 && len(nodes) == 1:
		all = append(all, Finding{Doubtful, fmt.Sprintf("%d replicas of the webhook", len(pods)), "are all on one node", "spread them with topologySpreadConstraints over kubernetes.io/hostname"})
	}
	for _, pod := range pods {
		all = append(all, replica(f, pod)...)
	}
	return all
}

func replica(f Facts, pod *corev1.Pod) []Finding {
	where := "pod " + name(pod)
	var all []Finding
	if i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady }); i >= 0 && pod.Status.Conditions[i].Status != corev1.ConditionTrue {
		all = append(all, Finding{Doubtful, where, "is not ready: no review is sent to it", "see its /readyz and its log, which say what it waits for"})
	}
	if !strings.HasPrefix(pod.Spec.PriorityClassName, "system-") {
		all = append(all, Finding{Doubtful, where + ", priorityClassName", fmt.Sprintf("is %q: other pods may preempt the webhook", pod.Spec.PriorityClassName), "set system-cluster-critical"})
	}
	if grace := pod.Spec.TerminationGracePeriodSeconds; grace != nil && *grace <= int64(f.DrainSeconds) {
		all = append(all, Finding{Wrong, where + ", terminationGracePeriodSeconds", fmt.Sprintf("is %d and webhook.drainSeconds %d: it is killed while reviews still come", *grace, f.DrainSeconds), "make it ten seconds more than drainSeconds"})
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; loose(c.SecurityContext) {
			all = append(all, Finding{Doubtful, where + ", container " + c.Name + ", securityContext", "lets the container write its file system or gain privileges", "set readOnlyRootFilesystem: true and allowPrivilegeEscalation: false"})
		}
	}
	return all
}

func loose(c *corev1.SecurityContext) bool {
	return c == nil || c.ReadOnlyRootFilesystem == nil || !*c.ReadOnlyRootFilesystem || c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation
}

func name(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

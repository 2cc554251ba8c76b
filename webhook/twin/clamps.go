package twin

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// Clamps are the mutating policies, which an API server has from Kubernetes 1.36 on: what an
// autoscaler writes to a /scale comes down to the ceiling, or to what there is. They carry the
// names of the validating ones that would else refuse it.
func Clamps(o Options) []admissionregistrationv1.MutatingAdmissionPolicy {
	plain, sets := o.clamp(Plain, false), o.clamp(Sets, true)
	sets.Spec.ParamKind = paramKind()
	return []admissionregistrationv1.MutatingAdmissionPolicy{plain, sets}
}

func (o Options) clamp(name string, sets bool) admissionregistrationv1.MutatingAdmissionPolicy {
	return admissionregistrationv1.MutatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingAdmissionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ResourceRules: rules{scales()}, NamespaceSelector: o.namespaces(), ObjectSelector: &metav1.LabelSelector{}, MatchPolicy: ptr.To(admissionregistrationv1.Equivalent),
			},
			// What is not clamped is refused by the policy of the same name.
			FailurePolicy:      ptr.To(admissionregistrationv1.Ignore),
			ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
			MatchConditions: []admissionregistrationv1.MatchCondition{
				{Name: "autoscaler", Expression: `request.userInfo.username in ` + texts(o.Autoscalers)},
				o.ofReplicas(),
			},
			Variables: append(o.limits(sets),
				admissionregistrationv1.Variable{Name: "asked", Expression: `object.?spec.?replicas.orValue(0)`},
				admissionregistrationv1.Variable{Name: "before", Expression: `oldObject.?spec.?replicas.orValue(0)`},
				admissionregistrationv1.Variable{Name: "allowed", Expression: `[int(variables.lowest), int(variables.override), int(variables.before)].max()`},
			),
			// The annotation tells the webhook, if one answers, to warn and to write the audit log; the
			// API server keeps only the replicas of a Scale.
			Mutations: []admissionregistrationv1.Mutation{{
				PatchType: admissionregistrationv1.PatchTypeJSONPatch,
				JSONPatch: &admissionregistrationv1.JSONPatch{Expression: `variables.lowest < 0 || variables.asked <= variables.allowed || ` + relaxed + ` ? [] : [` +
					`JSONPatch{op: 'add', path: '/metadata/annotations', value: {'` + webhook.ClampedFrom + `': string(variables.asked)}}, ` +
					`JSONPatch{op: 'add', path: '/spec/replicas', value: variables.allowed}]`},
			}},
		},
	}
}

// ClampBindings bind each mutating policy, as Bindings do the validating one of its name.
func ClampBindings() []admissionregistrationv1.MutatingAdmissionPolicyBinding {
	plain, sets := clampBinding(Plain, metav1.LabelSelectorOpDoesNotExist), clampBinding(Sets, metav1.LabelSelectorOpExists)
	sets.Spec.ParamRef = &admissionregistrationv1.ParamRef{Name: v1alpha1.CeilingSetName, ParameterNotFoundAction: ptr.To(admissionregistrationv1.AllowAction)}
	return []admissionregistrationv1.MutatingAdmissionPolicyBinding{plain, sets}
}

func clampBinding(name string, operator metav1.LabelSelectorOperator) admissionregistrationv1.MutatingAdmissionPolicyBinding {
	return admissionregistrationv1.MutatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingAdmissionPolicyBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: name, MatchResources: labelled(v1alpha1.LabelCeilings, operator)},
	}
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook/registration"
	"forewarm.dev/webhook/twin"
)

// Names of the arms.
const (
	baseline = "baseline"
	again    = "A/A" // the baseline a second time: what differs between them is noise
	noop     = "noop"
	typed    = "typed"
	policy   = "vap"
	forewarm = "forewarm"
	// withTwin is Forewarm as it is installed: its webhook, and its policies that hold while no
	// webhook answers. Without them, what it does is what the no-op does.
	withTwin = "forewarm+twin"
)

// subject is an arm at the bare HTTPS port: a webhook, and what it is asked.
type subject struct {
	name  string
	asked writeName
	hook  *hook
	path  string
	// want stands in every right answer.
	want string
}

// subjects are the arms at the bare port. One more is one line more.
func (b *bench) subjects() []subject {
	return append([]subject{
		{noop, update, b.hooks[noop], "/review", allowed},
		{typed, update, b.hooks[typed], "/review", allowed},
		{forewarm, update, b.hooks[forewarm], registration.CeilingsPath, allowed},
		{noop, scale, b.hooks[noop], "/review", allowed},
		{forewarm, scale, b.hooks[forewarm], registration.CeilingsPath, allowed},
		{noop, pod, b.hooks[noop], "/review", allowed},
		{forewarm, pod, b.hooks[forewarm], registration.PodsPath, `"patchType":"JSONPatch"`},
	}, b.peers()...)
}

const allowed = `"allowed":true`

// arm is one way to set up admission at the API server, for one write.
type arm struct {
	name  string
	write write
	// objects exist while the arm is measured, and only then.
	objects []client.Object
	// hook is asked once per write, or reviews times where that is set; nil where no webhook is.
	hook    *hook
	reviews float64
	// effective says whether the API server has taken policies up; nil where there are none.
	effective func(context.Context) (bool, error)
}

// arms are those at the API server. The first of each write is its baseline. One more is one
// line more.
func (b *bench) arms() []arm {
	onUpdate, onPod := writes[0], writes[2]
	noopURL, typedURL := b.hooks[noop].url+"/review", b.hooks[typed].url+"/review"
	return slices.Concat([]arm{
		{name: baseline, write: onUpdate},
		{name: again, write: onUpdate},
		{name: noop, write: onUpdate, hook: b.hooks[noop], objects: []client.Object{b.validating("bench-noop", noopURL, onUpdate.rule)}},
		{name: typed, write: onUpdate, hook: b.hooks[typed], objects: []client.Object{b.validating("bench-typed", typedURL, onUpdate.rule)}},
		{name: policy, write: onUpdate, objects: ceilingPolicy(), effective: b.refusedSaying("ValidatingAdmissionPolicy 'bench-ceiling'")},
		{name: forewarm, write: onUpdate, hook: b.hooks[forewarm], objects: b.registeredBy(true)},
		{name: withTwin, write: onUpdate, hook: b.hooks[forewarm], objects: b.registeredBy(false), effective: b.refusedSaying("ValidatingAdmissionPolicy '" + twin.Sets + "'")},
		{name: baseline, write: edited},
		{name: noop, write: edited, hook: b.hooks[noop], objects: []client.Object{b.validating("bench-noop", noopURL, edited.rule)}},
		{name: forewarm, write: edited, objects: b.registeredBy(true), effective: b.refusedSaying("workloads.ceilings.forewarm.dev")},
		{name: baseline, write: onPod},
		{name: noop, write: onPod, hook: b.hooks[noop], objects: []client.Object{b.mutating("bench-noop", noopURL, onPod.rule)}},
		{name: forewarm, write: onPod, hook: b.hooks[forewarm], objects: b.registeredBy(true)},
	}, b.totalArms(), b.peerArms())
}

// validating is a configuration of one entry, as most are written.
func (b *bench) validating(name, url string, rule admissionregistrationv1.RuleWithOperations) client.Object {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "bench.example.com", Rules: []admissionregistrationv1.RuleWithOperations{rule},
			ClientConfig:  admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: b.identity.bundle},
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"}, TimeoutSeconds: ptr.To[int32](2),
		}},
	}
}

// mutating is the same for a webhook that may change objects.
func (b *bench) mutating(name, url string, rule admissionregistrationv1.RuleWithOperations) client.Object {
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "bench.example.com", Rules: []admissionregistrationv1.RuleWithOperations{rule},
			ClientConfig:  admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: b.identity.bundle},
			FailurePolicy: ptr.To(admissionregistrationv1.Fail), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"}, TimeoutSeconds: ptr.To[int32](2),
		}},
	}
}

// ceilingPolicy is the in-tree way to the same rule: the smaller of the annotations of the
// Namespace and of the Deployment, with what is there already let through.
func ceilingPolicy() []client.Object {
	within := func(object string) string {
		const key = `'forewarm.dev/max-replicas'`
		annotations := object + `.metadata.annotations`
		return fmt.Sprintf(`!has(%[1]s) || !(%[2]s in %[1]s) || object.spec.replicas <= int(%[1]s[%[2]s])`, annotations, key)
	}
	rules := &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: writes[0].rule}}}
	return []client.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "bench-ceiling"},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
				FailurePolicy: ptr.To(admissionregistrationv1.Fail), MatchConstraints: rules,
				Validations: []admissionregistrationv1.Validation{{
					Expression: `object.spec.replicas <= oldObject.spec.replicas || (` + within("namespaceObject") + `) && (` + within("object") + `)`,
					Message:    "above the ceiling",
				}},
			},
		},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "bench-ceiling"},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: "bench-ceiling", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			},
		},
	}
}

// refusedSaying asks whether a growth above the ceiling is refused with that text.
func (b *bench) refusedSaying(text string) func(context.Context) (bool, error) {
	above := writes[0]
	above.body = grow(tooMany)
	return b.refused(above, text)
}

// refused asks whether a write is refused with a text.
func (b *bench) refused(w write, text string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		_, answer, err := b.send(ctx, w)
		return bytes.Contains(answer, []byte(text)), err
	}
}

package twin

import (
	"context"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// may is what a user may do in Namespace team, as a verb and a resource of ours.
type may map[string]string

func (m may) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetAPIGroup() == v1alpha1.GroupVersion.Group && a.GetNamespace() == "team" && m[a.GetUser().GetName()] == a.GetVerb()+" "+a.GetResource() {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// TestNamespacesKeepOurLabels: the labels that bring a Namespace under a total or to its CeilingSet are ours to change,
// and theirs who may set ceilings, also together with a status.
func TestNamespacesKeepOurLabels(t *testing.T) {
	policies := Policies(Options{Kinds: table()})
	at := slices.IndexFunc(policies, func(p admissionregistrationv1.ValidatingAdmissionPolicy) bool { return p.Name == Access })
	compiled := compile(t, policies[at])
	object := func(labels map[string]any) map[string]any {
		metadata := map[string]any{"name": "team"}
		if labels != nil {
			metadata["labels"] = labels
		}
		return map[string]any{"metadata": metadata}
	}
	label := func(key, value string) map[string]any { return object(map[string]any{key: value, "a": "b"}) }
	totals, ceilings := label(v1alpha1.LabelTotals, "true"), label(v1alpha1.LabelCeilings, "true")
	const ours = "system:serviceaccount:forewarm-system:forewarm-webhook"
	users := may{ours: "delete ceilingsets", "lead": string(webhook.Set) + " ceilings", "overruler": string(webhook.Overrule) + " ceilings", "reader": "get ceilingsets"}
	cases := map[string]struct {
		user    string
		was, is map[string]any
		refused bool
	}{
		"the total's is removed":        {"tenant", totals, object(nil), true},
		"the total's is changed":        {"tenant", totals, label(v1alpha1.LabelTotals, "told"), true},
		"the ceilings' is removed":      {"tenant", ceilings, label("c", "d"), true},
		"one is added":                  {"tenant", object(nil), totals, true},
		"by a reader of ours":           {"reader", totals, object(nil), true},
		"by one who may overrule":       {"overruler", totals, object(nil), true},
		"by a ServiceAccount elsewhere": {"system:serviceaccount:mine:ci", totals, object(nil), true},
		"another label":                 {"tenant", totals, object(map[string]any{v1alpha1.LabelTotals: "true", "a": "c"}), false},
		"by us":                         {ours, totals, object(nil), false},
		"by one who may set ceilings":   {"lead", ceilings, object(nil), false},
		"a Namespace that is made anew": {"tenant", nil, totals, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, subresource := range []string{"", "status", "finalize"} {
				operation := admission.Update
				if c.was == nil {
					operation = admission.Create
				}
				allowed, message := compiled.allows(t, input{
					operation: operation, resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, subresource: subresource,
					name: "team", user: c.user, object: c.is, old: c.was, namespace: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, may: users,
				})
				if allowed == c.refused || c.refused && !strings.Contains(message, "Namespace team: the labels forewarm.dev/ceilings and forewarm.dev/totals are written by Forewarm alone") {
					t.Errorf("subresource %q: allowed %t, %s", subresource, allowed, message)
				}
			}
		})
	}
}

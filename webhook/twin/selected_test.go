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

	"forewarm.dev/webhook"
)

// operators may update the finalizers of Deployment web.
type operators struct{ t *testing.T }

func (o operators) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	got := strings.Join([]string{a.GetVerb(), a.GetAPIGroup(), a.GetResource(), a.GetSubresource(), a.GetNamespace(), a.GetName()}, " ")
	if want := "update apps deployments finalizers team web"; got != want {
		o.t.Errorf("asked about %q, want %q", got, want)
	}
	switch a.GetUser().GetName() {
	case "system:serviceaccount:argo-rollouts:argo-rollouts", "system:serviceaccount:team:operator":
		return authorizer.DecisionAllow, "", nil
	default:
		return authorizer.DecisionNoOpinion, "", nil
	}
}

// TestLabelsAreKept: under a total nobody but a controller changes the labels of what is controlled, nor
// takes it from its controller, also not together with a status.
func TestLabelsAreKept(t *testing.T) {
	policies := Policies(Options{Kinds: table()})
	at := slices.IndexFunc(policies, func(p admissionregistrationv1.ValidatingAdmissionPolicy) bool { return p.Name == Selected })
	compiled := compile(t, policies[at])
	if got := policies[at].Spec.MatchConstraints.ResourceRules[0].Resources; !slices.Equal(got, []string{"replicasets", "replicasets/status"}) {
		t.Errorf("asked about %v", got)
	}
	object := func(labels map[string]any, controller string, others ...any) map[string]any {
		metadata := map[string]any{"name": "web-1"}
		if labels != nil {
			metadata["labels"] = labels
		}
		if controller != "" {
			others = append(others, map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": controller, "controller": true})
		}
		if others != nil {
			metadata["ownerReferences"] = others
		}
		return map[string]any{"metadata": metadata, "spec": map[string]any{"replicas": int64(7)}}
	}
	web, db := map[string]any{"app": "web"}, map[string]any{"app": "db"}
	both := map[string]any{"app": "web", "canary": "yes"}
	const deployments = "system:serviceaccount:kube-system:deployment-controller"
	cases := map[string]struct {
		user, mode string
		was, is    map[string]any
		refused    bool
	}{
		"another label":                         {"alice", "", object(web, "u1"), object(db, "u1"), true},
		"one more, which a selector may forbid": {"alice", "", object(web, "u1"), object(both, "u1"), true},
		"none any more":                         {"alice", "", object(web, "u1"), object(nil, "u1"), true},
		"no controller any more":                {"alice", "", object(web, "u1"), object(web, ""), true},
		"another controller":                    {"alice", "", object(web, "u1"), object(web, "u2"), true},
		"by a ServiceAccount of the namespace":  {"system:serviceaccount:team:ci", "", object(web, "u1"), object(db, "u1"), true},
		"under another mode":                    {"alice", "enforce", object(web, "u1"), object(db, "u1"), true},
		"the same":                              {"alice", "", object(web, "u1"), object(web, "u1"), false},
		"another owner":                         {"alice", "", object(web, "u1"), object(web, "u1", map[string]any{"kind": "App", "name": "x", "uid": "u3"}), false},
		"without a controller":                  {"alice", "", object(web, ""), object(db, ""), false},
		"an owner that is no controller":        {"alice", "", object(web, "", map[string]any{"kind": "App", "name": "x", "uid": "u3"}), object(db, ""), false},
		"by its controller":                     {deployments, "", object(web, "u1"), object(web, ""), false},
		"by the controller manager":             {"system:kube-controller-manager", "", object(web, "u1"), object(web, ""), false},
		"by an operator elsewhere":              {"system:serviceaccount:argo-rollouts:argo-rollouts", "", object(web, "u1"), object(db, "u1"), false},
		"by an operator of the namespace":       {"system:serviceaccount:team:operator", "", object(web, "u1"), object(db, "u1"), false},
		"by a ServiceAccount elsewhere":         {"system:serviceaccount:mine:ci", "", object(web, "u1"), object(db, "u1"), true},
		"where it is only warned":               {"alice", "warn", object(web, "u1"), object(db, "u1"), false},
		"where it is only audited":              {"alice", "audit", object(web, "u1"), object(db, "u1"), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
			if c.mode != "" {
				namespace.Annotations = map[string]string{webhook.CeilingMode: c.mode}
			}
			for _, subresource := range []string{"", "status"} {
				allowed, message := compiled.allows(t, input{
					operation: admission.Update, resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, subresource: subresource,
					name: "web-1", user: c.user, object: c.is, old: c.was, namespace: namespace, may: operators{t},
				})
				if allowed == c.refused || c.refused && !strings.Contains(message, "ReplicaSet team/web-1: its controller finds it by its labels") {
					t.Errorf("subresource %q: allowed %t, %s", subresource, allowed, message)
				}
			}
		})
	}
}

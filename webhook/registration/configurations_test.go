package registration

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/config"
	"forewarm.dev/webhook"
)

var update = flag.Bool("update", false, "rewrite manifests/webhook/configurations.yaml")

const head = `# What cmd/webhook writes at start, with the CA bundle that is missing here. For reading and
# review: do not apply it. Written by go test ./webhook/registration -update.
`

func defaultTarget() Target {
	settings := config.Default().Webhook
	return Target{Service: settings.Service, Namespace: settings.Namespace, Kinds: webhook.Kinds(), Autoscalers: settings.Autoscalers}
}

// TestManifest keeps the file for people equal to what the code writes.
func TestManifest(t *testing.T) {
	want := []byte(head)
	for _, o := range []any{Validating(defaultTarget(), nil), Mutating(defaultTarget(), nil)} {
		document, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		want = append(append(want, "---\n"...), document...)
	}
	path := filepath.Join("..", "..", "manifests", "webhook", "configurations.yaml")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run with -update:\n%s", diff)
	}
}

// TestNoOutage holds every entry to what keeps a dead webhook harmless.
func TestNoOutage(t *testing.T) {
	target := Target{URL: "https://127.0.0.1:9443", Namespace: "elsewhere", Kinds: webhook.Kinds()}
	hooks := map[string]admissionregistrationv1.ValidatingWebhook{}
	for _, h := range Validating(target, nil).Webhooks {
		hooks[h.Name] = h
	}
	for _, h := range Mutating(target, nil).Webhooks {
		hooks[h.Name] = admissionregistrationv1.ValidatingWebhook{
			Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy, NamespaceSelector: h.NamespaceSelector,
			ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects, TimeoutSeconds: h.TimeoutSeconds, MatchConditions: h.MatchConditions,
		}
	}
	for kind, o := range map[string]metav1.Object{"Validating": Validating(target, nil), "Mutating": Mutating(target, nil)} {
		if o.GetAnnotations()["admissions.enforcer/disabled"] != "true" {
			t.Errorf("AKS is not told to leave the selectors of the %sWebhookConfiguration alone: %v", kind, o.GetAnnotations())
		}
	}
	if len(hooks) != 13 {
		t.Fatalf("%d entries, want 13", len(hooks))
	}
	for name, h := range hooks {
		enforced, told, node := name == "totals.ceilings.forewarm.dev", name == "told.totals.ceilings.forewarm.dev", name == "nodeclaims.ceilings.forewarm.dev"
		rollouts := name == "rollouts.totals.ceilings.forewarm.dev"
		total := enforced || told || rollouts
		if enforced != (*h.FailurePolicy == admissionregistrationv1.Fail) || (total || node) != (*h.SideEffects == admissionregistrationv1.SideEffectClassNoneOnDryRun) ||
			*h.TimeoutSeconds != 2 || *h.MatchPolicy != admissionregistrationv1.Equivalent || h.ObjectSelector == nil || len(h.ObjectSelector.MatchLabels)+len(h.ObjectSelector.MatchExpressions) > 0 || (len(h.MatchConditions) == 0) != node || h.ClientConfig.URL == nil {
			t.Errorf("%s: %+v", name, h)
		}
		for _, rule := range h.Rules {
			if slices.Contains(rule.Operations, admissionregistrationv1.Delete) || slices.ContainsFunc(rule.Resources, func(r string) bool { return r == "*" || r == "*/*" || r == "nodes" }) {
				t.Errorf("%s: rule %+v", name, rule)
			}
		}
		if name == "namespaces.ceilings.forewarm.dev" || node {
			if h.NamespaceSelector == nil || len(h.NamespaceSelector.MatchExpressions) > 0 {
				t.Errorf("%s does not see every Namespace: %+v", name, h.NamespaceSelector)
			}
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(h.NamespaceSelector)
		if err != nil {
			t.Fatal(err)
		}
		for namespace, want := range map[string]bool{
			"team": true, "kube-system": false, "kube-public": false, "kube-node-lease": false, "elsewhere": false, v1alpha1.PlaceholderNamespace: false,
		} {
			if got := selector.Matches(labels.Set{corev1.LabelMetadataName: namespace}); got != (want && !total) {
				t.Errorf("%s matches Namespace %s: %t, want %t", name, namespace, got, want && !total)
			}
			for value, asked := range map[string]bool{v1alpha1.TotalsEnforced: !told, v1alpha1.TotalsTold: !enforced && !rollouts} {
				if got := selector.Matches(labels.Set{corev1.LabelMetadataName: namespace, v1alpha1.LabelTotals: value}); got != (want && asked) {
					t.Errorf("%s matches Namespace %s with totals %s: %t, want %t", name, namespace, value, got, want && asked)
				}
			}
		}
	}
}

package ledger

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
)

// TestModesOfTotals: only a total that refuses has the API server refuse growth while no webhook answers, and
// its label follows the mode.
func TestModesOfTotals(t *testing.T) {
	for name, c := range map[string]struct {
		mode   string // empty for none
		before string // the label; empty for none
		want   string
	}{
		"a new total":                  {"", "", "true"},
		"enforced":                     {"enforce", "true", "true"},
		"a new total that is told":     {"warn", "", "told"},
		"one that is told from now on": {"audit", "true", "told"},
		"one that refuses from now on": {"enforce", "told", "true"},
		"a mode that cannot be read":   {"sometimes", "told", "true"},
		"a label by somebody":          {"", "no", "true"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", Annotations: map[string]string{webhook.MaxTotalReplicas: "10"}}}
			if c.mode != "" {
				namespace.Annotations[webhook.CeilingMode] = c.mode
			}
			if c.before != "" {
				namespace.Labels = map[string]string{v1alpha1.LabelTotals: c.before}
			}
			api := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(namespace).Build()
			term := newTerm(KeeperOptions{Client: api}, nil)
			defer term.queue.ShutDown()
			carrier := &metav1.PartialObjectMetadata{ObjectMeta: namespace.ObjectMeta}
			carrier.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: Namespace})
			if err := term.label(t.Context(), carrier, reviewed(carrier)); err != nil {
				t.Fatal(err)
			}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace); err != nil {
				t.Fatal(err)
			}
			if got := namespace.Labels[v1alpha1.LabelTotals]; got != c.want {
				t.Errorf("the label is %q, want %q", got, c.want)
			}
		})
	}
}

package chart

import (
	"fmt"
	"strings"
	"testing"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/test/cluster"
)

// TestInstall installs the chart on a real API server, and looks at what comes of it.
func TestInstall(t *testing.T) {
	e := newEnv(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *env)
	}{
		{"the API server takes every object", takesAll},
		{"helm installs, and pods are as Pod Security restricted wants them", installs},
		{"replicas are on different nodes and in different zones", spread},
		{"the extender runs beside the schedulers", besideSchedulers},
		{"nothing preempts our pods", critical},
		{"helm upgrades, CRDs too", upgrades},
		{"people see in the console what they may", shows},
		{"an eviction beyond the budget is refused", evictions},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e) })
	}
}

// takesAll: a dry run of what is rendered, with every choice, is accepted by the API server with all its
// validation. Those of cert-manager and of the Prometheus Operator need their CRDs.
func takesAll(t *testing.T, e *env) {
	placeholders := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "forewarm-placeholders"}}
	if err := e.Client.Create(t.Context(), placeholders); err != nil {
		t.Fatal(err)
	}
	for name, values := range choices {
		r, err := Render(t.Context(), folder, Namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range append(objects(t, []byte(r.Manifest)), objects(t, []byte(r.Hooks))...) {
			if strings.HasPrefix(o.GetAPIVersion(), "cert-manager.io/") || strings.HasPrefix(o.GetAPIVersion(), "monitoring.coreos.com/") {
				continue
			}
			err := e.Client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("dry"), client.ForceOwnership, client.DryRunAll)
			if err != nil {
				t.Errorf("%s: %s: %v", name, key(o), err)
			}
		}
	}
	if err := e.Client.Delete(t.Context(), placeholders); err != nil {
		t.Fatal(err)
	}
	e.gone(t, placeholders.Name)
}

// installs: all replicas come up in a namespace that enforces restricted, in which the extender's pod, for the
// sake of its network, would not.
func installs(t *testing.T, e *env) {
	e.install(t, older(t))
	for _, name := range []string{"forewarm-webhook", "forewarm-reserver"} {
		e.available(t, name, 2)
	}
	daemons := &appsv1.DaemonSet{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "forewarm-extender"}, daemons); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "no"}, Spec: daemons.Spec.Template.Spec}
	pod.Spec.ServiceAccountName = "default"
	if err := e.Client.Create(t.Context(), pod, client.DryRunAll); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "hostNetwork") || strings.Contains(err.Error(), "runAsNonRoot") || strings.Contains(err.Error(), "seccomp") || strings.Contains(err.Error(), "capabilities") {
		t.Errorf("%v, want the host's network alone refused", err)
	}
}

// older is the chart as it was before a CRD got its columns.
func older(t *testing.T) *chart.Chart {
	t.Helper()
	before := load(t)
	for _, file := range before.Files {
		if file.Name != "files/crd/forewarm.dev_warmpools.yaml" {
			continue
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(file.Data, crd); err != nil {
			t.Fatal(err)
		}
		if len(crd.Spec.Versions[0].AdditionalPrinterColumns) == 0 {
			t.Fatal("the CRD has no columns to take away")
		}
		crd.Spec.Versions[0].AdditionalPrinterColumns = nil
		var err error
		if file.Data, err = yaml.Marshal(crd); err != nil {
			t.Fatal(err)
		}
	}
	return before
}

// available waits until that many replicas of a Deployment are.
func (e *env) available(t *testing.T, name string, replicas int32) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		d := &appsv1.Deployment{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: Namespace, Name: name}, d); err != nil {
			return err
		}
		if s := d.Status; s.ObservedGeneration != d.Generation || s.UpdatedReplicas != replicas || s.Replicas != replicas || s.AvailableReplicas != replicas {
			return fmt.Errorf("%s: %d of %d replicas available: %v", name, s.AvailableReplicas, replicas, s.Conditions)
		}
		return nil
	})
}

// pods are those of a part that are not going.
func (e *env) pods(t *testing.T, part string) []corev1.Pod {
	t.Helper()
	list := &corev1.PodList{}
	if err := e.Client.List(t.Context(), list, client.MatchingLabels{"app.kubernetes.io/name": "forewarm-" + part}); err != nil {
		t.Fatal(err)
	}
	var stay []corev1.Pod
	for _, p := range list.Items {
		if p.DeletionTimestamp == nil {
			stay = append(stay, p)
		}
	}
	return stay
}

func spread(t *testing.T, e *env) {
	for _, part := range []string{"webhook", "reserver"} {
		nodes, zones := map[string]bool{}, map[string]bool{}
		for _, p := range e.pods(t, part) {
			node := &corev1.Node{}
			if err := e.Client.Get(t.Context(), client.ObjectKey{Name: p.Spec.NodeName}, node); err != nil {
				t.Fatal(err)
			}
			nodes[node.Name], zones[node.Labels[corev1.LabelTopologyZone]] = true, true
		}
		if len(nodes) != 2 || len(zones) != 2 {
			t.Errorf("%s is on nodes %v in zones %v, want two of each", part, nodes, zones)
		}
	}
}

func besideSchedulers(t *testing.T, e *env) {
	cluster.Eventually(t, patience, func() error {
		pods := e.pods(t, "extender")
		if len(pods) != 1 || pods[0].Spec.NodeName != "control-0" || pods[0].Status.Phase != corev1.PodRunning || !pods[0].Spec.HostNetwork {
			return fmt.Errorf("%d pods of the extender, want one on the node of the control plane", len(pods))
		}
		return nil
	})
}

func critical(t *testing.T, e *env) {
	for part, want := range map[string]int32{"webhook": 2_000_000_000, "reserver": 2_000_000_000, "extender": 2_000_001_000} {
		for _, p := range e.pods(t, part) {
			if p.Spec.Priority == nil || *p.Spec.Priority != want {
				t.Errorf("%s has priority %v, want %d", p.Name, p.Spec.Priority, want)
			}
		}
	}
}

// upgrades: a CRD of an older chart gets what it lacks, what changes is rolled out, and the rules that a
// controller of the API server's has aggregated into a ClusterRole of ours are in nobody's way.
func upgrades(t *testing.T, e *env) {
	columns := func() int {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "warmpools.forewarm.dev"}, crd); err != nil {
			t.Fatal(err)
		}
		return len(crd.Spec.Versions[0].AdditionalPrinterColumns)
	}
	if n := columns(); n != 0 {
		t.Fatalf("the older CRD has %d columns", n)
	}
	cluster.Eventually(t, patience, func() error {
		role := &rbacv1.ClusterRole{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "forewarm-webhook-parents"}, role); err != nil || len(role.Rules) == 0 {
			return fmt.Errorf("%d rules aggregated, %w", len(role.Rules), err)
		}
		return nil
	})
	e.upgrade(t, "{webhook: {replicas: 3}}")
	if columns() == 0 {
		t.Error("the CRD has not been upgraded")
	}
	e.available(t, "forewarm-webhook", 3)
	e.upgrade(t, "{webhook: {replicas: 2}}")
	e.available(t, "forewarm-webhook", 2)
}

// evictions: with no node for a successor, one pod of each Deployment can be evicted, and no second.
func evictions(t *testing.T, e *env) {
	e.cordon(t, true)
	defer e.cordon(t, false)
	for _, part := range []string{"webhook", "reserver"} {
		pods := e.pods(t, part)
		if len(pods) != 2 {
			t.Fatalf("%d pods of %s, want 2", len(pods), part)
		}
		evict := func(i int) error {
			return e.Client.SubResource("eviction").Create(t.Context(), &pods[i], &policyv1.Eviction{})
		}
		cluster.Eventually(t, patience, func() error { return evict(0) }) // once the budget's controller has counted
		if err := evict(1); !apierrors.IsTooManyRequests(err) || !strings.Contains(err.Error(), "disruption budget") {
			t.Errorf("%s: the second eviction: %v, want it refused for the budget", part, err)
		}
	}
}

// cordon closes or opens all nodes.
func (e *env) cordon(t *testing.T, closed bool) {
	t.Helper()
	nodes := &corev1.NodeList{}
	if err := e.Client.List(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		body := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, closed))
		if err := e.Client.Patch(t.Context(), &nodes.Items[i], body); err != nil {
			t.Fatal(err)
		}
	}
}

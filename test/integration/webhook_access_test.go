package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/doctor"
	"forewarm.dev/test/cluster"
)

// as is a client that acts as somebody else.
func (e *webhookEnv) as(t *testing.T, user string) client.Client {
	t.Helper()
	config := e.RESTConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	config.WarningHandlerWithContext = e.warnings
	c, err := client.New(config, client.Options{Scheme: e.Client.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// grant gives a user rights in a namespace.
func (e *webhookEnv) grant(t *testing.T, namespace, user, role string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := e.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
}

// webhookAccess: a tenant with the role edit tightens, and does not loosen, by any way; an
// admin of ceilings does.
func webhookAccess(t *testing.T, e *webhookEnv) {
	const namespace = "access"
	e.namespace(t, namespace, nil)
	ctx := t.Context()
	e.grant(t, namespace, "tenant", "edit")
	e.grant(t, namespace, "lead", "edit")
	e.grant(t, namespace, "lead", "forewarm-ceilings")
	tenant, lead := e.as(t, "tenant"), e.as(t, "lead")
	o := webhookWorkload("Deployment", namespace, "web", 3, "5")
	cluster.Eventually(t, webhookWait, func() error { return tenant.Create(ctx, o.DeepCopy()) }) // rights are cached
	set := func(c client.Client, annotation string, value any) error {
		body := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, annotation, webhookJSON(value))
		return c.Patch(ctx, o.DeepCopy(), client.RawPatch("application/merge-patch+json", body))
	}
	if err := set(tenant, v1alpha1.AnnotationMaxReplicas, "4"); err != nil {
		t.Errorf("tighten: %v", err)
	}
	loosen := map[string]func(client.Client) error{
		"raise":    func(c client.Client) error { return set(c, v1alpha1.AnnotationMaxReplicas, "6") },
		"remove":   func(c client.Client) error { return set(c, v1alpha1.AnnotationMaxReplicas, nil) },
		"override": func(c client.Client) error { return set(c, "forewarm.dev/ceiling-override", until(time.Hour)) },
		"raise with the status": func(c client.Client) error {
			body := []byte(`{"metadata":{"annotations":{"forewarm.dev/max-replicas":"7"}}}`)
			return c.Status().Patch(ctx, o.DeepCopy(), client.RawPatch("application/merge-patch+json", body))
		},
	}
	for name, write := range loosen {
		if name == "raise with the status" { // edit does not have it; an admin of the namespace could
			continue
		}
		if err := webhookDenied(write(tenant), "ceilings.forewarm.dev"); err != nil {
			t.Errorf("%s as tenant: %v", name, err)
		}
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "subresources"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments/status"}, Verbs: []string{"patch"}},
		{APIGroups: []string{""}, Resources: []string{"namespaces/finalize"}, Verbs: []string{"update"}},
	}}
	if err := e.Client.Create(ctx, role); err != nil {
		t.Fatal(err)
	}
	e.grant(t, namespace, "tenant", role.Name)
	cluster.Eventually(t, webhookWait, func() error {
		return webhookDenied(loosen["raise with the status"](tenant), "ceilings.forewarm.dev")
	})
	finalize := func(value string) error {
		o := &corev1.Namespace{}
		if err := e.Client.Get(ctx, client.ObjectKey{Name: namespace}, o); err != nil {
			return err
		}
		o.Annotations = map[string]string{v1alpha1.AnnotationMaxReplicas: value}
		return tenant.SubResource("finalize").Update(ctx, o)
	}
	if err := finalize("9"); err != nil {
		t.Errorf("set a first ceiling with the finalizers of the Namespace: %v", err)
	}
	cluster.Eventually(t, webhookWait, func() error { return webhookDenied(finalize("10"), "ceilings.forewarm.dev") })
	if err := webhookDenied(webhookScale(ctx, tenant, o, 8), "at most 4"); err != nil {
		t.Errorf("scale as tenant: %v", err)
	}
	cluster.Eventually(t, webhookWait, func() error { return loosen["raise"](lead) })
	cluster.Eventually(t, twinWait, func() error { return webhookScale(ctx, tenant, o, 6) })
	if err := webhookDenied(webhookScale(ctx, tenant, o, 8), "at most 6"); err != nil {
		t.Errorf("scale above what it was raised to: %v", err)
	}
	if err := loosen["override"](lead); err != nil {
		t.Errorf("override as lead: %v", err)
	}
	cluster.Eventually(t, twinWait, func() error { return webhookScale(ctx, tenant, o, 8) })
	if err := webhookDenied(webhookScale(ctx, tenant, o, 10), "at most 6"); err != nil {
		t.Errorf("scale beyond the override: %v", err)
	}
	if err := set(lead, "forewarm.dev/ceiling-override", until(-time.Hour)); err != nil {
		t.Errorf("end the override: %v", err)
	}
	if err := webhookDenied(webhookScale(ctx, tenant, o, 9), "at most 6"); err != nil { // by the webhook at once
		t.Errorf("scale after the override: %v", err)
	}
}

// until is an override to 9 that ends in some time.
func until(d time.Duration) string {
	return "9 until " + time.Now().Add(d).UTC().Format(time.RFC3339) + ": load test"
}

func webhookJSON(value any) string {
	if value == nil {
		return "null"
	}
	return fmt.Sprintf("%q", value)
}

// webhookNamespaceSays: a Namespace may name workloads with a ceiling each, and be warned or
// audited instead of held.
func webhookNamespaceSays(t *testing.T, e *webhookEnv) {
	const namespace = "says"
	e.namespace(t, namespace, map[string]string{"forewarm.dev/workload-max-replicas": "deployment/web=2, statefulset/web=3"})
	ctx := t.Context()
	for kind, limit := range map[string]int64{"Deployment": 2, "StatefulSet": 3} {
		if err := webhookDenied(e.Client.Create(ctx, webhookWorkload(kind, namespace, "web", limit+1, "")), fmt.Sprintf("at most %d", limit), "workload-max-replicas"); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := e.Client.Create(ctx, webhookWorkload(kind, namespace, "other", limit+1, "")); err != nil {
			t.Errorf("%s that is not named: %v", kind, err)
		}
		o := webhookWorkload(kind, namespace, "web", limit, "")
		if err := e.Client.Create(ctx, o); err != nil {
			t.Errorf("%s, within: %v", kind, err)
		}
		if err := webhookDenied(webhookScale(ctx, e.Client, o, limit+1)); err != nil {
			t.Errorf("%s, scale: %v", kind, err)
		}
	}
	for mode, wantWarning := range map[string]bool{"warn": true, "audit": false} {
		e.namespace(t, mode, map[string]string{v1alpha1.AnnotationMaxReplicas: "2", "forewarm.dev/ceiling-mode": mode})
		e.warnings.take()
		if err := e.Client.Create(ctx, webhookWorkload("Deployment", mode, "web", 3, "")); err != nil {
			t.Errorf("mode %s: %v", mode, err)
		}
		if warned := strings.Contains(e.warnings.take(), "at most 2"); warned != wantWarning {
			t.Errorf("mode %s: warned %t, want %t", mode, warned, wantWarning)
		}
		if hpa := e.applied(t, mode); hpa.Spec.MaxReplicas != 9 {
			t.Errorf("mode %s: maxReplicas %d, want it left at 9", mode, hpa.Spec.MaxReplicas)
		}
	}
}

// webhookForgedOwner: a reference to an owner that asks for less, or is none, lifts nothing.
func webhookForgedOwner(t *testing.T, e *webhookEnv) {
	const namespace = "forged"
	e.namespace(t, namespace, map[string]string{v1alpha1.AnnotationMaxReplicas: "4"})
	ctx := t.Context()
	owner := webhookWorkload("Deployment", namespace, "owner", 1, "")
	if err := e.Client.Create(ctx, owner); err != nil {
		t.Fatal(err)
	}
	for name, reference := range map[string]metav1.OwnerReference{
		"a Deployment that asks for less": {APIVersion: "apps/v1", Kind: "Deployment", Name: "owner", UID: owner.GetUID()},
		"a Deployment that is none":       {APIVersion: "apps/v1", Kind: "Deployment", Name: "none", UID: "u"},
		"a ConfigMap":                     {APIVersion: "v1", Kind: "ConfigMap", Name: "kube-root-ca.crt", UID: "u"},
	} {
		rs := webhookWorkload("ReplicaSet", namespace, "forged", 5, "")
		reference.Controller = new(true)
		rs.SetOwnerReferences([]metav1.OwnerReference{reference})
		if err := webhookDenied(e.Client.Create(ctx, rs), "at most 4"); err != nil {
			t.Errorf("owned by %s: %v", name, err)
		}
	}
}

// webhookExplain: forewarmctl says of each number what the API server then does, and lists
// what stands above its ceiling.
func webhookExplain(t *testing.T, e *webhookEnv) {
	const namespace = "explain"
	e.namespace(t, namespace, nil)
	ctx := t.Context()
	big := webhookWorkload("Deployment", namespace, "big", 7, "")
	for _, o := range []*unstructured.Unstructured{big, webhookWorkload("StatefulSet", namespace, "db", 2, "3")} {
		if err := e.Client.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.annotate(ctx, big.DeepCopy(), "5"); err != nil {
		t.Fatal(err)
	}
	run := e.forewarmctl(t)
	for _, resource := range []string{"deploy/big", "StatefulSet.apps/db"} {
		kind, name, _ := strings.Cut(resource, "/")
		o := webhookWorkload(map[string]string{"deploy": "Deployment", "StatefulSet.apps": "StatefulSet"}[kind], namespace, name, 0, "")
		for n := range int64(10) {
			said := run("explain", resource, "-n", namespace, "--replicas", fmt.Sprint(n))
			body := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n))
			err := e.Client.Patch(ctx, o.DeepCopy(), body, client.DryRunAll)
			if allowed := strings.Contains(said, ": Allow"); allowed != (err == nil) {
				t.Errorf("%s to %d: the API server says %v, forewarmctl\n%s", resource, n, err, said)
			}
		}
	}
	if said := run("explain", "deployment/big", "-n", namespace); !strings.Contains(said, "asks for  7 replicas") || !strings.Contains(said, "ceiling   5, by forewarm.dev/max-replicas on Deployment explain/big; mode enforce") {
		t.Errorf("explain:\n%s", said)
	}
	said := run("audit", "-n", namespace)
	if !strings.Contains(said, "Deployment explain/big   7      5") || strings.Contains(said, "db") {
		t.Errorf("audit:\n%s", said)
	}
}

// webhookDoctor: doctor has nothing to say about what cmd/webhook writes, as the API server returns
// it, once the manifests beside it are applied; of the node it says that it has no taint, and of the API
// server what it lacks.
func webhookDoctor(t *testing.T, e *webhookEnv) {
	root := filepath.Join("..", "..", "manifests")
	if err := e.ApplyFiles(t.Context(), filepath.Join(root, "rbac", "extender.yaml"), filepath.Join(root, "flowcontrol", "webhook.yaml")); err != nil {
		t.Fatal(err)
	}
	said := e.forewarmctl(t)("doctor")
	if !strings.HasPrefix(said, "doubtful  1 GPU nodes: have no taint") || strings.Count(said, string(doctor.Doubtful)+" ")+strings.Count(said, string(doctor.Wrong)+" ") != 1 {
		t.Errorf("doctor says more or less than that the node has no taint:\n%s", said)
	}
	for _, f := range doctor.Features() {
		if served := e.Serves(t, f.Kind, f.Since); served == strings.Contains(said, f.Unserved()) {
			t.Errorf("served: %t, but doctor says\n%s", served, said)
		}
	}
}

// needs skips the test where the API server does not serve one of the kinds that doctor knows of.
func needs(t *testing.T, c *cluster.Cluster, kind string) {
	t.Helper()
	features := doctor.Features()
	i := slices.IndexFunc(features, func(f doctor.Feature) bool { return f.Kind.Kind == kind })
	if i < 0 {
		t.Fatalf("doctor knows no feature %q", kind)
	}
	if f := features[i]; !c.Serves(t, f.Kind, f.Since) {
		t.Skip(f.Unserved())
	}
}

// forewarmctl builds it, and returns how to run it as administrator.
func (e *webhookEnv) forewarmctl(t *testing.T) func(arguments ...string) string {
	t.Helper()
	return forewarmctl(t, e.Cluster)
}

func forewarmctl(t *testing.T, c *cluster.Cluster) func(arguments ...string) string {
	t.Helper()
	binary := filepath.Join(cluster.Programs(t), "forewarmctl")
	kubeconfig, err := c.KubeconfigFor("somebody", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	return func(arguments ...string) string {
		command := exec.CommandContext(t.Context(), binary, arguments...)
		command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
		output, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("forewarmctl %s: %v\n%s", strings.Join(arguments, " "), err, output)
		}
		return string(output)
	}
}

// webhookDisarm: forewarmctl takes Forewarm out of admission, where it stays out, and puts it
// back.
func webhookDisarm(t *testing.T, e *webhookEnv) {
	const namespace = "disarm"
	e.namespace(t, namespace, map[string]string{v1alpha1.AnnotationMaxReplicas: "1"})
	ctx := t.Context()
	run := e.forewarmctl(t)
	grow := func() error {
		return e.Client.Create(ctx, webhookWorkload("Deployment", namespace, "web", 5, ""), client.DryRunAll)
	}
	if hpa := e.applied(t, namespace); hpa.Spec.MaxReplicas != 1 {
		t.Fatalf("maxReplicas %d, want it brought under the ceiling", hpa.Spec.MaxReplicas)
	}
	if said := run("disarm", "--reason", "a test"); !strings.Contains(said, "restored HorizontalPodAutoscaler disarm/web: minReplicas 1, maxReplicas 9") || !strings.Contains(said, "deleted ValidatingWebhookConfiguration forewarm") || !strings.Contains(said, "deleted ValidatingAdmissionPolicy forewarm-ceilings") {
		t.Errorf("disarm:\n%s", said)
	}
	cluster.Eventually(t, webhookWait, grow)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	if err := e.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web"}, hpa); err != nil {
		t.Fatal(err)
	}
	if again := e.applied(t, namespace); hpa.Spec.MaxReplicas != 9 || len(hpa.Annotations) > 0 || again.ResourceVersion != hpa.ResourceVersion {
		t.Errorf("restored: maxReplicas %d, annotations %v, version %s, and %s when Git applies it again", hpa.Spec.MaxReplicas, hpa.Annotations, hpa.ResourceVersion, again.ResourceVersion)
	}
	for _, entry := range hpa.ManagedFields {
		if entry.Manager != "git" && entry.Subresource == "" {
			t.Errorf("%s owns fields of the HPA, want what Git applies to stay Git's: %s", entry.Manager, entry.FieldsV1)
		}
	}
	loopNever(t, 7*time.Second, grow) // longer than the processes wait to look again
	if status := e.process.ready(); status != http.StatusOK {
		t.Errorf("the webhook is not ready while disarmed: %d", status)
	}
	if said := run("arm"); !strings.Contains(said, "armed") {
		t.Errorf("arm:\n%s", said)
	}
	cluster.Eventually(t, webhookWait, func() error { return webhookDenied(grow(), "at most 1") })
	other := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"maxReplicas":8}}`)) // what nobody writes is brought down within a minute
	if err := e.Client.Patch(ctx, hpa, other); err != nil || hpa.Spec.MaxReplicas != 1 {
		t.Errorf("maxReplicas %d, %v; want 8 brought under the ceiling", hpa.Spec.MaxReplicas, err)
	}
	if said := run("arm"); !strings.Contains(said, "was not disarmed") {
		t.Errorf("arm again:\n%s", said)
	}
}

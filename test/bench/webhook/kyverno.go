package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

// kyverno is the arm of the policy engine of that name, with one ValidatingPolicy in CEL.
const (
	kyverno          = "kyverno"
	kyvernoNamespace = "kyverno"
	kyvernoPath      = "/vpol/bench"
)

var kyvernoPolicy = fmt.Sprintf(`
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: bench}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments]}
  validations:
  - message: %q
    expression: >-
      object.spec.replicas <= oldObject.spec.replicas || object.spec.replicas <= %d &&
      (!has(object.metadata.annotations) || !('forewarm.dev/max-replicas' in object.metadata.annotations) ||
      object.spec.replicas <= int(object.metadata.annotations['forewarm.dev/max-replicas']))
`, peerDenial, namespaceCeiling)

// startKyverno runs Kyverno's admission controller, without reports and events, and without the
// right to register webhooks of its own, which would be a part of every arm.
func (b *bench) startKyverno(ctx context.Context) error {
	program, err := b.preparePeer(ctx, assets.Kyverno, assets.KyvernoCRDs, kyvernoNamespace)
	if err != nil {
		return err
	}
	if err := b.kyvernoObjects(ctx); err != nil {
		return err
	}
	kubeconfig, err := b.cluster.KubeconfigForServiceAccount(ctx, kyvernoNamespace, kyverno)
	if err != nil {
		return err
	}
	var ports [2]int
	for i := range ports {
		if ports[i], err = cluster.FreePort(); err != nil {
			return err
		}
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	args := []string{
		"--kubeconfig=" + kubeconfig, "--webhookServerHost=127.0.0.1", fmt.Sprintf("--webhookServerPort=%d", ports[0]), "--serverIP=" + address,
		"--caSecretName=ca", "--tlsSecretName=tls", "--disableCertManagerController", "--autoUpdateWebhooks=false",
		"--metricsHost=127.0.0.1", fmt.Sprintf("--metricsPort=%d", ports[1]), "--controllerRuntimeMetricsAddress=0",
		"--admissionReports=false", "--omitEvents=PolicyViolation,PolicyApplied,PolicyError,PolicySkipped", "--enableReporting=", "--v=0",
	}
	env := []string{
		"KYVERNO_NAMESPACE=" + kyvernoNamespace, "KYVERNO_SVC=kyverno-svc", "KYVERNO_POD_NAME=bench", "KYVERNO_DEPLOYMENT=kyverno",
		"INIT_CONFIG=kyverno", "METRICS_CONFIG=kyverno-metrics", "KYVERNO_SERVICEACCOUNT_NAME=kyverno",
	}
	process, err := b.cluster.StartProcess(ctx, kyverno, program, args, env)
	if err != nil {
		return err
	}
	h := &hook{
		address: address, url: b.url(ports[0]), pid: process.PID(), reviews: "kyverno_admission_requests_total",
		metricsURL: fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[1]), client: http.DefaultClient,
	}
	if err := b.applyTexts(ctx, kyvernoPolicy); err != nil {
		return err
	}
	err = b.waitFor(ctx, "Kyverno to know the policy", func() error { return b.allows(ctx, h, kyvernoPath) })
	if err != nil {
		return fmt.Errorf("%w; its log says:\n%s", err, b.cluster.LogOf(kyverno))
	}
	b.hooks[kyverno] = h
	return nil
}

// kyvernoObjects are what its chart would make: settings, and its certificate.
func (b *bench) kyvernoObjects(ctx context.Context) error {
	key, err := os.ReadFile(b.identity.keyFile)
	if err != nil {
		return err
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: kyvernoNamespace, Name: name} }
	secret := map[string][]byte{corev1.TLSCertKey: b.identity.bundle, corev1.TLSPrivateKeyKey: key}
	all, role := []string{"*"}, metav1.ObjectMeta{Name: "bench-kyverno"}
	return b.install(ctx, []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta("kyverno")}, &corev1.ConfigMap{ObjectMeta: meta("kyverno-metrics")},
		&corev1.Secret{ObjectMeta: meta("ca"), Type: corev1.SecretTypeTLS, Data: secret}, &corev1.Secret{ObjectMeta: meta("tls"), Type: corev1.SecretTypeTLS, Data: secret},
		&corev1.ServiceAccount{ObjectMeta: meta(kyverno)},
		&rbacv1.ClusterRole{ObjectMeta: role, Rules: []rbacv1.PolicyRule{
			{APIGroups: all, Resources: all, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{"", "coordination.k8s.io", "kyverno.io", "policies.kyverno.io", "authorization.k8s.io"}, Resources: all, Verbs: all},
		}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: role, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: kyvernoNamespace, Name: kyverno}},
		},
	})
}

// allows fails unless a hook answers a review that it is to allow.
func (b *bench) allows(ctx context.Context, h *hook, path string) error {
	a, err := newAsker(ctx, subject{kyverno, update, h, path, allowed}, b.reviews[update])
	if err != nil {
		return err
	}
	defer a.close()
	return a.ask(0)
}

package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

// TestCertificates shows the modes in which somebody else makes the serving certificate, and
// that only API servers may ask where they show a client certificate: this one does, by its
// AdmissionConfiguration.
func TestCertificates(t *testing.T) {
	t.Parallel()
	clients, dir := newWebhookCA(t), t.TempDir()
	clients.write(t, dir, "client-ca.crt")
	e := newTotalsEnv(t, cluster.Options{ExtraArgs: map[string][]string{
		assets.APIServer: {"--admission-control-config-file=" + clients.admission(t, dir)},
	}}, 0)
	if err := kubernetes.NewForConfigOrDie(e.RESTConfig()).RbacV1().RoleBindings(v1alpha1.SystemNamespace).Delete(t.Context(), "forewarm-webhook-ca", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err) // who signs no certificate keeps no CA
	}
	clientCA := fmt.Sprintf("clientCA: {file: %q, names: [api-server]},", filepath.Join(dir, "client-ca.crt"))
	for _, part := range []struct {
		name string
		run  func(*testing.T, *totalsEnv, string)
	}{
		{"files are replaced without a gap, and callers show who they are", certificateFiles},
		{"cert-manager replaces the CA without a gap", certificateManager},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, e, clientCA) })
	}
}

func certificateFiles(t *testing.T, e *totalsEnv, clientCA string) {
	dir := t.TempDir()
	newWebhookCA(t).issue(t, dir)
	s := newService(t, e, fmt.Sprintf("certificate: {mode: Files, certFile: %q, keyFile: %q, caFile: %q}, %s",
		filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt"), clientCA), 2)
	e.counting(t, "load", map[string]string{totalReplicas: "100"})
	load := startLoad(t, e, 200)
	for range rotations() {
		ca := newWebhookCA(t)
		ca.issue(t, dir)
		s.servedUnder(t, ca.pem())
	}
	s.restart(t)
	load.stop(t)
	certificateCallers(t, s.replicas[0])
	s.kill(t)
}

// certificateCallers: without a client certificate nobody is answered, and everybody is told why.
func certificateCallers(t *testing.T, r *webhookReplica) {
	anybody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer anybody.CloseIdleConnections()
	response, err := anybody.Post(fmt.Sprintf("https://127.0.0.1:%d/ceilings", r.port), "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "webhook.clientCA asks for one") {
		t.Errorf("without a client certificate: %s %q, want 401 that says why", response.Status, body)
	}
}

// certificateManager plays cert-manager, whose controllers do not run here: it writes the
// Secret as the kubelet shows it to the pod, and the bundles as cainjector does.
func certificateManager(t *testing.T, e *totalsEnv, clientCA string) {
	dir := t.TempDir()
	s := &service{e: e, settings: fmt.Sprintf("certificate: {mode: CertManager, certFile: %q, keyFile: %q, injectCAFrom: forewarm-system/forewarm-webhook}, %s",
		filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), clientCA)}
	s.replicas = append(s.replicas, s.start(t), s.start(t))
	ca := newWebhookCA(t)
	ca.issue(t, dir)
	cluster.Eventually(t, webhookWait, func() error {
		if log := s.replicas[0].Log(); !strings.Contains(log, "cainjector copies it from Certificate forewarm-system/forewarm-webhook") {
			return fmt.Errorf("the replica does not say what it waits for; its log:\n%s", log)
		}
		return nil
	})
	certificateInject(t, e, ca.pem())
	for _, r := range s.replicas {
		s.await(t, r)
	}
	e.counting(t, "load", map[string]string{totalReplicas: "100"})

	load := startLoad(t, e, 200)
	bundle := ca.pem()
	for i := range rotations() {
		next := newWebhookCA(t)
		next.issue(t, dir)
		for _, r := range s.replicas {
			cluster.Eventually(t, webhookWait, func() error {
				if seen := strings.Count(r.Log(), "waits until its CA is in every caBundle"); seen < i+1 {
					return fmt.Errorf("%s waits for %d CAs so far, want %d", r.Name, seen, i+1)
				}
				return nil
			})
		}
		s.servedUnder(t, ca.pem()) // the old one, until the bundles have the new CA
		bundle = append(next.pem(), ca.pem()...)
		certificateInject(t, e, bundle)
		s.servedUnder(t, next.pem())
		ca = next
	}
	s.restart(t)
	load.stop(t)
	for i, got := range certificateBundles(t, e) {
		if !bytes.Equal(got, bundle) {
			t.Errorf("entry %d: its bundle was overwritten:\n%s", i, got)
		}
	}
	s.kill(t)
}

// certificateInject sets the bundle of every entry, where the annotation asks for it.
func certificateInject(t *testing.T, e *totalsEnv, bundle []byte) {
	t.Helper()
	hooks := kubernetes.NewForConfigOrDie(e.RESTConfig()).AdmissionregistrationV1()
	inject := func(ctx context.Context) error {
		validating, err := hooks.ValidatingWebhookConfigurations().Get(ctx, "forewarm", metav1.GetOptions{})
		if err != nil {
			return err
		}
		mutating, err := hooks.MutatingWebhookConfigurations().Get(ctx, "forewarm", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, annotations := range []map[string]string{validating.Annotations, mutating.Annotations} {
			if from := annotations["cert-manager.io/inject-ca-from"]; from != "forewarm-system/forewarm-webhook" {
				return fmt.Errorf("cert-manager.io/inject-ca-from is %q", from)
			}
		}
		for i := range validating.Webhooks {
			validating.Webhooks[i].ClientConfig.CABundle = bundle
		}
		for i := range mutating.Webhooks {
			mutating.Webhooks[i].ClientConfig.CABundle = bundle
		}
		if _, err := hooks.ValidatingWebhookConfigurations().Update(ctx, validating, metav1.UpdateOptions{FieldManager: "cert-manager-cainjector"}); err != nil {
			return err
		}
		_, err = hooks.MutatingWebhookConfigurations().Update(ctx, mutating, metav1.UpdateOptions{FieldManager: "cert-manager-cainjector"})
		return err
	}
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return inject(t.Context()) }); err != nil {
		t.Fatal(err)
	}
}

func certificateBundles(t *testing.T, e *totalsEnv) [][]byte {
	t.Helper()
	hooks := kubernetes.NewForConfigOrDie(e.RESTConfig()).AdmissionregistrationV1()
	validating, err := hooks.ValidatingWebhookConfigurations().Get(t.Context(), "forewarm", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mutating, err := hooks.MutatingWebhookConfigurations().Get(t.Context(), "forewarm", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, hook := range validating.Webhooks {
		out = append(out, hook.ClientConfig.CABundle)
	}
	for _, hook := range mutating.Webhooks {
		out = append(out, hook.ClientConfig.CABundle)
	}
	return out
}

// kill ends every replica at once.
func (s *service) kill(t *testing.T) {
	t.Helper()
	for _, r := range append(s.replicas, s.leaving...) {
		r.Kill()
	}
}

// admission makes the API server show a client certificate to webhooks, and returns the path
// of its AdmissionConfiguration.
func (a *webhookCA) admission(t *testing.T, dir string) string {
	t.Helper()
	certificate, key := a.sign(t, "api-server", false)
	files := map[string][]byte{"client.crt": certificate, "client.key": key}
	kubeconfig, configuration := filepath.Join(dir, "admission.kubeconfig"), filepath.Join(dir, "admission.yaml")
	files["admission.kubeconfig"] = fmt.Appendf(nil, `apiVersion: v1
kind: Config
users:
- name: "*"
  user: {client-certificate: %q, client-key: %q}
`, filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	var text bytes.Buffer
	text.WriteString("apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n")
	for _, plugin := range []string{"ValidatingAdmissionWebhook", "MutatingAdmissionWebhook"} {
		fmt.Fprintf(&text, `- name: %s
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: %q}
`, plugin, kubeconfig)
	}
	files["admission.yaml"] = text.Bytes()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return configuration
}

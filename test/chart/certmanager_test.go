package chart

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// Names that manifests/certificates gives: of two Certificates, and of the Secrets that they are kept in.
const (
	rootName, rootSecret = "forewarm-webhook-root", "forewarm-webhook-root"
	leafName, leafSecret = "forewarm-webhook", "forewarm-webhook-certificate"
	// mounted is where the chart has the Secret of the leaf mounted.
	mounted = "/etc/forewarm/certificate"
	// certManager is the namespace and the release of cert-manager.
	certManager = "cert-manager"
)

// TestCertManager: with certificate.mode CertManager, cert-manager's own controllers issue what the webhook serves
// and write the bundles, by the rights that its own chart gives; and whatever is renewed, or lost, under a steady
// load, no write fails and no review fails open.
func TestCertManager(t *testing.T) {
	e := newEnv(t)
	issuers := e.certManager(t)
	service := e.through(t)
	e.values += "certificate: {mode: CertManager}\n"
	e.install(t, loopback(t, load(t)))
	e.mounts[mounted] = e.mount(t, leafSecret)
	replicas := []replica{e.replica(t, service, "webhook", "webhook-a"), e.replica(t, service, "webhook", "webhook-b")}
	e.bundled(t, e.secret(t, leafSecret, "ca.crt"))
	e.ceilings(t)

	begin, since := e.unanswered(t), time.Now()
	writers := e.writers(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the leaf is renewed", func(t *testing.T) { e.renewed(t, leafName, leafSecret, "tls.crt") }},
		{"the CA is renewed, and then the leaf", func(t *testing.T) {
			e.renewed(t, rootName, rootSecret, "tls.crt")
			e.renewed(t, leafName, leafSecret, "ca.crt")
		}},
		{"the leaf's Secret is lost", func(t *testing.T) { e.lost(t, leafSecret, "tls.crt") }},
		{"the CA's Secret is lost, and then the leaf's", func(t *testing.T) {
			e.lost(t, rootSecret, "tls.crt")
			e.lost(t, leafSecret, "ca.crt")
		}},
		{"a replica more writes the configurations", func(t *testing.T) {
			replicas = append(replicas, e.replica(t, service, "webhook", "webhook-c"))
		}},
	} {
		t.Run(part.name, func(t *testing.T) {
			part.run(t)
			e.served(t, replicas)
			e.bundled(t, e.secret(t, leafSecret, "ca.crt"))
			e.reviews(t, 40)
		})
	}
	writes, slowest, failed := writers()
	if len(failed) > 0 {
		t.Errorf("%d of %d writes failed, such as %v", len(failed), writes, failed[0])
	}
	if now := e.unanswered(t); now != begin {
		t.Errorf("%v reviews got no answer", now-begin)
	}
	t.Logf("%d writes in %s, the slowest took %s", writes, time.Since(since).Round(time.Second), slowest)
	if writes < 100 {
		t.Errorf("%d writes are no load", writes)
	}
	e.refused(t) // and growth is still refused
	for _, p := range issuers {
		if log := p.Log(); strings.Contains(log, "forbidden") {
			t.Errorf("%s lacks a right:\n%s", p.Name, log)
		}
	}
}

// certManager installs cert-manager by its own chart, without its webhook, which is not built, and runs its
// controller and its cainjector as the accounts that the chart has made.
func (e *env) certManager(t *testing.T) []*cluster.Process {
	t.Helper()
	program := filepath.Join(t.TempDir(), "certmanager")
	recipe, list := filepath.Join(root, "test", "cluster", "certmanager"), []string{"list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager"}
	output(t, recipe, "build", "-buildvcs=false", "-o", program, ".")
	source := output(t, recipe, list...)
	if ours := output(t, root, list...); ours != source {
		t.Errorf("what runs is %s, and Forewarm knows %s", source, ours)
	}
	loaded, err := loader.Load(filepath.Join(source, "deploy", "charts", "cert-manager"))
	if err != nil {
		t.Fatal(err)
	}
	loaded.Templates = slices.DeleteFunc(loaded.Templates, func(f *common.File) bool { return strings.HasPrefix(f.Name, "templates/webhook-") })
	install := action.NewInstall(e.helm(t, certManager))
	install.ReleaseName, install.Namespace, install.CreateNamespace = certManager, certManager, true
	install.WaitStrategy, install.Timeout, install.ServerSideApply = kube.HookOnlyStrategy, patience, true
	values, err := Values("{crds: {enabled: true}, startupapicheck: {enabled: false}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := install.RunWithContext(t.Context(), loaded, values); err != nil {
		t.Fatalf("helm install cert-manager: %v", err)
	}
	var all []*cluster.Process
	for part, account := range map[string]string{"controller": "cert-manager", "cainjector": "cert-manager-cainjector"} {
		kubeconfig, err := e.KubeconfigForServiceAccount(t.Context(), certManager, account)
		if err != nil {
			t.Fatal(err)
		}
		p, err := e.StartProcess(t.Context(), "cert-manager-"+part, program, []string{part, "--kubeconfig=" + kubeconfig}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// output is what the go command prints in a folder.
func output(t *testing.T, folder string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = folder
	var complaints bytes.Buffer
	command.Stderr = &complaints
	printed, err := command.Output()
	if err != nil {
		t.Fatalf("go %v in %s: %v\n%s", args, folder, err, &complaints)
	}
	return strings.TrimSpace(string(printed))
}

// loopback has the leaf name an address too, by which the API server of a test reaches the webhook.
func loopback(t *testing.T, loaded *chart.Chart) *chart.Chart {
	t.Helper()
	for _, file := range loaded.Files {
		if before := file.Data; file.Name == "files/certificates/cert-manager.yaml" {
			file.Data = bytes.Replace(before, []byte("  dnsNames:"), []byte("  ipAddresses: [127.0.0.1]\n  dnsNames:"), 1)
			if !bytes.Equal(before, file.Data) {
				return loaded
			}
		}
	}
	t.Fatal("the chart has no Certificate with dnsNames")
	return nil
}

// mount plays the kubelet: it waits for a Secret, shows it as files in a folder, and replaces all of them at once
// when it has changed.
func (e *env) mount(t *testing.T, name string) string {
	t.Helper()
	folder, ctx := t.TempDir(), t.Context()
	show := func() error {
		secret := &corev1.Secret{}
		if err := e.Client.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: name}, secret); err != nil {
			return err
		}
		version := "..version-" + secret.ResourceVersion
		if now, _ := os.Readlink(filepath.Join(folder, "..data")); now == version {
			return nil
		}
		if err := os.MkdirAll(filepath.Join(folder, version), 0o700); err != nil {
			return err
		}
		for file, data := range secret.Data {
			if err := os.WriteFile(filepath.Join(folder, version, file), data, 0o600); err != nil {
				return err
			}
			if err := os.Symlink(filepath.Join("..data", file), filepath.Join(folder, file)); err != nil && !os.IsExist(err) {
				return err
			}
		}
		_ = os.Remove(filepath.Join(folder, "..new")) // of an attempt that did not end
		if err := os.Symlink(version, filepath.Join(folder, "..new")); err != nil {
			return err
		}
		return os.Rename(filepath.Join(folder, "..new"), filepath.Join(folder, "..data"))
	}
	cluster.Eventually(t, patience, show)
	ended := make(chan struct{})
	t.Cleanup(func() { <-ended }) // the context ends before
	go func() {
		defer close(ended)
		for tick := time.NewTicker(lag); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				_ = show() // a Secret that is not there stays as it was, as with a kubelet
			}
		}
	}()
	return folder
}

// secret is a file of a Secret of ours.
func (e *env) secret(t *testing.T, name, file string) []byte {
	t.Helper()
	secret := &corev1.Secret{}
	if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: Namespace, Name: name}, secret); err != nil {
		t.Fatal(err)
	}
	if len(secret.Data[file]) == 0 {
		t.Fatalf("Secret %s has no %s", name, file)
	}
	return secret.Data[file]
}

// replaced waits until a file of a Secret is another one.
func (e *env) replaced(t *testing.T, name, file string, before []byte) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		secret := &corev1.Secret{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: Namespace, Name: name}, secret); err != nil {
			return err
		}
		if now := secret.Data[file]; len(now) == 0 || bytes.Equal(now, before) {
			return fmt.Errorf("%s of Secret %s is as it was", file, name)
		}
		return nil
	})
}

// renewed asks for a new certificate, as cmctl renew does, and waits until a file of its Secret is another one.
func (e *env) renewed(t *testing.T, name, secret, file string) {
	t.Helper()
	before := e.secret(t, secret, file)
	cluster.Eventually(t, patience, func() error {
		c := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "cert-manager.io/v1", "kind": "Certificate"}}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Namespace: Namespace, Name: name}, c); err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(c.Object, "status", "conditions")
		if err != nil {
			return err
		}
		conditions = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "a test asks for it", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		})
		if err := unstructured.SetNestedSlice(c.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		return e.Client.Status().Update(t.Context(), c)
	})
	e.replaced(t, secret, file, before)
}

// lost deletes a Secret, and waits until cert-manager has made it anew.
func (e *env) lost(t *testing.T, name, file string) {
	t.Helper()
	before := e.secret(t, name, file)
	if err := e.Client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name}}); err != nil {
		t.Fatal(err)
	}
	e.replaced(t, name, file, before)
}

// served waits until every replica serves what is in the Secret.
func (e *env) served(t *testing.T, replicas []replica) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.secret(t, leafSecret, "ca.crt"))
	pair, err := tls.X509KeyPair(e.secret(t, leafSecret, "tls.crt"), e.secret(t, leafSecret, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		for _, r := range replicas {
			connection, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &tls.Config{RootCAs: roots})
			if err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
			_ = connection.Close()
			if !connection.ConnectionState().PeerCertificates[0].Equal(pair.Leaf) {
				return fmt.Errorf("%s serves another certificate", r.Name)
			}
		}
		return nil
	})
}

// bundled waits until every entry of our configurations has a CA in its bundle.
func (e *env) bundled(t *testing.T, ca []byte) {
	t.Helper()
	cluster.Eventually(t, patience, func() error {
		validating, mutating := &admissionregistrationv1.ValidatingWebhookConfiguration{}, &admissionregistrationv1.MutatingWebhookConfiguration{}
		for _, o := range []client.Object{validating, mutating} {
			if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "forewarm"}, o); err != nil {
				return err
			}
		}
		bundles := map[string][]byte{}
		for _, hook := range validating.Webhooks {
			bundles["validating "+hook.Name] = hook.ClientConfig.CABundle
		}
		for _, hook := range mutating.Webhooks {
			bundles["mutating "+hook.Name] = hook.ClientConfig.CABundle
		}
		if len(bundles) < 2 {
			return fmt.Errorf("%d entries", len(bundles))
		}
		for entry, bundle := range bundles {
			if !bytes.Contains(bundle, bytes.TrimSpace(ca)) {
				return fmt.Errorf("%s lacks the CA among %d", entry, bytes.Count(bundle, []byte("BEGIN CERTIFICATE")))
			}
		}
		return nil
	})
}

// ceilings gives the Namespace of the writers a ceiling and a total, and waits until both hold.
func (e *env) ceilings(t *testing.T) {
	t.Helper()
	body := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"forewarm.dev/max-replicas":"50","forewarm.dev/max-total-replicas":"30"}}}`))
	if err := e.Client.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, body); err != nil {
		t.Fatal(err)
	}
	cluster.Eventually(t, patience, func() error {
		web := &corev1.Namespace{}
		if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "web"}, web); err != nil {
			return err
		}
		if web.Labels[v1alpha1.LabelTotals] == "" {
			return fmt.Errorf("labels %v, want that of a total", web.Labels)
		}
		return nil
	})
	e.refused(t)
}

// refused waits until growth beyond the ceiling, and beyond the total, is refused by the webhook.
func (e *env) refused(t *testing.T) {
	t.Helper()
	before := e.counted(t, `apiserver_admission_webhook_rejection_count{error_type="no_error"`)
	for replicas, why := range map[int32]string{60: "max-replicas", 40: "max-total-replicas"} {
		cluster.Eventually(t, patience, func() error {
			large := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "large"}, Spec: paused(replicas)}
			if err := e.Client.Create(t.Context(), large, client.DryRunAll); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), why) {
				return fmt.Errorf("%d replicas: %v, want them refused for %s", replicas, err, why)
			}
			return nil
		})
	}
	if now := e.counted(t, `apiserver_admission_webhook_rejection_count{error_type="no_error"`); now == before {
		t.Error("the webhook has refused nothing")
	}
}

// reviews waits until the webhook has answered so many more.
func (e *env) reviews(t *testing.T, more float64) {
	t.Helper()
	answered := func() float64 { return e.counted(t, `apiserver_admission_webhook_request_total{code="200"`) }
	before := answered()
	cluster.Eventually(t, patience, func() error {
		if now := answered(); now < before+more {
			return fmt.Errorf("%v reviews, want %v", now-before, more)
		}
		return nil
	})
}

// unanswered is how many reviews have got no answer so far.
func (e *env) unanswered(t *testing.T) float64 {
	t.Helper()
	return e.counted(t, `apiserver_admission_webhook_fail_open_count{`) + e.counted(t, `apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error"`)
}

package registration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// issue writes a leaf for host, and its key, to dir.
func (c testCA) issue(t *testing.T, dir, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := c.signFor(&x509.Certificate{DNSNames: []string{host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: leaf.Raw}, "tls.key": {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFiles: a new certificate is served once its CA is trusted, and never one that cannot work.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	target := Target{URL: "https://webhook.test:9443"}
	f, err := NewFiles(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), target, NewWriter(WriterOptions{Log: logr.Discard(), Target: target}))
	if err != nil {
		t.Fatal(err)
	}
	trusted := false
	f.trusts = func([]*x509.Certificate) bool { return trusted }
	step := func(name, wantProblem string, wantNew bool) {
		t.Helper()
		before := f.served.Load()
		err := f.refresh()
		if wantProblem == "" && err != nil || wantProblem != "" && (err == nil || !strings.Contains(err.Error(), wantProblem)) {
			t.Errorf("%s: error %v, want one that says %q", name, err, wantProblem)
		}
		if isNew := before != f.served.Load(); isNew != wantNew {
			t.Errorf("%s: another certificate is served: %t, want %t", name, isNew, wantNew)
		}
	}
	ca := newCA(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	step("nothing is there", "webhook.certificate.certFile", false)
	if _, err := f.GetCertificate(nil); err == nil {
		t.Error("there is a certificate")
	}
	ca.issue(t, dir, "other.test")
	step("it is another's", "not for webhook.test", false)
	ca.issue(t, dir, "webhook.test")
	step("the first", "", true)
	step("unchanged", "", false)
	ca.issue(t, dir, "webhook.test")
	step("its CA is not trusted yet", "waits until its CA", false)
	trusted = true
	step("its CA is trusted", "", true)
	if err := os.WriteFile(filepath.Join(dir, "tls.crt"), ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	step("half is written", "tls.key", false)
	if err := os.Remove(filepath.Join(dir, "tls.key")); err != nil {
		t.Fatal(err)
	}
	step("the key is gone", "webhook.certificate.keyFile", false)
}

// TestInjected: where cert-manager keeps the bundles we ask it to, write none, and believe only
// what every entry has.
func TestInjected(t *testing.T) {
	client, target := fake.NewClientset(), defaultTarget()
	target.InjectCAFrom = "forewarm-system/forewarm-webhook"
	w := NewWriter(WriterOptions{Client: client, Target: target, Log: logr.Discard(), Ready: func(context.Context) error { return nil }})
	ca := newCA(t, time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	leaf, err := ca.Sign(&x509.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{leaf}
	sync := func() {
		t.Helper()
		if _, err := w.sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range w.known {
			w.known[i].since = time.Time{}
		}
	}
	sync()
	hooks := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	validating, err := hooks.Get(t.Context(), Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := validating.Annotations["cert-manager.io/inject-ca-from"]; got != target.InjectCAFrom {
		t.Errorf("annotation %q", got)
	}
	sync()
	if err := w.Registered(chain); err == nil || !strings.Contains(err.Error(), "cainjector") || !strings.Contains(err.Error(), target.InjectCAFrom) {
		t.Errorf("before it is injected: %v", err)
	}
	mutating, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for range len(validating.Webhooks) + len(mutating.Webhooks) {
		all = append(all, ca.pem)
	}
	if got := common(all); len(got) != 1 || !got[0].Equal(ca.certificate) {
		t.Errorf("common to all: %v", got)
	}
	if got := common(append(all, nil)); len(got) != 0 {
		t.Errorf("missing in one: %v", got)
	}
	for i := range validating.Webhooks {
		validating.Webhooks[i].ClientConfig.CABundle = ca.pem
	}
	for i := range mutating.Webhooks {
		mutating.Webhooks[i].ClientConfig.CABundle = ca.pem
	}
	w.note(common(bundles(validating, mutating)), false)
	for i := range w.known {
		w.known[i].since = time.Time{}
	}
	if err := w.Registered(chain); err != nil {
		t.Errorf("when every entry has it: %v", err)
	}
	if diff := cmp.Diff([]byte(nil), Validating(target, nil).Webhooks[0].ClientConfig.CABundle); diff != "" {
		t.Error(diff)
	}
}

package registration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"slices"
	"testing"
	"time"

	servertls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"forewarm.dev/api/v1alpha1"
)

// testCA is a self-signed CA.
type testCA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newCA(t testing.TB, from, to time.Time) testCA {
	t.Helper()
	return newCAOf(t, elliptic.P256(), from, to)
}

func newCAOf(t testing.TB, curve elliptic.Curve, from, to time.Time) testCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "ca"}, NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return testCA{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// Sign makes testCA an authority. A template without a key gets that of the CA.
func (c testCA) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	public := template.PublicKey
	if public == nil {
		public = c.key.Public()
	}
	return c.signFor(template, public)
}

// signFor makes a certificate of a key.
func (c testCA) signFor(template *x509.Certificate, public any) (*x509.Certificate, error) {
	template.SerialNumber, template.NotAfter = big.NewInt(1), c.certificate.NotAfter
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, public, c.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (testCA) Run(context.Context) error            { return nil }
func (testCA) WatchRotation(chan<- struct{})        {}
func (testCA) StopWatchingRotation(chan<- struct{}) {}

var _ servertls.Authority = testCA{}

func TestMerge(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	year := 365 * 24 * time.Hour
	old, current := newCA(t, now.Add(-year), now.Add(year)), newCA(t, now.Add(-time.Hour), now.Add(year))
	second, third := newCA(t, now.Add(-3*time.Hour), now.Add(year)), newCA(t, now.Add(-2*time.Hour), now.Add(year))
	settled := newCA(t, now.Add(-8*24*time.Hour), now.Add(year))
	expired := newCA(t, now.Add(-year), now.Add(-time.Minute))
	cases := map[string]struct {
		current, present []byte
		want             []testCA
	}{
		"first":                            {current.pem, nil, []testCA{current}},
		"unchanged, in several entries":    {current.pem, slices.Concat(current.pem, current.pem), []testCA{current}},
		"rotated":                          {current.pem, slices.Concat(old.pem, old.pem), []testCA{current, old}},
		"rotated again by another replica": {current.pem, slices.Concat(current.pem, old.pem), []testCA{current, old}},
		"no leaf of the old one is left":   {settled.pem, old.pem, []testCA{settled}},
		"the old one has expired":          {current.pem, expired.pem, []testCA{current}},
		"rotated at short intervals":       {current.pem, slices.Concat(old.pem, third.pem, second.pem), []testCA{current, third, second}},
		"somebody wrote nonsense":          {current.pem, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nx"), []testCA{current}},
		"two at once":                      {slices.Concat(old.pem, current.pem), second.pem, []testCA{current, second, old}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bundle, authorities, err := merge(parse(c.current), c.present, leafDuration, now)
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			for _, ca := range c.want {
				want = append(want, ca.pem...)
			}
			if diff := cmp.Diff(string(want), string(bundle)); diff != "" {
				t.Errorf("bundle:\n%s", diff)
			}
			if len(authorities) != len(c.want) {
				t.Errorf("%d authorities, want %d", len(authorities), len(c.want))
			}
		})
	}
}

// TestSigner: a leaf of a CA that the API server does not know yet is not served, and what is
// served is of P-256, whatever key the source makes.
func TestSigner(t *testing.T) {
	ca := newCA(t, time.Now(), time.Now().Add(time.Hour))
	trusted := false
	s := &signer{Authority: ca, addresses: []net.IP{net.IPv4(127, 0, 0, 1)}, trusted: func([]*x509.Certificate) bool { return trusted }}
	source := selfSigned{signer: s}
	if _, err := source.GetCertificate(nil); err == nil {
		t.Error("a leaf is served before there is any")
	}
	theirs, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := func() *x509.Certificate { return &x509.Certificate{PublicKey: theirs.Public()} }
	due, err := s.Sign(template())
	if err != nil || len(due.IPAddresses) != 1 || !theirs.PublicKey.Equal(due.PublicKey) {
		t.Fatalf("the first leaf: %v, %v; want one for 127.0.0.1 at once, of the key of the source", due, err)
	}
	first, err := source.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if key, is := first.PrivateKey.(*ecdsa.PrivateKey); !is || key.Curve != elliptic.P256() || !key.PublicKey.Equal(first.Leaf.PublicKey) || len(first.Leaf.IPAddresses) != 1 {
		t.Errorf("served: %v; want a leaf of P-256 for 127.0.0.1", first.Leaf)
	}
	if _, err := s.Sign(template()); !errors.Is(err, authority.ErrCertificateNotAvailable) {
		t.Errorf("before the CA is known: %v, want %v", err, authority.ErrCertificateNotAvailable)
	}
	if served, err := source.GetCertificate(nil); err != nil || served != first {
		t.Errorf("before the CA is known: serves %v, %v; want the first leaf", served, err)
	}
	trusted = true
	if _, err := s.Sign(template()); err != nil {
		t.Errorf("when the CA is known: %v", err)
	}
	if served, err := source.GetCertificate(nil); err != nil || served == first {
		t.Errorf("when the CA is known: serves %v, %v; want another leaf", served, err)
	}
}

func TestHosts(t *testing.T) {
	cases := map[string]struct {
		target    Target
		wantNames []string
		wantIPs   int
		wantErr   bool
	}{
		"service": {Target{Service: "s", Namespace: "n"}, []string{"s.n.svc", "s.n.svc.cluster.local"}, 0, false},
		"name":    {Target{URL: "https://webhook.test:9443"}, []string{"webhook.test"}, 0, false},
		"address": {Target{URL: "https://127.0.0.1:9443"}, nil, 1, false},
		"IPv6":    {Target{URL: "https://[::1]:9443"}, nil, 1, false},
		"nothing": {Target{URL: "https://"}, nil, 0, true},
	}
	for name, c := range cases {
		names, addresses, err := c.target.hosts()
		if diff := cmp.Diff(c.wantNames, names); diff != "" || len(addresses) != c.wantIPs || (err != nil) != c.wantErr {
			t.Errorf("%s: got %v, %v, %v", name, names, addresses, err)
		}
	}
}

// TestNothingIsWrittenBeforeReady: a configuration without a server behind it costs every
// write its timeout.
func TestNothingIsWrittenBeforeReady(t *testing.T) {
	ca := newCA(t, time.Now(), time.Now().Add(time.Hour))
	client := fake.NewClientset(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "forewarm-system", Name: secretName}, Data: map[string][]byte{"ca.crt": ca.pem},
	})
	ready := errors.New("not yet")
	w := NewWriter(WriterOptions{Client: client, Target: defaultTarget(), Log: logr.Discard(), Ready: func(context.Context) error { return ready }, CA: SecretCA(client, "forewarm-system")})
	leaf, err := ca.Sign(&x509.Certificate{})
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{leaf}
	if _, err := w.sync(t.Context()); !errors.Is(err, ready) || w.Registered(chain) == nil || len(client.Actions()) > 0 {
		t.Errorf("before: %v, registered %v, %v", err, w.Registered(chain), client.Actions())
	}
	ready = nil
	for range 2 {
		if disarmed, err := w.sync(t.Context()); disarmed || err != nil {
			t.Fatal(disarmed, err)
		}
	}
	got, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(ca.pem), string(got.Webhooks[0].ClientConfig.CABundle)); diff != "" {
		t.Errorf("bundle:\n%s", diff)
	}
	if w.Trusts(chain) || w.Registered(chain) == nil {
		t.Error("trusted at once, want API servers to get time to see the bundle")
	}
	w.known[0].since = w.known[0].since.Add(-settle)
	if !w.Trusts(chain) || w.Registered(chain) != nil {
		t.Error("not trusted after that time")
	}
	w.note([]*x509.Certificate{newCA(t, time.Now(), time.Now().Add(time.Hour)).certificate, ca.certificate}, false)
	if !w.Trusts(chain) {
		t.Error("no longer trusted when another CA comes")
	}
}

// TestDisarmed: while the mark is there nothing is written, and the webhook is ready.
func TestDisarmed(t *testing.T) {
	ca := newCA(t, time.Now(), time.Now().Add(time.Hour))
	client := fake.NewClientset(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "forewarm-system", Name: secretName}, Data: map[string][]byte{"ca.crt": ca.pem}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "forewarm-system", Name: v1alpha1.DisarmedConfigMap}},
	)
	w := NewWriter(WriterOptions{Client: client, Target: defaultTarget(), Log: logr.Discard(), Ready: func(context.Context) error { return nil }, CA: SecretCA(client, "forewarm-system")})
	disarmed, err := w.sync(t.Context())
	if !disarmed || err != nil || w.Registered(nil) != nil {
		t.Errorf("disarmed %t, %v, registered %v", disarmed, err, w.Registered(nil))
	}
	if _, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), Name, metav1.GetOptions{}); err == nil {
		t.Error("a configuration was written")
	}
}

// BenchmarkHandshake is what a new connection costs both sides, of a leaf as cert-manager's
// source makes it and of one as it is served, under a CA as cert-manager's authority makes it.
func BenchmarkHandshake(b *testing.B) {
	for name, curve := range map[string]elliptic.Curve{"P-384": elliptic.P384(), "P-256": elliptic.P256()} {
		b.Run(name, func(b *testing.B) {
			ca := newCAOf(b, elliptic.P384(), time.Now(), time.Now().Add(time.Hour))
			key, err := ecdsa.GenerateKey(curve, rand.Reader)
			if err != nil {
				b.Fatal(err)
			}
			leaf, err := ca.Sign(&x509.Certificate{PublicKey: key.Public(), DNSNames: []string{"webhook.test"}})
			if err != nil {
				b.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(ca.certificate)
			client := &tls.Config{RootCAs: roots, ServerName: "webhook.test"}
			server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
			for b.Loop() {
				asks, answers := net.Pipe()
				done := make(chan error, 1)
				go func() { done <- tls.Server(answers, server).Handshake() }()
				if err := errors.Join(tls.Client(asks, client).Handshake(), <-done); err != nil {
					b.Fatal(err)
				}
				_ = asks.Close()
			}
		})
	}
}

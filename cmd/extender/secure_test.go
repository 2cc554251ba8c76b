package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"forewarm.dev/internal/config"
)

// signer is a CA.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "test"}, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer{certificate, key}
}

// issue makes a certificate for loopback and its key, as PEM.
func (s signer) issue(t *testing.T, name string, serial int64) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, s.certificate, private.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = keyutil.MarshalPrivateKeyToPEM(private); err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if certificate, err = cert.EncodeCertificates(parsed); err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// caller is a client that trusts the CA and shows a certificate of that name; empty for none.
func (s signer) caller(t *testing.T, name string) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.certificate)
	c := &tls.Config{RootCAs: roots}
	if name != "" {
		pair, err := tls.X509KeyPair(s.issue(t, name, 9))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// TestOnlyTheSchedulerIsServed: by its certificate and name, and with a serving certificate that
// is replaced while it is used.
func TestOnlyTheSchedulerIsServed(t *testing.T) {
	ca, stranger, folder := newSigner(t), newSigner(t), t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	certificate, key := ca.issue(t, "forewarm-extender", 1)
	authority, err := cert.EncodeCertificates(ca.certificate)
	if err != nil {
		t.Fatal(err)
	}
	write(t, at("tls.crt"), certificate)
	write(t, at("tls.key"), key)
	write(t, at("ca.crt"), authority)
	settings := config.Extender{
		Serving:  &config.Serving{CertFile: at("tls.crt"), KeyFile: at("tls.key")},
		ClientCA: &config.ClientCA{File: at("ca.crt"), Names: []string{"system:kube-scheduler"}},
	}
	secured, err := secure(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: secured, ReadHeaderTimeout: time.Second, Handler: admit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), settings.ClientCA)}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	url := "https://" + listener.Addr().String()
	ask := func(c *http.Client) (status int, serial int64, err error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			return 0, 0, err
		}
		response, err := c.Do(request)
		if err != nil {
			return 0, 0, err
		}
		return response.StatusCode, response.TLS.PeerCertificates[0].SerialNumber.Int64(), response.Body.Close()
	}
	scheduler := ca.caller(t, "system:kube-scheduler")
	if status, serial, err := ask(scheduler); status != http.StatusOK || serial != 1 {
		t.Fatalf("the scheduler: status %d, certificate %d, %v", status, serial, err)
	}
	if status, _, err := ask(ca.caller(t, "somebody")); status != http.StatusForbidden {
		t.Errorf("another name: status %d, %v", status, err)
	}
	if _, _, err := ask(ca.caller(t, "")); err == nil {
		t.Error("no certificate: served")
	}
	forged := ca.caller(t, "")
	forged.Transport.(*http.Transport).TLSClientConfig.Certificates = stranger.caller(t, "system:kube-scheduler").Transport.(*http.Transport).TLSClientConfig.Certificates
	if _, _, err := ask(forged); err == nil {
		t.Error("a certificate of another CA: served")
	}
	certificate, key = ca.issue(t, "forewarm-extender", 2)
	write(t, at("tls.key"), key)
	write(t, at("tls.crt"), certificate)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for serial := int64(0); serial != 2; {
		if ctx.Err() != nil {
			t.Fatal("the new certificate is not served")
		}
		status := 0
		if status, serial, err = ask(scheduler); status != http.StatusOK {
			t.Fatalf("while the certificate is replaced: status %d, %v", status, err)
		}
	}
}

package handler

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// clientCA signs client certificates.
type clientCA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newClientCA(t *testing.T) clientCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return clientCA{certificate, key}
}

func (c clientCA) write(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c clientCA) client(t *testing.T, name string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, c.key.Public(), c.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.key}
}

// TestCallers: only who shows a certificate of the CA, of an accepted name, is let in; another
// CA counts once the file holds it.
func TestCallers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.crt")
	if _, err := NewCallers(path, nil, logr.Discard()); err == nil || !strings.Contains(err.Error(), "webhook.clientCA.file") {
		t.Errorf("without a file: %v", err)
	}
	ours, others := newClientCA(t), newClientCA(t)
	ours.write(t, path)
	callers, err := NewCallers(path, []string{"api-server"}, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(callers.Admit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	server.StartTLS()
	defer server.Close()
	server.TLS.GetConfigForClient = callers.Secure(server.TLS).GetConfigForClient

	ask := func(certificates ...tls.Certificate) (int, string) {
		t.Helper()
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.DisableKeepAlives = true
		// Whatever the server says that it accepts, this is shown.
		transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(certificates) == 0 {
				return &tls.Certificate{}, nil
			}
			return &certificates[0], nil
		}
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	check := func(name string, wantStatus int, wantSays string, certificates ...tls.Certificate) {
		t.Helper()
		status, says := ask(certificates...)
		if status != wantStatus || !strings.Contains(says, wantSays) {
			t.Errorf("%s: %d %q, want %d that says %q", name, status, says, wantStatus, wantSays)
		}
	}
	check("nothing shown", http.StatusUnauthorized, "webhook.clientCA")
	check("another name", http.StatusForbidden, `"tenant", want api-server`, ours.client(t, "tenant"))
	check("another CA", 0, "certificate", others.client(t, "api-server"))
	check("the API server", http.StatusOK, "", ours.client(t, "api-server"))

	others.write(t, path)
	if err := callers.refresh(); err != nil {
		t.Fatal(err)
	}
	check("after the CA was replaced", http.StatusOK, "", others.client(t, "api-server"))
	check("the former CA", 0, "certificate", ours.client(t, "api-server"))

	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := callers.refresh(); err == nil {
		t.Error("nonsense was loaded")
	}
	check("after nonsense was written", http.StatusOK, "", others.client(t, "api-server"))
}

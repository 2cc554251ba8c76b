package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// authority signs the certificates of one cluster, for servers and for users.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// keyPair is a certificate and its key, as PEM.
type keyPair struct{ cert, key []byte }

// newAuthority makes a certificate authority, the serving certificate that all components
// share and the key that signs ServiceAccount tokens, in dir.
func newAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for keys: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	self, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "forewarm-test-ca"}, key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	a := &authority{dir: dir, cert: self, key: key}
	serving, err := a.sign(x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		DNSNames:    []string{"localhost", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, err
	}
	accounts, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return nil, fmt.Errorf("make the key for ServiceAccount tokens: %w", err)
	}
	for name, data := range map[string][]byte{"ca.crt": a.pem(), "serving.crt": serving.cert, "serving.key": serving.key, "accounts.key": accounts} {
		if err := os.WriteFile(a.path(name), data, 0o600); err != nil {
			return nil, fmt.Errorf("write keys: %w", err)
		}
	}
	return a, nil
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) pem() []byte {
	data, _ := cert.EncodeCertificates(a.cert) // fails on a nil certificate only
	return data
}

// user makes the client certificate of a user: common name and organisations are what the API
// server takes as its name and groups.
func (a *authority) user(name string, groups []string) (keyPair, error) {
	return a.sign(x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) sign(template x509.Certificate) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("make the key of %s: %w", template.Subject.CommonName, err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return keyPair{}, fmt.Errorf("make a serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = a.cert.NotBefore
	template.NotAfter = time.Now().Add(30 * 24 * time.Hour)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, &template, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return keyPair{}, fmt.Errorf("read the certificate of %s: %w", template.Subject.CommonName, err)
	}
	certPEM, err := cert.EncodeCertificates(parsed)
	if err != nil {
		return keyPair{}, fmt.Errorf("write the certificate of %s: %w", template.Subject.CommonName, err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("write the key of %s: %w", template.Subject.CommonName, err)
	}
	return keyPair{cert: certPEM, key: keyPEM}, nil
}

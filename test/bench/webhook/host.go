package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// loopbackHost is a host that leads to this machine's loopback without API servers knowing:
// to localhost and loopback addresses they speak HTTP/2, to everybody else, as in
// production, HTTP/1.1. It is the machine's own name where that resolves to loopback, else
// 0.0.0.0, which as a destination means this machine. The recorder checks that it works.
func loopbackHost(ctx context.Context) string {
	name, err := os.Hostname()
	if err == nil && !strings.EqualFold(name, "localhost") {
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err == nil && len(addresses) == 1 && addresses[0] == "127.0.0.1" {
			return name
		}
	}
	return "0.0.0.0"
}

// identity is the self-signed certificate of the webhooks that are not Forewarm's.
type identity struct {
	certFile, keyFile string
	// bundle is what the API server trusts.
	bundle []byte
	pair   tls.Certificate
}

// newIdentity makes a certificate for a host, and its files in dir.
func newIdentity(dir, host string) (identity, error) {
	out := identity{certFile: filepath.Join(dir, "bench.crt"), keyFile: filepath.Join(dir, "bench.key")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return out, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench-webhook"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return out, fmt.Errorf("make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return out, fmt.Errorf("encode a key: %w", err)
	}
	out.bundle = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for path, data := range map[string][]byte{out.certFile: out.bundle, out.keyFile: keyText} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return out, fmt.Errorf("write a certificate: %w", err)
		}
	}
	out.pair, err = tls.X509KeyPair(out.bundle, keyText)
	return out, err
}

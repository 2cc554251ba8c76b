package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"k8s.io/client-go/util/cert"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
)

// renewAfter is how long a certificate of our own is served: half of the year that it is valid.
const renewAfter = 180 * 24 * time.Hour

// secure makes the TLS configuration to serve with: files, which are read again when they change, until
// ctx ends; or a certificate of our own.
func secure(ctx context.Context, files *config.Serving) (*tls.Config, error) {
	base := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if files == nil {
		base.GetCertificate = (&selfSigned{now: time.Now}).get
		return base, nil
	}
	return base, observe.ServeFiles(ctx, base, "console.serving", *files, nil)
}

// selfSigned makes certificates that nobody else vouches for.
type selfSigned struct {
	now func() time.Time

	mu   sync.Mutex
	last *tls.Certificate
	made time.Time
}

func (s *selfSigned) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && s.now().Sub(s.made) < renewAfter {
		return s.last, nil
	}
	name := "forewarm-console." + v1alpha1.SystemNamespace + ".svc"
	certificate, key, err := cert.GenerateSelfSignedCertKey(name, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, []string{"localhost"})
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	s.last, s.made = &pair, s.now()
	return s.last, nil
}

package registration

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
)

const (
	// secretName is the Secret of the CA, which all replicas share.
	secretName = "forewarm-webhook-ca"
	// leafDuration is how long a serving certificate is valid; it is renewed after two thirds.
	leafDuration = 7 * 24 * time.Hour
)

// Certificate makes and renews the serving certificate. The CA is kept in a Secret, each
// replica signs a leaf of its own in memory, and a leaf of a new CA is served only once
// the API server has been told of that CA.
func Certificate(restConfig *rest.Config, t Target, w *Writer) (*tls.DynamicSource, error) {
	names, addresses, err := t.hosts()
	if err != nil {
		return nil, err
	}
	ca := &authority.DynamicAuthority{
		SecretNamespace: t.Namespace, SecretName: secretName, RESTConfig: restConfig,
		// A name of its own spares API servers to check leaves against other CAs too.
		CommonName: "forewarm-webhook-ca-" + string(uuid.NewUUID()), LeafDuration: leafDuration,
	}
	signer := &signer{Authority: ca, addresses: addresses, trusted: w.Trusts}
	ca.WatchRotation(w.rotated)
	return &tls.DynamicSource{DNSNames: names, Authority: signer}, nil
}

// hosts are the names and addresses that the API server may know the webhook by.
func (t Target) hosts() (names []string, addresses []net.IP, err error) {
	if t.URL == "" {
		name := t.Service + "." + t.Namespace + ".svc"
		return []string{name, name + ".cluster.local"}, nil, nil
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Hostname() == "" {
		return nil, nil, fmt.Errorf("webhook.url %q has no host; write https://host:port", t.URL)
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		return nil, []net.IP{ip}, nil
	}
	return []string{u.Hostname()}, nil, nil
}

// signer adds what cert-manager's authority lacks: IP addresses, and the wait for the API
// server's trust. It stands between the authority and its DynamicSource.
type signer struct {
	tls.Authority
	addresses []net.IP
	trusted   func(chain []*x509.Certificate) bool

	mu     sync.Mutex
	signed bool
}

// Sign makes a leaf. While the CA behind it is not yet in the bundles it answers that none
// is available, so that the source keeps serving the old one and asks again. The first
// leaf has nobody to wait for: configurations are written only once it is there.
func (s *signer) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	template.IPAddresses = s.addresses
	leaf, err := s.Authority.Sign(template)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signed && !s.trusted([]*x509.Certificate{leaf}) {
		return nil, authority.ErrCertificateNotAvailable
	}
	s.signed = true
	return leaf, nil
}

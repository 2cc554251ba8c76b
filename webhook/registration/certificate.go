package registration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	servertls "github.com/cert-manager/cert-manager/pkg/server/tls"
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
func Certificate(restConfig *rest.Config, t Target, w *Writer) (Source, error) {
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
	return selfSigned{&servertls.DynamicSource{DNSNames: names, Authority: signer}, signer}, nil
}

// selfSigned is cert-manager's source, which says when a leaf is due, and the signer, which
// has the one that is served.
type selfSigned struct {
	*servertls.DynamicSource
	signer *signer
}

// GetCertificate is that of [tls.Config].
func (s selfSigned) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if served := s.signer.served.Load(); served != nil {
		return served, nil
	}
	return nil, servertls.ErrNotAvailable
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

// signer adds what cert-manager's authority lacks: IP addresses, the wait for the API server's
// trust, and a key that is cheap to check. It stands between the authority and its DynamicSource.
type signer struct {
	servertls.Authority
	addresses []net.IP
	trusted   func(chain []*x509.Certificate) bool

	served atomic.Pointer[tls.Certificate]
}

// Sign makes a leaf of the key that the source has made, P-384, so that the source goes on, and
// serves another of P-256 beside it: a handshake with that costs both sides two thirds. While the
// CA behind it is not yet in the bundles it answers that none is available, so that the source
// asks again, and the old one is served on. The first leaf has nobody to wait for:
// configurations are written only once it is there.
func (s *signer) Sign(template *x509.Certificate) (*x509.Certificate, error) {
	template.IPAddresses = s.addresses
	light := *template
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	light.PublicKey = key.Public()
	leaf, err := s.Authority.Sign(&light)
	if err != nil {
		return nil, err
	}
	if s.served.Load() != nil && !s.trusted([]*x509.Certificate{leaf}) {
		return nil, authority.ErrCertificateNotAvailable
	}
	due, err := s.Authority.Sign(template)
	if err != nil {
		return nil, err
	}
	s.served.Store(&tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf})
	return due, nil
}

package registration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// reread is how often files are read again. Reading two small files costs less than watching
// the folders and links through which they are replaced.
const reread = time.Second

// Source serves a certificate; each is a runnable of a manager.
type Source interface {
	Start(ctx context.Context) error
	// GetCertificate is that of [tls.Config]. It fails until there is one.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// Chain is the parsed certificate with its intermediates.
func Chain(c *tls.Certificate) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("parse the certificate: %w", err)
		}
		chain = append(chain, parsed)
	}
	return chain, nil
}

// Files is the serving certificate of two files, whoever writes them. A new one is served
// only once the API server has been told of its CA; the old one is until then.
type Files struct {
	certFile, keyFile string
	host              string
	trusts            func(chain []*x509.Certificate) bool
	log               logr.Logger

	served  atomic.Pointer[tls.Certificate]
	problem string
}

// NewFiles makes Files. They may appear later.
func NewFiles(certFile, keyFile string, t Target, w *Writer) (*Files, error) {
	names, addresses, err := t.hosts()
	if err != nil {
		return nil, err
	}
	f := &Files{certFile: certFile, keyFile: keyFile, trusts: w.Trusts, log: w.Log}
	for _, ip := range addresses {
		names = append(names, ip.String())
	}
	f.host = names[0] // by which the API server calls
	return f, nil
}

// Start reads the files again and again until ctx ends.
func (f *Files) Start(ctx context.Context) error {
	tick := time.NewTicker(reread)
	defer tick.Stop()
	for {
		f.report(f.refresh())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// NeedLeaderElection is false: every replica serves.
func (f *Files) NeedLeaderElection() bool { return false }

// GetCertificate returns the certificate to serve.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if served := f.served.Load(); served != nil {
		return served, nil
	}
	return nil, errors.New("no serving certificate yet: the log says why")
}

// refresh serves what the files hold, unless it is not to be served yet.
func (f *Files) refresh() error {
	certificate, err := os.ReadFile(f.certFile)
	if err != nil {
		return fmt.Errorf("read webhook.certificate.certFile: %w", err)
	}
	key, err := os.ReadFile(f.keyFile)
	if err != nil {
		return fmt.Errorf("read webhook.certificate.keyFile: %w", err)
	}
	next, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("load %s with %s: %w", f.certFile, f.keyFile, err) // half replaced, perhaps
	}
	served := f.served.Load()
	if served != nil && slices.EqualFunc(served.Certificate, next.Certificate, slices.Equal) {
		return nil
	}
	chain, err := Chain(&next)
	if err != nil {
		return err
	}
	if err := chain[0].VerifyHostname(f.host); err != nil {
		return fmt.Errorf("the certificate in %s is not for %s, by which the API server calls: %w", f.certFile, f.host, err)
	}
	if served != nil && !f.trusts(chain) {
		return fmt.Errorf("the certificate in %s waits until its CA is in every caBundle of webhook configuration %s", f.certFile, Name)
	}
	f.served.Store(&next)
	f.log.Info("Serving certificate loaded", "file", f.certFile, "expires", chain[0].NotAfter)
	return nil
}

// report logs a problem once.
func (f *Files) report(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != f.problem {
		f.log.Info("Serving certificate not loaded", "reason", problem)
	}
	f.problem = problem
}

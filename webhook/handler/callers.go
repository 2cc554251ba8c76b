package handler

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
)

// Callers lets only those ask for reviews who show a client certificate of a CA: API servers
// that are told to. It is verified once per connection.
type Callers struct {
	file  string
	names []string
	log   logr.Logger

	read  string
	roots atomic.Pointer[x509.CertPool]
}

// NewCallers makes Callers who have a certificate of one of the CAs in file and, where names
// are given, one of these common names. It fails where file holds no CA.
func NewCallers(file string, names []string, log logr.Logger) (*Callers, error) {
	c := &Callers{file: file, names: names, log: log}
	return c, c.refresh()
}

// Secure makes a server ask for client certificates, and verify those that are shown.
func (c *Callers) Secure(base *tls.Config) *tls.Config {
	secured := base.Clone()
	secured.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		config := base.Clone()
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, c.roots.Load()
		return config, nil
	}
	return secured
}

// Admit answers 401 to who has no certificate and 403 to who has another's, and leads all
// others to next.
func (c *Callers) Admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			c.refuse(w, r, http.StatusUnauthorized, "no client certificate was shown: webhook.clientCA asks for one; give API servers a kubeconfig by their AdmissionConfiguration")
			return
		}
		if name := r.TLS.VerifiedChains[0][0].Subject.CommonName; len(c.names) > 0 && !slices.Contains(c.names, name) {
			c.refuse(w, r, http.StatusForbidden, fmt.Sprintf("the client certificate is of %q, want %s: see webhook.clientCA.names", name, strings.Join(c.names, " or ")))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *Callers) refuse(w http.ResponseWriter, r *http.Request, status int, reason string) {
	c.log.V(1).Info("Caller refused", "address", r.RemoteAddr, "reason", reason)
	http.Error(w, reason, status)
}

// Start reads the file again and again until ctx ends. What cannot be read changes nothing.
func (c *Callers) Start(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	problem := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := ""
		if err := c.refresh(); err != nil {
			now = err.Error()
		}
		if now != "" && now != problem {
			c.log.Info("Client CA not loaded", "reason", now)
		}
		problem = now
	}
}

// NeedLeaderElection is false: every replica serves.
func (c *Callers) NeedLeaderElection() bool { return false }

func (c *Callers) refresh() error {
	data, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("read webhook.clientCA.file: %w", err)
	}
	if c.read == string(data) {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return fmt.Errorf("webhook.clientCA.file %s holds no certificate in PEM", c.file)
	}
	c.roots.Store(pool)
	c.read = string(data)
	c.log.Info("Client CA loaded", "file", c.file)
	return nil
}

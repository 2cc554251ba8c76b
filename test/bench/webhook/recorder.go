package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// recorder is a webhook in this process that keeps what the API server sends, so that every
// arm is asked the very same bytes.
type recorder struct {
	mu     sync.Mutex
	bodies map[writeName][]byte
	protos map[writeName]string
}

// record has the API server send the review of each write once.
func (b *bench) record(ctx context.Context) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	r := &recorder{bodies: map[writeName][]byte{}, protos: map[writeName]string{}}
	server := &http.Server{Handler: r, TLSConfig: &tls.Config{Certificates: []tls.Certificate{b.identity.pair}}} //nolint:gosec // lives for a second, on loopback
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	defer func() { _ = server.Close() }()

	url := b.url(listener.Addr().(*net.TCPAddr).Port)
	var configuration []client.Object
	for _, w := range writes {
		configuration = append(configuration, b.validating("bench-record-"+string(w.name), url+"/"+string(w.name), w.rule))
	}
	if err := b.install(ctx, configuration); err != nil {
		return err
	}
	for _, w := range writes {
		if err := b.waitFor(ctx, "the recorder to be asked about "+string(w.name), func() error {
			if err := b.write(ctx, w); err != nil {
				return err
			}
			return r.recorded(w.name)
		}); err != nil {
			return err
		}
	}
	b.reviews = r.bodies
	return b.remove(ctx, configuration)
}

// recorded fails until a review has come, or where it came by another protocol than in production.
func (r *recorder) recorded(name writeName) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bodies[name]) == 0 {
		return errors.New("no review came")
	}
	if proto := r.protos[name]; proto != "HTTP/1.1" {
		return fmt.Errorf("the API server speaks %s", proto)
	}
	return nil
}

// ServeHTTP keeps the review and allows it.
func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, rest, _ := strings.Cut(string(body), `"uid":"`)
	uid, _, _ := strings.Cut(rest, `"`)
	r.mu.Lock()
	defer r.mu.Unlock()
	name := writeName(strings.TrimPrefix(request.URL.Path, "/"))
	r.bodies[name], r.protos[name] = body, request.Proto
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":%q,"allowed":true}}`, uid)
}

// rule is of what a webhook is asked about.
func rule(group, resource string, operation admissionregistrationv1.OperationType) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{operation},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
	}
}

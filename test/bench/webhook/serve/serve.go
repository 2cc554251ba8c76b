// Package serve is what the webhooks that the benchmark compares with have in common: an
// HTTPS server like that of cmd/webhook, and a few figures about itself.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// Names of the figures that a webhook tells about itself.
const (
	// Mallocs counts allocations since the start, as in Prometheus' Go collector.
	Mallocs = "go_memstats_mallocs_total"
	// Reviews counts the reviews that were asked for.
	Reviews = "bench_reviews_total"
	// OtherProtocol counts those among them that did not come over HTTP/1.1.
	OtherProtocol = "bench_reviews_not_http1_total"
)

// Main serves reviews until a signal comes, and returns the exit code. The flags say where
// to listen; the figures are at /metrics of the same address.
func Main(reviews http.Handler) int {
	address := flag.String("address", "", "host:port to listen on")
	certificate := flag.String("cert", "", "file with the serving certificate")
	key := flag.String("key", "", "file with its key")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := newServer(*address, reviews)
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServeTLS(*certificate, *key); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintf(os.Stderr, "serve on %s: %v\n", *address, err)
		return 1
	}
	return 0
}

// newServer has the limits of cmd/webhook.
func newServer(address string, reviews http.Handler) *http.Server {
	var asked, other atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/review", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.ProtoMajor != 1 {
			other.Add(1)
		}
		reviews.ServeHTTP(w, r)
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		_, _ = fmt.Fprintf(w, "%s %d\n%s %d\n%s %d\n", Mallocs, memory.Mallocs, Reviews, asked.Load(), OtherProtocol, other.Load())
	})
	return &http.Server{
		Addr: address, Handler: mux, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 90 * time.Second,
	}
}

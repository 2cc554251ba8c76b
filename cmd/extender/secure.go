package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"forewarm.dev/internal/config"
	"forewarm.dev/internal/observe"
)

// checkAddress refuses to serve others without knowing who they are.
func checkAddress(settings config.Extender) error {
	if _, _, err := net.SplitHostPort(settings.Address); err != nil {
		return fmt.Errorf("extender.address %q: %w", settings.Address, err)
	}
	if onLoopback(settings.Address) {
		return nil
	}
	if settings.ClientCA == nil {
		return fmt.Errorf("extender.address %q is not on loopback: write 127.0.0.1:port and run the extender beside the scheduler, or set extender.serving and extender.clientCA", settings.Address)
	}
	return nil
}

// onLoopback tells whether only processes of the same machine, or pod, reach an address: one
// scheduler, which calls this extender alone.
func onLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// secure makes the TLS configuration to serve with; nil for plain HTTP. Certificate, key and CA
// are read again when their files change, until ctx ends.
func secure(ctx context.Context, settings config.Extender) (*tls.Config, error) {
	if settings.Serving == nil {
		return nil, nil
	}
	base := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	var authority dynamiccertificates.CAContentProvider
	if settings.ClientCA != nil {
		// Not merely asked for: who shows none is not even heard.
		base.ClientAuth = tls.RequireAndVerifyClientCert
		content, err := dynamiccertificates.NewDynamicCAContentFromFile("extender.clientCA", settings.ClientCA.File)
		if err != nil {
			return nil, fmt.Errorf("read extender.clientCA: %w", err)
		}
		authority = content
		go content.Run(ctx, 1)
	}
	return base, observe.ServeFiles(ctx, base, "extender.serving", *settings.Serving, authority)
}

// admit answers 403 to callers whose certificate has another name than those given.
func admit(next http.Handler, authority *config.ClientCA) http.Handler {
	if authority == nil || len(authority.Names) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := ""
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		if !slices.Contains(authority.Names, name) {
			http.Error(w, fmt.Sprintf("the client certificate is of %q, want %s: see extender.clientCA.names", name, strings.Join(authority.Names, " or ")), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

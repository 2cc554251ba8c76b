package main

import (
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/client-go/transport"
)

// carrierTo carries requests to the server of a root, whose certificate it checks, with a token if there is
// one.
func carrierTo(root, bearerTokenFile, caFile string) (http.RoundTripper, error) {
	carrier, err := transport.New(&transport.Config{BearerTokenFile: bearerTokenFile, TLS: transport.TLSConfig{CAFile: caFile}})
	if err != nil || bearerTokenFile == "" {
		return carrier, err
	}
	server, err := url.Parse(root)
	if err != nil {
		return nil, err
	}
	return only{server, carrier}, nil
}

// only sends requests to one server: client-go puts the token into each, those to where a redirect leads
// included, and nobody else is to have it.
type only struct {
	server *url.URL
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (o only) RoundTrip(request *http.Request) (*http.Response, error) {
	if to := request.URL; to.Scheme != o.server.Scheme || to.Host != o.server.Host {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, fmt.Errorf("it redirects to %s://%s, where the token does not go: write the url of the server that answers", to.Scheme, to.Host)
	}
	return o.next.RoundTrip(request)
}

package registration

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"time"
)

// merge is the bundle that the API server should have: the current CA first, and behind it
// those of the present bundle under which another replica may still serve. A CA leaves the
// bundle when it expires, or when the last leaf that it can have signed has.
func merge(current, present []byte, now time.Time) (bundle []byte, authorities []*x509.Certificate, err error) {
	newest := parse(current)
	if len(newest) != 1 {
		return nil, nil, errors.New("ca.crt of Secret " + secretName + " does not hold one CA certificate")
	}
	authorities = newest
	for _, old := range parse(present) {
		if !slices.ContainsFunc(authorities, old.Equal) && now.Before(old.NotAfter) && now.Before(newest[0].NotBefore.Add(leafDuration)) {
			authorities = append(authorities, old)
		}
	}
	var out bytes.Buffer
	for _, ca := range authorities {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}); err != nil {
			return nil, nil, err
		}
	}
	return out.Bytes(), authorities, nil
}

// parse reads the certificates of a PEM bundle, and skips what it cannot read, since
// anybody may have written it.
func parse(bundle []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for {
		block, rest := pem.Decode(bundle)
		if block == nil {
			return out
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, certificate)
		}
		bundle = rest
	}
}

package registration

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"time"
)

// former is how many CAs stay in the bundle behind the current one. All have the same subject,
// so that API servers check a leaf against each of them at every handshake, half a millisecond
// each: after ten rotations at short intervals they are busy with nothing else.
const former = 2

// merge is the bundle that the API server should have: the current CA first, and behind it
// the newest of the present bundle, under which another replica may still serve. A CA leaves
// the bundle when it expires, or when the last leaf that it can have signed has.
func merge(current, present []byte, now time.Time) (bundle []byte, authorities []*x509.Certificate, err error) {
	authorities = parse(current)
	if len(authorities) != 1 {
		return nil, nil, errors.New("ca.crt of Secret " + secretName + " does not hold one CA certificate")
	}
	before := slices.DeleteFunc(parse(present), func(old *x509.Certificate) bool {
		return old.Equal(authorities[0]) || now.After(old.NotAfter) || now.After(authorities[0].NotBefore.Add(leafDuration))
	})
	slices.SortFunc(before, func(a, b *x509.Certificate) int {
		return cmp.Or(b.NotBefore.Compare(a.NotBefore), bytes.Compare(a.Raw, b.Raw))
	})
	before = slices.CompactFunc(before, (*x509.Certificate).Equal)
	authorities = append(authorities, before[:min(former, len(before))]...)
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

package registration

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// former is how many CAs stay in the bundle behind the current one. API servers check a leaf
// against all of the same subject at every handshake, half a millisecond each: after ten
// rotations of one process at short intervals they would be busy with nothing else.
const former = 2

// merge is the bundle that the API server should have: the current CAs, and the newest of the
// present bundle, under which another replica may still serve. A CA leaves the bundle when it
// expires, or overlap after the current one came, zero meaning never. Replicas that differ in
// what is current merge to the same bytes.
func merge(current []*x509.Certificate, present []byte, overlap time.Duration, now time.Time) (bundle []byte, authorities []*x509.Certificate, err error) {
	newest := slices.MaxFunc(current, func(a, b *x509.Certificate) int { return a.NotBefore.Compare(b.NotBefore) })
	before := slices.DeleteFunc(parse(present), func(old *x509.Certificate) bool {
		return slices.ContainsFunc(current, old.Equal) || now.After(old.NotAfter) || overlap > 0 && now.After(newest.NotBefore.Add(overlap))
	})
	slices.SortFunc(before, newestFirst)
	before = slices.CompactFunc(before, (*x509.Certificate).Equal)
	authorities = slices.Concat(current, before[:min(former, len(before))])
	slices.SortFunc(authorities, newestFirst)
	var out bytes.Buffer
	for _, ca := range authorities {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}); err != nil {
			return nil, nil, err
		}
	}
	return out.Bytes(), authorities, nil
}

func newestFirst(a, b *x509.Certificate) int {
	return cmp.Or(b.NotBefore.Compare(a.NotBefore), bytes.Compare(a.Raw, b.Raw))
}

// common are the CAs that every one of the bundles holds.
func common(bundles [][]byte) []*x509.Certificate {
	if len(bundles) == 0 {
		return nil
	}
	out := parse(bundles[0])
	for _, bundle := range bundles[1:] {
		there := parse(bundle)
		out = slices.DeleteFunc(out, func(ca *x509.Certificate) bool { return !slices.ContainsFunc(there, ca.Equal) })
	}
	return out
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

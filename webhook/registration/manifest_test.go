package registration

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestCertManagerManifest holds the manifest to cert-manager's types, and to a chain that the
// webhook can serve: Issuer, CA, Issuer, leaf for the names that the API server calls.
func TestCertManagerManifest(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "manifests", "certificates", "cert-manager.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	documents := bytes.Split(data, []byte("\n---\n"))
	if len(documents) != 4 {
		t.Fatalf("%d documents, want 4", len(documents))
	}
	var root, issuer certmanagerv1.Issuer
	var ca, leaf certmanagerv1.Certificate
	for i, o := range []any{&root, &ca, &issuer, &leaf} {
		if err := yaml.UnmarshalStrict(documents[i], o); err != nil {
			t.Errorf("document %d: %v", i, err)
		}
	}
	target := defaultTarget()
	for name, namespace := range map[string]string{"root": root.Namespace, "CA": ca.Namespace, "issuer": issuer.Namespace, "leaf": leaf.Namespace} {
		if namespace != target.Namespace {
			t.Errorf("%s is in %s, want %s", name, namespace, target.Namespace)
		}
	}
	from := func(i certmanagerv1.Issuer) cmmeta.IssuerReference {
		return cmmeta.IssuerReference{Group: certmanagerv1.SchemeGroupVersion.Group, Kind: certmanagerv1.IssuerKind, Name: i.Name}
	}
	names, _, err := target.hosts()
	if err != nil {
		t.Fatal(err)
	}
	for what, diff := range map[string]string{
		"the root signs itself":     cmp.Diff(certmanagerv1.IssuerConfig{SelfSigned: &certmanagerv1.SelfSignedIssuer{}}, root.Spec.IssuerConfig),
		"the CA is the root's":      cmp.Diff(from(root), ca.Spec.IssuerRef),
		"the issuer signs with it":  cmp.Diff(certmanagerv1.IssuerConfig{CA: &certmanagerv1.CAIssuer{SecretName: ca.Spec.SecretName}}, issuer.Spec.IssuerConfig),
		"the leaf is the issuer's":  cmp.Diff(from(issuer), leaf.Spec.IssuerRef),
		"the leaf has our names":    cmp.Diff(names, leaf.Spec.DNSNames),
		"only the CA is one":        cmp.Diff([]bool{true, false}, []bool{ca.Spec.IsCA, leaf.Spec.IsCA}),
		"keys are made anew":        cmp.Diff([]certmanagerv1.PrivateKeyRotationPolicy{certmanagerv1.RotationPolicyAlways, certmanagerv1.RotationPolicyAlways}, []certmanagerv1.PrivateKeyRotationPolicy{ca.Spec.PrivateKey.RotationPolicy, leaf.Spec.PrivateKey.RotationPolicy}),
		"the CA outlives each leaf": cmp.Diff(true, ca.Spec.RenewBefore.Duration > leaf.Spec.Duration.Duration),
	} {
		if diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
}

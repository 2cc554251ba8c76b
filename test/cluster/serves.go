package cluster

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
)

// Before says whether the API server is older than a version of Kubernetes, such as 1.34.
func (c *Cluster) Before(t testing.TB, since string) bool {
	t.Helper()
	client, err := discovery.NewDiscoveryClientForConfig(c.restConfig)
	if err != nil {
		t.Fatalf("make a client for discovery: %v", err)
	}
	running, err := client.ServerVersion()
	if err != nil {
		t.Fatalf("ask the API server for its version: %v", err)
	}
	return version.MustParseGeneric(running.GitVersion).LessThan(version.MustParseGeneric(since))
}

// Serves asks the API server whether it serves a kind. It fails the test where it does not and is
// no older than the version of Kubernetes that brought the kind.
func (c *Cluster) Serves(t testing.TB, kind schema.GroupVersionKind, since string) bool {
	t.Helper()
	_, err := c.Client.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil && (!meta.IsNoMatchError(err) || !c.Before(t, since)) {
		t.Fatalf("the API server should serve %s, since Kubernetes %s: %v", kind, since, err)
	}
	return err == nil
}

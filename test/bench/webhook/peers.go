package main

import (
	"context"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"forewarm.dev/test/cluster/assets"
)

// peerDenial is what the policy engines are told to say of a growth above the ceiling. Each has
// one rule, that of typed, and is asked by one entry, as the no-op is.
const peerDenial = "replicas asked for above the ceiling of the bench"

// peers are the policy engines that run, and the paths that they review at.
func (b *bench) peers() []subject {
	var out []subject
	for _, p := range []subject{{name: gatekeeper, path: gatekeeperPath}, {name: kyverno, path: kyvernoPath}} {
		if p.hook = b.hooks[p.name]; p.hook != nil {
			p.asked, p.want = update, allowed
			out = append(out, p)
		}
	}
	return out
}

func (b *bench) peerArms() []arm {
	var out []arm
	for _, p := range b.peers() {
		out = append(out, arm{
			name: p.name, write: writes[0], hook: p.hook, effective: b.refusedSaying(peerDenial),
			objects: []client.Object{b.validating("bench-"+p.name, p.hook.url+p.path, writes[0].rule)},
		})
	}
	return out
}

// preparePeer finds an engine's program, and makes its CRDs and its namespace.
func (b *bench) preparePeer(ctx context.Context, program, crds, namespace string) (string, error) {
	store, err := assets.Open()
	if err != nil {
		return "", err
	}
	found, err := store.Find(program, crds)
	if err != nil {
		return "", fmt.Errorf("%w, and make peers", err)
	}
	files, err := filepath.Glob(filepath.Join(found[crds], "*.yaml"))
	if err != nil {
		return "", err
	}
	if err := b.cluster.ApplyFiles(ctx, files...); err != nil {
		return "", err
	}
	return found[program], b.cluster.CreateNamespace(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
}

// applyTexts installs objects, and waits until their kinds are known.
func (b *bench) applyTexts(ctx context.Context, texts ...string) error {
	for _, text := range texts {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
			return err
		}
		if err := b.waitFor(ctx, "the API server to take "+o.GetKind(), func() error { return b.cluster.Apply(ctx, o) }); err != nil {
			return err
		}
	}
	return nil
}

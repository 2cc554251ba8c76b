package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/chaos/invariant"
	"forewarm.dev/test/cluster"
	"forewarm.dev/webhook"
)

const (
	// fewPool is a NodePool whose nodes the buyers ask for, and fewMost how many it may have.
	fewPool = "few"
	fewMost = 4
	// buyers are as many writers, each with up to buyMost NodeClaims; buyPause times as long as those of
	// workloads they wait.
	buyers, buyMost, buyPause = 3, 3, 4
	// buys begins the audit IDs of their requests, which end in the name of the NodeClaim.
	buys = "chaos-buys-"
)

func claims() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: invariant.ClaimKind}
}

// boundNodes sets max-nodes on the buyers' NodePool, and waits until its ledger counts.
func (r *chaos) boundNodes(ctx context.Context) error {
	pool := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "karpenter.sh/v1", Kind: "NodePool"}, ObjectMeta: metav1.ObjectMeta{Name: fewPool}}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, webhook.MaxNodes, fewMost)
	if err := r.cluster.Client.Patch(ctx, pool, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return fmt.Errorf("set max-nodes: %w", err)
	}
	return cluster.Wait(ctx, recovery, func() error {
		ledger := &v1alpha1.Ledger{}
		if err := r.cluster.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "nodepool." + fewPool}, ledger); err != nil {
			return err
		}
		if !ledger.Data.Complete {
			return fmt.Errorf("the ledger of NodePool %s does not count yet", fewPool)
		}
		return nil
	})
}

// buyer makes and deletes NodeClaims by hand, together now and then more than max-nodes allows. Each name is asked for once.
type buyer struct {
	*load
	number, made int
	random       *rand.Rand
}

func (b *buyer) write(ctx context.Context) {
	var mine metav1.PartialObjectMetadataList
	mine.SetGroupVersionKind(claims())
	if err := b.client.List(ctx, &mine, client.MatchingLabels{"buyer": fmt.Sprint(b.number)}); err != nil {
		b.note(claims().Kind, err)
		return
	}
	if len(mine.Items) > b.random.IntN(buyMost) {
		b.note(claims().Kind, b.client.Delete(ctx, &mine.Items[0]))
		return
	}
	b.made++
	object := claim(fmt.Sprintf("%s-%d-%04d", fewPool, b.number, b.made), b.number)
	b.note(claims().Kind, b.client.Create(context.WithValue(ctx, idKey{}, buys+object.GetName()), object))
}

// claim asks for one node.
func claim(name string, by int) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"nodeClassRef": map[string]any{"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
		"requirements": []any{map[string]any{"key": corev1.LabelInstanceTypeStable, "operator": "In", "values": []any{"gpu-8x"}}},
	}}}
	object.SetGroupVersionKind(claims())
	object.SetName(name)
	object.SetLabels(map[string]string{"karpenter.sh/nodepool": fewPool, "buyer": fmt.Sprint(by)})
	return object
}

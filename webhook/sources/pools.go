package sources

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/observe"
	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook"
)

// Pools reads the cluster's WarmPools from a cache. A cluster without their CRD has none.
type Pools struct {
	*observe.Optional
	reader client.Reader

	mu sync.Mutex
	// known are the pools by name, as they were converted last: nearly all reviews find them
	// unchanged.
	known map[string]knownPool
}

// knownPool is a pool of one version; takes is false where it takes no pods.
type knownPool struct {
	version string
	pool    webhook.Pool
	takes   bool
}

// NewPools makes a reader; Start must run. lastGood is told of the pools.
func NewPools(cached cache.Cache, lastGood *LastGood, log logr.Logger) *Pools {
	return &Pools{reader: cached, Optional: observe.NewOptional(observe.OptionalOptions{
		Informers: cached, Kinds: []client.Object{&v1alpha1.WarmPool{}}, Log: log,
		Without: "The WarmPool CRD is not installed; pods get no pool until it is",
		Watched: func(_ client.Object, informer cache.Informer) error {
			_, err := informer.AddEventHandler(lastGood.Handler())
			return err
		},
	})}
}

// List is every pool that takes pods.
func (p *Pools) List(ctx context.Context) ([]webhook.Pool, error) {
	if !p.Installed() {
		return nil, nil
	}
	var found v1alpha1.WarmPoolList
	if err := p.reader.List(ctx, &found, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list WarmPools: %w", err)
	}
	return p.convert(found.Items), nil
}

// convert converts the pools that have changed. Nobody changes what it returns.
func (p *Pools) convert(found []v1alpha1.WarmPool) []webhook.Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := make(map[string]knownPool, len(found))
	var out []webhook.Pool
	for i := range found {
		pool, is := p.known[found[i].Name]
		if !is || pool.version != found[i].ResourceVersion {
			pool.version = found[i].ResourceVersion
			pool.pool, pool.takes = convertPool(&found[i])
		}
		known[found[i].Name] = pool
		if pool.takes {
			out = append(out, pool.pool)
		}
	}
	p.known = known
	return out
}

// convertPool leaves out a pool whose selectors cannot be read; the reserver reports those.
// A pool that is being deleted takes no more pods.
func convertPool(p *v1alpha1.WarmPool) (webhook.Pool, bool) {
	class, err := demand.Compile(p)
	if err != nil || p.DeletionTimestamp != nil {
		return webhook.Pool{}, false
	}
	return webhook.Pool{
		Name: class.Pool, Priority: class.Priority, Resource: class.Resource,
		NamespaceSelector: class.Namespaces, PodSelector: class.Pods, Tolerations: p.Spec.Nodes.Tolerations,
		Nodes: requirements(&p.Spec.Nodes.Selector), Warm: warmChunks(p),
	}, true
}

// requirements are those of a label selector in terms of a node affinity, in a stable order.
func requirements(selector *metav1.LabelSelector) []corev1.NodeSelectorRequirement {
	out := make([]corev1.NodeSelectorRequirement, 0, len(selector.MatchLabels)+len(selector.MatchExpressions))
	for _, key := range slices.Sorted(maps.Keys(selector.MatchLabels)) {
		out = append(out, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{selector.MatchLabels[key]}})
	}
	for _, e := range selector.MatchExpressions { // the operators have the same names
		out = append(out, corev1.NodeSelectorRequirement{Key: e.Key, Operator: corev1.NodeSelectorOperator(e.Operator), Values: e.Values})
	}
	return out
}

// warmChunks are the chunks of which the reserver says that one holds capacity on a node.
func warmChunks(p *v1alpha1.WarmPool) []webhook.WarmChunk {
	var out []webhook.WarmChunk
	for _, state := range p.Status.Chunks {
		i := slices.IndexFunc(p.Spec.Chunks, func(c v1alpha1.Chunk) bool { return c.Name == state.Name })
		if i < 0 || state.Reserved == 0 {
			continue
		}
		cost, err := strconv.ParseFloat(cmp.Or(p.IdleCostOf(&p.Spec.Chunks[i]), "0"), 64)
		if err != nil {
			continue
		}
		out = append(out, webhook.WarmChunk{Requests: quantity.Of(p.Spec.Chunks[i].Requests), CostPerHour: cost})
	}
	return out
}

package handler

import (
	"cmp"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
)

// systemNamespaces hold pods that are never kept off a node.
var systemNamespaces = []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, v1alpha1.SystemNamespace}

// Index is what the extender knows of the cluster, kept up to date by informer events so
// that an answer needs no list and no request.
type Index struct {
	placeholders string // namespace of the placeholder pods

	mu         sync.RWMutex
	nodes      map[string]*nodeEntry
	pods       map[types.UID]podEntry
	used       map[string]usage // by node name
	namespaces map[string]labels.Set
	pools      map[string]*v1alpha1.WarmPool
	classes    []demand.Class
	held       []extender.Held
}

type nodeEntry struct {
	allocatable quantity.Vector
	labels      labels.Set
	leaving     bool
	pool        string
}

// usage is what pods request on a node.
type usage struct{ real, placeholders quantity.Vector }

type podEntry struct {
	node     string
	pool     string // of a placeholder
	requests quantity.Vector
}

// NewIndex makes an empty index.
func NewIndex(placeholderNamespace string) *Index {
	return &Index{
		placeholders: placeholderNamespace,
		nodes:        map[string]*nodeEntry{}, pods: map[types.UID]podEntry{}, used: map[string]usage{},
		namespaces: map[string]labels.Set{}, pools: map[string]*v1alpha1.WarmPool{},
	}
}

// SetNode adds or changes a node.
func (x *Index) SetNode(node *corev1.Node) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry := &nodeEntry{allocatable: quantity.Of(node.Status.Allocatable), labels: node.Labels, leaving: demand.Leaving(node)}
	entry.pool = x.poolOf(entry.labels)
	x.nodes[node.Name] = entry
}

// DropNode removes a node.
func (x *Index) DropNode(node *corev1.Node) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.nodes, node.Name)
}

// SetPod adds or changes a pod; one that has ended holds nothing. A placeholder is known
// before it is bound: the scheduler may offer it as a victim before we see the binding.
func (x *Index) SetPod(pod *corev1.Pod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop(pod.UID)
	pool := x.placeholderOf(pod)
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if ended || pod.Spec.NodeName == "" && pool == "" {
		return
	}
	entry := podEntry{node: pod.Spec.NodeName, pool: pool, requests: quantity.OfPod(pod)}
	x.pods[pod.UID] = entry
	x.count(entry, 1)
}

// placeholderOf is the pool of a placeholder pod, empty for any other.
func (x *Index) placeholderOf(pod *corev1.Pod) string {
	if demand.IsPlaceholder(pod, x.placeholders) {
		return pod.Labels[v1alpha1.LabelPool]
	}
	return ""
}

// count adds n times what a pod requests to its node, if it has one.
func (x *Index) count(entry podEntry, n int64) {
	if entry.node == "" {
		return
	}
	u := x.used[entry.node]
	if entry.pool == "" {
		u.real = u.real.Plus(entry.requests.Times(n))
	} else {
		u.placeholders = u.placeholders.Plus(entry.requests.Times(n))
	}
	if u.real[corev1.ResourcePods]+u.placeholders[corev1.ResourcePods] <= 0 {
		delete(x.used, entry.node)
	} else {
		x.used[entry.node] = u
	}
}

// DropPod removes a pod.
func (x *Index) DropPod(pod *corev1.Pod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop(pod.UID)
}

func (x *Index) drop(uid types.UID) {
	if entry, ok := x.pods[uid]; ok {
		delete(x.pods, uid)
		x.count(entry, -1)
	}
}

// SetNamespace adds or changes a namespace.
func (x *Index) SetNamespace(namespace *corev1.Namespace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.namespaces[namespace.Name] = namespace.Labels
}

// DropNamespace removes a namespace.
func (x *Index) DropNamespace(namespace *corev1.Namespace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.namespaces, namespace.Name)
}

// SetPool adds or changes a WarmPool.
func (x *Index) SetPool(pool *v1alpha1.WarmPool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.pools[pool.Name]
	x.pools[pool.Name] = pool
	x.compile(before == nil || before.UID != pool.UID || before.Generation != pool.Generation)
}

// DropPool removes a WarmPool.
func (x *Index) DropPool(pool *v1alpha1.WarmPool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.pools, pool.Name)
	x.compile(true)
}

// compile works out what is held, and, if a spec has changed, the classes and whose each
// node is. A pool whose selectors cannot be read holds nothing; the reserver reports it.
func (x *Index) compile(specs bool) {
	x.held = nil
	for _, pool := range x.pools {
		if expecting(pool) {
			x.held = append(x.held, extender.Held{Pool: pool.Name, Resource: pool.Spec.Demand.Resource})
		}
	}
	slices.SortFunc(x.held, func(a, b extender.Held) int { return cmp.Compare(a.Pool, b.Pool) })
	if !specs {
		return
	}
	x.classes = nil
	for _, pool := range x.pools {
		if c, err := demand.Compile(pool); err == nil {
			x.classes = append(x.classes, c)
		}
	}
	demand.Sort(x.classes)
	for _, node := range x.nodes {
		node.pool = x.poolOf(node.labels)
	}
}

// expecting tells whether a pool holds capacity for owners that it expects.
func expecting(pool *v1alpha1.WarmPool) bool {
	return pool.Spec.Mode == v1alpha1.ModeEnforce &&
		slices.ContainsFunc(pool.Status.Chunks, func(c v1alpha1.ChunkStatus) bool { return c.Wanted > 0 })
}

// poolOf is the pool that a node belongs to: of several that select it, the oldest.
func (x *Index) poolOf(node labels.Set) string {
	owner := ""
	for i := range x.classes {
		c := &x.classes[i]
		if c.Nodes.Matches(node) && (owner == "" || x.older(c.Pool, owner)) {
			owner = c.Pool
		}
	}
	return owner
}

func (x *Index) older(a, b string) bool {
	at, bt := x.pools[a].CreationTimestamp, x.pools[b].CreationTimestamp
	return at.Before(&bt) || at.Equal(&bt) && a < b
}

// pod converts the pod to be placed. A placeholder is of its own pool's class, whatever the
// selectors say, since it holds capacity for that class.
func (x *Index) pod(pod *corev1.Pod) extender.Pod {
	converted := extender.Pod{Requests: quantity.OfPod(pod), Exempt: x.exempt(pod)}
	if pool := x.placeholderOf(pod); pool != "" {
		converted.Classes = []string{pool}
		return converted
	}
	for i := range x.classes {
		if x.classes[i].Matches(pod, x.namespaces[pod.Namespace]) {
			converted.Classes = append(converted.Classes, x.classes[i].Pool)
		}
	}
	return converted
}

// exempt tells whether a pod is never kept off a node: one of a DaemonSet or of the system,
// and one whose namespace has not been seen yet, since nobody can tell its class.
func (x *Index) exempt(pod *corev1.Pod) bool {
	if _, seen := x.namespaces[pod.Namespace]; !seen {
		return true
	}
	owner := metav1.GetControllerOf(pod)
	return slices.Contains(systemNamespaces, pod.Namespace) || owner != nil && owner.Kind == "DaemonSet"
}

// node converts a node by name. One that has not been seen yet belongs to no pool and is
// empty, so that it is neither refused nor preferred.
func (x *Index) node(name string) extender.Node {
	entry := x.nodes[name]
	if entry == nil {
		return extender.Node{Name: name}
	}
	u := x.used[name]
	return extender.Node{
		Name: name, Pool: entry.pool, Allocatable: entry.allocatable,
		Real: u.real, Placeholders: u.placeholders, Leaving: entry.leaving,
	}
}

// victim converts a pod that would be deleted; one that is not known is taken for real work.
func (x *Index) victim(uid types.UID) extender.Victim {
	entry := x.pods[uid]
	return extender.Victim{UID: uid, Pool: entry.pool, Requests: entry.requests}
}

// Filter decides about nodes by name.
func (x *Index) Filter(pod *corev1.Pod, nodes []string) []extender.Verdict {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return extender.Filter(x.pod(pod), x.convert(nodes), x.held)
}

// Score rates nodes by name.
func (x *Index) Score(pod *corev1.Pod, nodes []string) []int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return extender.Score(x.pod(pod), x.convert(nodes), x.held)
}

// SelectVictims chooses among victims given by UID per node name.
func (x *Index) SelectVictims(pod *corev1.Pod, candidates map[string][]types.UID) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	converted := make(map[string]extender.Victims, len(candidates))
	for node, uids := range candidates {
		var v extender.Victims
		for _, uid := range uids {
			v.Pods = append(v.Pods, x.victim(uid))
		}
		converted[node] = v
	}
	var chosen []string
	for node := range extender.SelectVictims(x.pod(pod), converted, x.held) {
		chosen = append(chosen, node)
	}
	slices.Sort(chosen)
	return chosen
}

func (x *Index) convert(names []string) []extender.Node {
	nodes := make([]extender.Node, len(names))
	for i, name := range names {
		nodes[i] = x.node(name)
	}
	return nodes
}

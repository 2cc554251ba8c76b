package handler

import (
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender"
	"forewarm.dev/extender/devices"
	"forewarm.dev/extender/waiting"
	"forewarm.dev/extender/wire"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
)

// systemNamespaces hold pods that are never kept off a node.
var systemNamespaces = []string{metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease, v1alpha1.SystemNamespace}

// holdFor is how long a pod is expected on the node that we sent it to: longer than the
// scheduler waits before it tries again (10 s at most) and than a binding takes.
const holdFor = 15 * time.Second

// nominatedFor is how long room that was made for a pod is taken for its own since the pod was
// last seen; victims may take that long to end.
const nominatedFor = 10 * time.Minute

// settleFor is how far the scheduler may be behind in what it has seen: a cycle of its loop and a
// bit.
const settleFor = time.Second

// Index is what the extender knows of the cluster, kept up to date by informer events so
// that an answer needs no list and no request.
type Index struct {
	placeholders string // namespace of the placeholder pods
	now          func() time.Time
	behind       func() bool
	names        wire.Names

	mu         sync.Mutex
	nodes      map[string]*nodeEntry
	pods       map[types.UID]podEntry
	namespaces map[string]namespace
	pools      map[string]*v1alpha1.WarmPool
	heard      map[string]time.Time // when the reserver last planned, by pool
	classes    []demand.Class
	held       []extender.Held
	holds      extender.Holds
	claims     map[types.UID]claim      // by placeholder
	told       map[types.UID]told       // by the pod that waits
	pending    map[types.UID]pendingPod // those that are on no node and stay
	ahead      ahead
	waiting    *waiting.Pods
	rests      time.Time // until when we delete nothing
	devices    *devices.Devices
}

// nodeEntry is a node, or what is known of one by its pods alone.
type nodeEntry struct {
	extender.Node
	known  bool
	labels labels.Set
	object *corev1.Node
	// offered is what the node itself says that it has, without devices of claims.
	offered quantity.Vector
	// settles is until when the scheduler may not have seen that a taken placeholder is gone.
	settles time.Time
	// rests is until when we delete nothing there.
	rests time.Time
}

// podEntry is what a pod holds on its node.
type podEntry struct {
	key      types.NamespacedName
	version  string
	node     string
	pool     string // of a placeholder
	requests quantity.Vector
	// implicit is what it requests as it says itself, if that is by the implicit name of a DeviceClass.
	implicit quantity.Vector
	priority int32
	tied     bool
}

// NewIndex makes an empty index.
func NewIndex(placeholderNamespace string) *Index {
	x := &Index{
		placeholders: placeholderNamespace, now: time.Now, behind: func() bool { return false },
		nodes: map[string]*nodeEntry{}, pods: map[types.UID]podEntry{},
		namespaces: map[string]namespace{}, pools: map[string]*v1alpha1.WarmPool{}, heard: map[string]time.Time{},
		claims: map[types.UID]claim{}, told: map[types.UID]told{}, pending: map[types.UID]pendingPod{},
		devices: devices.New(), ahead: newAhead(),
	}
	x.waiting = waiting.New(x.freed)
	return x
}

// Doubt has it decide and delete nothing while behind tells that the API server was not heard for too long.
// It is to be called before anything else.
func (x *Index) Doubt(behind func() bool) { x.behind = behind }

// entry is the entry of a node; it is made if there is none.
func (x *Index) entry(name string) *nodeEntry {
	e := x.nodes[name]
	if e == nil {
		e = &nodeEntry{Node: extender.Node{Name: name}}
		x.nodes[name] = e
	}
	return e
}

// forget removes the entry of a node that nothing is known of any more.
func (x *Index) forget(e *nodeEntry) {
	if !e.known && len(e.Stand) == 0 && e.Real[corev1.ResourcePods]+e.Placeholders[corev1.ResourcePods] <= 0 && len(e.Tentative) == 0 {
		delete(x.nodes, e.Name)
	}
}

// SetNode adds or changes a node.
func (x *Index) SetNode(node *corev1.Node) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setNode(node)
}

func (x *Index) setNode(node *corev1.Node) {
	x.names.Add(node.Name)
	e := x.entry(node.Name)
	e.known, e.labels, e.object, e.Leaving = true, node.Labels, node, demand.Leaving(node)
	e.Domain, e.Shares = extender.DomainOf(node), extender.SharesOf(node)
	e.offered = quantity.Of(node.Status.Allocatable)
	e.Pool = x.poolOf(e.labels)
	x.offer(e)
}

// DropNode removes a node.
func (x *Index) DropNode(node *corev1.Node) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropNode(node.Name)
}

func (x *Index) dropNode(name string) {
	x.names.Remove(name)
	e := x.nodes[name]
	if e == nil {
		return
	}
	rest := &nodeEntry{Node: extender.Node{Name: e.Name, Real: e.Real, Placeholders: e.Placeholders, Tentative: e.Tentative, Stand: e.Stand}}
	x.nodes[name] = rest
	x.forget(rest)
}

// SetPod adds or changes a pod; one that has ended holds nothing. A placeholder is known
// before it is bound: the scheduler may offer it as a victim before we see the binding.
func (x *Index) SetPod(pod *corev1.Pod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setPod(pod)
}

func (x *Index) setPod(pod *corev1.Pod) {
	if Ended(pod) {
		x.dropPod(pod.UID)
		return
	}
	x.drop(pod.UID)
	x.waiting.Drop(pod.UID)
	before := x.pending[pod.UID]
	delete(x.pending, pod.UID)
	pool := x.placeholderOf(pod)
	switch {
	case pod.Spec.NodeName != "":
		x.took(pod.UID, pod.Spec.NodeName)
		x.withdraw(pod.UID)
		x.release(pod.UID)
		x.unclaim(pod.UID)
		delete(x.told, pod.UID)
	default:
		if pod.DeletionTimestamp == nil {
			x.pending[pod.UID] = x.arrived(pod, before)
		}
		x.expect(pod)
		x.join(pod)
		if pool == "" {
			return
		}
	}
	e := podEntry{
		key: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, version: pod.ResourceVersion,
		node: pod.Spec.NodeName, pool: pool, requests: quantity.OfPod(pod), priority: priorityOf(pod), tied: extender.Tied(pod),
	}
	if devices.Implicit(e.requests) {
		e.implicit, e.requests = e.requests, x.devices.Counted(maps.Clone(e.requests))
	}
	x.pods[pod.UID] = e
	if of := repelling(pod); pod.Spec.NodeName != "" && len(of) > 0 {
		x.ahead.repelling[pod.UID] = of
	}
	x.count(pod.UID, e, 1)
}

// count adds n times what a pod requests to its node, if it has one.
func (x *Index) count(uid types.UID, pod podEntry, n int64) {
	if pod.node == "" {
		return
	}
	e := x.entry(pod.node)
	if pod.pool == "" {
		e.Real = e.Real.Plus(pod.requests.Times(n))
	} else {
		e.Placeholders = e.Placeholders.Plus(pod.requests.Times(n))
		e.stand(extender.Victim{UID: uid, Pool: pod.pool, Requests: pod.requests, Priority: pod.priority, Taken: x.taken(uid)}, n > 0)
	}
	x.forget(e)
}

// stand adds a placeholder to those on the node, or takes it away. The list is made anew.
func (e *nodeEntry) stand(placeholder extender.Victim, there bool) {
	var rest []extender.Victim
	for _, other := range e.Stand {
		if other.UID != placeholder.UID {
			rest = append(rest, other)
		}
	}
	if there {
		rest = append(rest, placeholder)
	}
	e.Stand = rest
}

// DropPod removes a pod.
func (x *Index) DropPod(pod *corev1.Pod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropPod(pod.UID)
}

func (x *Index) dropPod(uid types.UID) {
	x.settle(uid)
	x.drop(uid)
	x.waiting.Drop(uid)
	delete(x.told, uid)
	delete(x.pending, uid)
}

// settle ends what is open about a pod that is no more: where it was expected, what it was given,
// and to whom it was given itself.
func (x *Index) settle(uid types.UID) {
	x.withdraw(uid)
	x.release(uid)
	x.unclaim(uid)
	if x.taken(uid) {
		x.gone(uid)
		delete(x.claims, uid)
		if e := x.nodes[x.pods[uid].node]; e != nil {
			e.settles = x.now().Add(settleFor)
		}
	}
}

// drop takes a pod from its node.
func (x *Index) drop(uid types.UID) {
	delete(x.ahead.repelling, uid)
	if entry, ok := x.pods[uid]; ok {
		delete(x.pods, uid)
		x.count(uid, entry, -1)
	}
}

// namespace is what is known of one.
type namespace struct {
	labels  labels.Set
	version string
}

// SetNamespace adds or changes a namespace: pods in it may be of another class then.
func (x *Index) SetNamespace(object *corev1.Namespace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setNamespace(object)
}

func (x *Index) setNamespace(object *corev1.Namespace) {
	before := x.namespaces[object.Name]
	x.namespaces[object.Name] = namespace{object.Labels, object.ResourceVersion}
	if !maps.Equal(before.labels, object.Labels) {
		x.waiting.Wake()
	}
}

// DropNamespace removes a namespace.
func (x *Index) DropNamespace(namespace *corev1.Namespace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.namespaces, namespace.Name)
}

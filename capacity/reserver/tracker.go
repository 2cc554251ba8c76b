package reserver

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/room"
	"forewarm.dev/capacity/spec"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
)

// class is the demand of one pool: whose requests count, and for which chunk.
type class struct {
	demand.Class
	chunks []capacity.Chunk
	// fitting tells which pods fit no node of the pool.
	fitting *room.Fitting
}

// newClass compiles a pool. The error names the field.
func newClass(pool *v1alpha1.WarmPool) (class, error) {
	compiled, err := demand.Compile(pool)
	if err != nil {
		return class{}, err
	}
	chunks, err := spec.Chunks(pool)
	return class{Class: compiled, chunks: chunks}, err
}

// key is a chunk of a pool.
type key struct{ pool, chunk string }

// share is what one pod adds to the demand of a key.
type share struct {
	key    key
	amount float64
	// stuck pods find no room, and cannot preempt a placeholder.
	stuck bool
	// never is of pods that fit no node of the pool, and so ask for nothing.
	never bool
}

// tracker keeps the demand of real pods per chunk, and its highest value since it was last
// asked, so that a peak between two plans is not missed. Pod events change it at once; each
// cycle rebuilds it from the informers, which repairs whatever it may have missed.
type tracker struct {
	placeholders string // namespace of the placeholder pods
	priority     int32  // of the placeholder pods

	mu         sync.Mutex
	classes    []demand.Class
	chunks     map[string][]capacity.Chunk
	fitting    map[string]*room.Fitting
	namespaces map[string]labels.Set
	shares     map[types.UID]share
	sums       map[key]float64
	peaks      map[key]float64
}

func newTracker(placeholderNamespace string, priority int32) *tracker {
	return &tracker{
		placeholders: placeholderNamespace, priority: priority,
		shares: map[types.UID]share{}, sums: map[key]float64{}, peaks: map[key]float64{},
	}
}

// rebuild counts all pods anew for the classes and namespaces of now.
func (t *tracker) rebuild(classes []class, namespaces map[string]labels.Set, pods []*corev1.Pod) {
	compiled, chunks, fitting := make([]demand.Class, 0, len(classes)), map[string][]capacity.Chunk{}, map[string]*room.Fitting{}
	for _, c := range classes {
		compiled = append(compiled, c.Class)
		chunks[c.Pool], fitting[c.Pool] = c.chunks, c.fitting
	}
	demand.Sort(compiled)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.classes, t.chunks, t.fitting, t.namespaces = compiled, chunks, fitting, namespaces
	t.shares, t.sums = map[types.UID]share{}, map[key]float64{}
	for _, pod := range pods {
		t.set(pod)
	}
}

// observe counts a pod that was added or changed, and tells whether it is stuck.
func (t *tracker) observe(pod *corev1.Pod) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(pod)
	return t.shares[pod.UID].stuck
}

// stuckPods are the pods of all pools that are stuck.
func (t *tracker) stuckPods() []types.UID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var uids []types.UID
	for uid, s := range t.shares {
		if s.stuck {
			uids = append(uids, uid)
		}
	}
	return uids
}

// poolOf is the pool whose demand a pod is part of; empty for none.
func (t *tracker) poolOf(uid types.UID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shares[uid].key.pool
}

// fitsNone tells of a pod whether it fits no node of its pool.
func (t *tracker) fitsNone(uid types.UID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shares[uid].never
}

// wouldBe is what a pod that does not exist yet would add, and to which key. Where it may run counts for nothing:
// who admits it may change that.
func (t *tracker) wouldBe(pod *corev1.Pod) (of key, amount float64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	anywhere := *pod
	anywhere.Spec.NodeSelector, anywhere.Spec.Affinity, anywhere.Spec.Tolerations = nil, nil, []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	s, ok := t.shareOf(&anywhere)
	return s.key, s.amount, ok
}

// forget drops a pod that is gone.
func (t *tracker) forget(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(uid)
}

// take returns the demand now and its peak since the last interval ended; anew, where another has.
func (t *tracker) take(k key, ended bool) (current, peak float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	current = t.sums[k]
	peak = max(t.peaks[k], current)
	if ended {
		t.peaks[k] = current
	}
	return current, peak
}

// sum is the demand of some of the pods.
func (t *tracker) sum(pods []*corev1.Pod, of func(*corev1.Pod) bool) map[key]float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	sums := map[key]float64{}
	for _, pod := range pods {
		if !of(pod) { // of few, and cheaper to ask
			continue
		}
		if s, ok := t.shares[pod.UID]; ok {
			sums[s.key] += s.amount
		}
	}
	return sums
}

// poolsOf are the pools that select a node.
func (t *tracker) poolsOf(node *corev1.Node) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var pools []string
	for _, c := range t.classes {
		if c.Nodes.Matches(labels.Set(node.Labels)) {
			pools = append(pools, c.Pool)
		}
	}
	return pools
}

// unschedulable tells that the scheduler has tried a pod, found no room, and makes none by
// preemption: it asks for a node.
func unschedulable(pod *corev1.Pod) bool {
	if pod.Spec.NodeName != "" || pod.Status.NominatedNodeName != "" {
		return false
	}
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
}

func (t *tracker) set(pod *corev1.Pod) {
	t.drop(pod.UID)
	s, ok := t.shareOf(pod)
	if !ok {
		return
	}
	t.shares[pod.UID] = s
	t.sums[s.key] += s.amount
	t.peaks[s.key] = max(t.peaks[s.key], t.sums[s.key])
}

func (t *tracker) drop(uid types.UID) {
	if s, ok := t.shares[uid]; ok {
		t.sums[s.key] -= s.amount
		delete(t.shares, uid)
	}
}

// shareOf is what a pod adds to which key. Pods behind a scheduling gate ask for nothing
// yet, those that fit no node of their pool never do, and placeholders are no demand.
func (t *tracker) shareOf(pod *corev1.Pod) (share, bool) {
	if placeholder.Terminal(pod) || len(pod.Spec.SchedulingGates) > 0 || demand.IsPlaceholder(pod, t.placeholders) {
		return share{}, false
	}
	owner := demand.Owner(t.classes, pod, t.namespaces[pod.Namespace])
	if owner < 0 {
		return share{}, false
	}
	c := t.classes[owner]
	index, amount, ok := capacity.Shape(t.chunks[c.Pool], c.Resource, quantity.OfPod(pod))
	if !ok {
		return share{}, false
	}
	s := share{key: key{c.Pool, t.chunks[c.Pool][index].Name}, amount: amount, stuck: unschedulable(pod) && powerless(pod, t.priority)}
	if pod.Spec.NodeName == "" && t.fitting[c.Pool].Never(pod) {
		s.amount, s.never = 0, true
	}
	return s, true
}

package play

import (
	"context"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// span is a time during which something was there; a zero end is not over.
type span struct{ from, to time.Time }

// within is how much of the span lies in a window.
func (s span) within(from, to time.Time) time.Duration {
	end := s.to
	if end.IsZero() || end.After(to) {
		end = to
	}
	begin := s.from
	if begin.Before(from) {
		begin = from
	}
	return max(end.Sub(begin), 0)
}

type nodeSeen struct {
	span
	gpus float64
	// ran is when the first pod ran there that had waited for the node.
	ran time.Time
}

type podSeen struct {
	span // running
	job  string
	gpus float64
	node string
	// refused: the scheduler found no room for it.
	refused bool
}

// heldSeen is a placeholder that ran on a node.
type heldSeen struct {
	span
	node string
}

// planSeen is what the reserver said of its chunks.
type planSeen struct {
	at     time.Time
	chunks []v1alpha1.ChunkStatus
}

// recorder notes, with its own clock, when nodes come and go and pods run.
type recorder struct {
	mu        sync.Mutex
	claims    map[string]time.Time // when each NodeClaim was first seen
	asked     map[string]time.Time // the same by the name of its node
	nodes     map[string]*nodeSeen
	pods      map[types.UID]*podSeen
	taken     map[types.UID]time.Time
	waitingPH map[types.UID]bool      // placeholders without a node
	heldPH    map[types.UID]bool      // running placeholders
	seen      map[types.UID]time.Time // when each pod was first seen without a gate
	held      map[types.UID]*heldSeen // placeholders that have run
	plans     []planSeen
}

// record starts watching, WarmPools too where there are any; it ends with ctx.
func record(ctx context.Context, c *cluster.Cluster, pools bool) (*recorder, error) {
	r := &recorder{
		claims: map[string]time.Time{}, asked: map[string]time.Time{},
		nodes: map[string]*nodeSeen{}, pods: map[types.UID]*podSeen{}, taken: map[types.UID]time.Time{},
		waitingPH: map[types.UID]bool{}, heldPH: map[types.UID]bool{}, seen: map[types.UID]time.Time{},
		held: map[types.UID]*heldSeen{},
	}
	restConfig := c.RESTConfig()
	restConfig.QPS = -1
	clients, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(clients, 0)
	pods, nodes := factory.Core().V1().Pods().Informer(), factory.Core().V1().Nodes().Informer()
	if _, err := pods.AddEventHandler(handlers(r.pod, r.podGone)); err != nil {
		return nil, err
	}
	if _, err := nodes.AddEventHandler(handlers(r.node, r.nodeGone)); err != nil {
		return nil, err
	}
	anyKind, err := dynamic.NewForConfig(restConfig)
	if err != nil {
		return nil, err
	}
	dynamics := dynamicinformer.NewDynamicSharedInformerFactory(anyKind, 0)
	claims := dynamics.ForResource(nodeClaims).Informer()
	if _, err := claims.AddEventHandler(handlers(r.claim, func(*unstructured.Unstructured) {})); err != nil {
		return nil, err
	}
	if pools {
		if _, err := dynamics.ForResource(warmPools).Informer().AddEventHandler(handlers(r.pool, func(*unstructured.Unstructured) {})); err != nil {
			return nil, err
		}
	}
	factory.Start(ctx.Done())
	dynamics.Start(ctx.Done())
	if !toolscache.WaitForCacheSync(ctx.Done(), pods.HasSynced, nodes.HasSynced, claims.HasSynced) {
		return nil, fmt.Errorf("watch pods and nodes: %w", context.Cause(ctx))
	}
	return r, nil
}

func handlers[T any](seen, gone func(T)) toolscache.ResourceEventHandlerFuncs {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { seen(object.(T)) },
		UpdateFunc: func(_, object any) { seen(object.(T)) },
		DeleteFunc: func(object any) {
			if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			gone(object.(T))
		},
	}
}

var (
	nodeClaims = schema.GroupVersionResource{Group: "karpenter.sh", Version: "v1", Resource: "nodeclaims"}
	warmPools  = v1alpha1.GroupVersion.WithResource("warmpools")
)

// pool notes what the reserver says of its chunks, where that is news.
func (r *recorder) pool(object *unstructured.Unstructured) {
	var pool v1alpha1.WarmPool
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pool); err != nil {
		return // ours, and valid
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	chunks := pool.Status.Chunks
	if n := len(r.plans); len(chunks) > 0 && (n == 0 || !equality.Semantic.DeepEqual(r.plans[n-1].chunks, chunks)) {
		r.plans = append(r.plans, planSeen{time.Now(), chunks})
	}
}

// claim notes when Karpenter asked for a node.
func (r *recorder) claim(claim *unstructured.Unstructured) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.claims[claim.GetName()]; !known {
		r.claims[claim.GetName()] = time.Now()
	}
	if name, _, _ := unstructured.NestedString(claim.Object, "status", "nodeName"); name != "" {
		r.asked[name] = r.claims[claim.GetName()] // the node itself may be told of later
	}
}

func (r *recorder) node(node *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.nodes[node.Name] == nil {
		r.nodes[node.Name] = &nodeSeen{span: span{from: time.Now()}}
	}
	gpus := node.Status.Allocatable[cluster.GPU] // Karpenter's KWOK provider writes requests as capacity
	r.nodes[node.Name].gpus = float64(gpus.Value())
}

func (r *recorder) nodeGone(node *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen := r.nodes[node.Name]; seen != nil {
		seen.to = time.Now()
	}
}

func (r *recorder) pod(pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ranOn(pod)
	if job := pod.Labels[batchv1.JobNameLabel]; job != "" {
		r.realPod(pod, job)
		return
	}
	if pod.Spec.PriorityClassName != v1alpha1.PlaceholderPriorityClass && pod.Spec.PriorityClassName != constantClass {
		return
	}
	delete(r.waitingPH, pod.UID)
	delete(r.heldPH, pod.UID)
	switch {
	case preempted(pod):
		if _, known := r.taken[pod.UID]; !known {
			r.taken[pod.UID] = time.Now()
		}
	case pod.Status.Phase == corev1.PodRunning:
		r.heldPH[pod.UID] = true
		if r.held[pod.UID] == nil {
			r.held[pod.UID] = &heldSeen{span: span{from: time.Now()}, node: pod.Spec.NodeName}
		}
	case len(pod.Spec.SchedulingGates) == 0:
		r.waitingPH[pod.UID] = true
	}
}

// ranOn notes the first pod on a node that had waited for it.
func (r *recorder) ranOn(pod *corev1.Pod) {
	if _, known := r.seen[pod.UID]; !known && len(pod.Spec.SchedulingGates) == 0 {
		r.seen[pod.UID] = time.Now()
	}
	node, seen := r.nodes[pod.Spec.NodeName], r.seen[pod.UID]
	if node != nil && node.ran.IsZero() && pod.Status.Phase == corev1.PodRunning && seen.Before(node.from) {
		node.ran = time.Now()
	}
}

func (r *recorder) realPod(pod *corev1.Pod, job string) {
	seen := r.pods[pod.UID]
	if seen == nil {
		gpus := pod.Spec.Containers[0].Resources.Requests[cluster.GPU]
		seen = &podSeen{job: job, gpus: float64(gpus.Value())}
		r.pods[pod.UID] = seen
	}
	seen.node = pod.Spec.NodeName
	seen.refused = seen.refused || unschedulable(pod)
	switch pod.Status.Phase {
	case corev1.PodRunning:
		if seen.from.IsZero() {
			seen.from = time.Now()
		}
	case corev1.PodSucceeded, corev1.PodFailed:
		if seen.from.IsZero() {
			seen.from = time.Now()
		}
		if seen.to.IsZero() {
			seen.to = time.Now()
		}
	}
}

func unschedulable(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return true
		}
	}
	return false
}

func preempted(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Reason == corev1.PodReasonPreemptionByScheduler {
			return true
		}
	}
	return false
}

func (r *recorder) podGone(pod *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waitingPH, pod.UID)
	delete(r.heldPH, pod.UID)
	if held := r.held[pod.UID]; held != nil {
		held.to = time.Now()
	}
	if seen := r.pods[pod.UID]; seen != nil && !seen.from.IsZero() && seen.to.IsZero() {
		seen.to = time.Now()
	}
}

// counts is the state of now; started are the pods that run or ran.
type counts struct{ nodes, started, running, waiting, held, asked int }

func (r *recorder) counts() counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := counts{held: len(r.heldPH), asked: len(r.waitingPH)}
	for _, node := range r.nodes {
		if node.to.IsZero() {
			c.nodes++
		}
	}
	for _, pod := range r.pods {
		switch {
		case pod.from.IsZero():
			c.waiting++
			continue
		case pod.to.IsZero():
			c.running++
		}
		c.started++
	}
	return c
}

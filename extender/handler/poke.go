package handler

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/api/v1alpha1"
)

// waiting are the pods that the scheduler could not place and that we have refused nodes. It
// retries them by itself after five minutes, or when a pod or a node changes; a WarmPool is
// neither.
type waiting struct {
	pods map[types.UID]waitingPod
	// due are the pods that need not wait any more.
	due map[types.UID]bool
	// wake has an element when there are such.
	wake chan struct{}
}

type waitingPod struct {
	key      types.NamespacedName
	priority int32
	since    time.Time
	// pools are those for whose sake nodes were refused.
	pools []string
}

func newWaiting() waiting {
	return waiting{pods: map[types.UID]waitingPod{}, due: map[types.UID]bool{}, wake: make(chan struct{}, 1)}
}

func (w *waiting) drop(uid types.UID) {
	delete(w.pods, uid)
	delete(w.due, uid)
}

// await remembers a pod by the scheduler's message, which carries our reasons, so that a restart
// of ours forgets nobody. A pod that was touched since is not waiting: its message is old.
func (x *Index) await(pod *corev1.Pod, message string) {
	pools := refusedFor(message)
	if len(pools) == 0 {
		return
	}
	x.waiting.pods[pod.UID] = waitingPod{
		key: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, priority: priorityOf(pod),
		since: pod.CreationTimestamp.Time, pools: pools,
	}
	if touched := pod.Annotations[v1alpha1.AnnotationRequeued]; touched != "" && touched == x.touch(pools) {
		return
	}
	x.rouse(pod.UID, pools)
}

// refusedFor are the pools that a message of the scheduler names in our words.
func refusedFor(message string) []string {
	var pools []string
	for rest := message; ; {
		_, after, found := strings.Cut(rest, "kept warm for the demand class of WarmPool ")
		if !found {
			return pools
		}
		name, tail, _ := strings.Cut(after, ",")
		if !slices.Contains(pools, name) {
			pools = append(pools, name)
		}
		rest = tail
	}
}

// touch is the value of the annotation: which pool, in which version, let the pod go. It is the
// same in every replica, so that a second touch changes nothing.
func (x *Index) touch(pools []string) string {
	for _, name := range pools {
		if x.holding(name) {
			continue
		}
		if pool := x.pools[name]; pool != nil {
			return name + "/" + pool.ResourceVersion
		}
		return name + "/gone"
	}
	return ""
}

// wake makes the pods due whose pool holds nothing any more.
func (x *Index) wake() {
	for uid, pod := range x.waiting.pods {
		x.rouse(uid, pod.pools)
	}
}

// rouse makes a pod due if one of the pools that it was refused for holds nothing any more.
func (x *Index) rouse(uid types.UID, pools []string) {
	if x.touch(pools) == "" {
		return
	}
	x.waiting.due[uid] = true
	select {
	case x.waiting.wake <- struct{}{}:
	default:
	}
}

// Due takes the pod out that is to be touched first, with the value of the annotation: the highest
// priority, then who has waited longest.
func (x *Index) Due() (pod types.NamespacedName, value string, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.waiting.due) > 0 {
		first := slices.MinFunc(slices.Collect(maps.Keys(x.waiting.due)), func(a, b types.UID) int {
			p, q := x.waiting.pods[a], x.waiting.pods[b]
			return cmp.Or(cmp.Compare(q.priority, p.priority), p.since.Compare(q.since), cmp.Compare(a, b))
		})
		waits := x.waiting.pods[first]
		x.waiting.drop(first)
		if value := x.touch(waits.pools); value != "" { // else the pool holds again
			return waits.key, value, true
		}
	}
	return types.NamespacedName{}, "", false
}

// Woken has an element when pods have become due.
func (x *Index) Woken() <-chan struct{} { return x.waiting.wake }

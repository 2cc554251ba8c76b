package handler

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// pokeEvery bounds how often pods are touched: 50 a second.
const pokeEvery = 20 * time.Millisecond

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
	x.wake()
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
		if x.touch(pod.pools) != "" {
			x.waiting.due[uid] = true
		}
	}
	if len(x.waiting.due) > 0 {
		select {
		case x.waiting.wake <- struct{}{}:
		default:
		}
	}
}

// due takes the pod out that comes first: the highest priority, then who has waited longest.
func (x *Index) due() (pod waitingPod, value string, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	first := types.UID("")
	for uid := range x.waiting.due {
		a, b := x.waiting.pods[uid], x.waiting.pods[first]
		if first == "" || cmp.Or(cmp.Compare(b.priority, a.priority), a.since.Compare(b.since), cmp.Compare(uid, first)) < 0 {
			first = uid
		}
	}
	if first == "" {
		return waitingPod{}, "", false
	}
	pod = x.waiting.pods[first]
	x.waiting.drop(first)
	value = x.touch(pod.pools)
	return pod, value, value != ""
}

// Poker touches pods that wait for a reason which is gone, so that the scheduler tries them again
// at once. Every replica does: they write the same, and the second changes nothing.
type Poker struct {
	Index   *Index
	Client  client.Client
	Metrics *Metrics
	Log     logr.Logger
}

// NeedLeaderElection says that every replica pokes.
func (p *Poker) NeedLeaderElection() bool { return false }

// Start pokes until ctx ends.
func (p *Poker) Start(ctx context.Context) error {
	tick := time.NewTicker(pokeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.Index.waiting.wake:
		}
		for p.next(ctx) {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	}
}

// next pokes one pod; false if none is due.
func (p *Poker) next(ctx context.Context) bool {
	pod, value, ok := p.Index.due()
	if !ok {
		p.Index.mu.Lock()
		defer p.Index.mu.Unlock()
		return len(p.Index.waiting.due) > 0
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationRequeued: value}}})
	if err == nil {
		target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.key.Namespace, Name: pod.key.Name}}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		err = client.IgnoreNotFound(p.Client.Patch(ctx, target, client.RawPatch(types.MergePatchType, patch)))
	}
	result := "ok"
	if err != nil {
		result = "failed"
		p.Log.Error(err, "Pod not touched; the scheduler retries it within five minutes", "pod", pod.key)
	}
	p.Metrics.pokes.WithLabelValues(result).Inc()
	return true
}

// Package waiting keeps the pods that the scheduler could not place and that the extender has refused
// nodes. The scheduler retries them by itself after five minutes, or when a pod or a node changes; a
// WarmPool and a Namespace are neither. It is not safe for concurrent use.
package waiting

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A pod that could not be touched is tried again after retryAfter, twice as long each time it fails
// again, retryAtMost at most.
const (
	retryAfter  = time.Second
	retryAtMost = time.Minute
)

// Pod is one that waits.
type Pod struct {
	types.NamespacedName
	UID      types.UID
	Priority int32
	Since    time.Time
	// Pools are those for whose sake nodes were refused.
	Pools []string

	failures int
	next     time.Time // when it may be touched; zero for now
}

// Pods are those that wait.
type Pods struct {
	// freed says what let a pod go, in a word that is another each time; empty if nothing has.
	freed func(Pod) string
	pods  map[types.UID]Pod
	// due are the pods that need not wait any more.
	due map[types.UID]bool
	// wake has an element when there are such.
	wake chan struct{}
}

// New knows of nobody that waits.
func New(freed func(Pod) string) *Pods {
	return &Pods{freed: freed, pods: map[types.UID]Pod{}, due: map[types.UID]bool{}, wake: make(chan struct{}, 1)}
}

// Drop forgets a pod.
func (p *Pods) Drop(uid types.UID) {
	delete(p.pods, uid)
	delete(p.due, uid)
}

// Await remembers a pod by the scheduler's message, which carries our reasons, so that a restart of
// ours forgets nobody. A pod that was touched since is not due: its message is old.
func (p *Pods) Await(pod Pod, message, touched string) {
	if pod.Pools = refusedFor(message); len(pod.Pools) == 0 {
		return
	}
	p.pods[pod.UID] = pod
	if touched == "" || touched != p.freed(pod) {
		p.rouse(pod)
	}
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

// Wake makes the pods due that something has let go.
func (p *Pods) Wake() {
	for _, pod := range p.pods {
		p.rouse(pod)
	}
}

func (p *Pods) rouse(pod Pod) {
	if p.freed(pod) == "" {
		return
	}
	p.due[pod.UID] = true
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Woken has an element when pods have become due. Of those that Retry puts back it does not tell.
func (p *Pods) Woken() <-chan struct{} { return p.wake }

// Due takes the pod out that is to be touched first, with what let it go: the highest priority, then
// who has waited longest.
func (p *Pods) Due(now time.Time) (pod Pod, value string, ok bool) {
	for {
		pod, ok = p.first(now)
		if !ok {
			return Pod{}, "", false
		}
		if value = p.freed(pod); value != "" {
			p.Drop(pod.UID)
			return pod, value, true
		}
		delete(p.due, pod.UID) // it is refused again, and goes on waiting
	}
}

// first is the first of those that are due and may be touched now.
func (p *Pods) first(now time.Time) (first Pod, ok bool) {
	for uid := range p.due {
		pod := p.pods[uid]
		if now.Before(pod.next) {
			continue
		}
		if !ok || cmp.Or(cmp.Compare(first.Priority, pod.Priority), pod.Since.Compare(first.Since), cmp.Compare(pod.UID, first.UID)) < 0 {
			first, ok = pod, true
		}
	}
	return first, ok
}

// Retry puts a pod back that could not be touched.
func (p *Pods) Retry(pod Pod, now time.Time) {
	if _, anew := p.pods[pod.UID]; anew { // there has been news of it, and it is looked at anyway
		return
	}
	pod.next = now.Add(min(retryAfter<<min(pod.failures, 10), retryAtMost))
	pod.failures++
	p.pods[pod.UID], p.due[pod.UID] = pod, true
}

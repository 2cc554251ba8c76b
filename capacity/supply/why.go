package supply

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/capacity/clusterautoscaler"
	"forewarm.dev/capacity/karpenter"
	"forewarm.dev/capacity/placeholder"
)

// longestWhy is what status takes of it.
const longestWhy = 512

// source is an event by which an autoscaler says of a pod whether it gets a node.
type source struct{ reason, component string }

// refuses tells what they say. A new one is a row here.
var refuses = map[source]bool{
	{"NotTriggerScaleUp", "cluster-autoscaler"}: true,
	{"TriggeredScaleUp", "cluster-autoscaler"}:  false,
	{"FailedScheduling", "karpenter"}:           true,
	{"Nominated", "karpenter"}:                  false,
}

// Said is what autoscalers say of placeholders that wait for nodes.
type Said struct {
	// Of is why some of them get none, by their names.
	Of map[string]string
	// newest is what was refused last.
	newest string
	// groups are what is said of NodePools and node groups.
	groups []string
	// words are the newest on each of them.
	words map[types.UID]word
}

// word is one that an autoscaler has said of a placeholder.
type word struct {
	at      time.Time
	refuses bool
}

// Why is all of it that is about the pool.
func (s Said) Why() string {
	says := s.groups
	if s.newest != "" {
		says = append(slices.Clone(says), s.newest)
	}
	return cut(strings.Join(says, "; "))
}

func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), longestWhy)], "") }

// Names are those of a pool's NodePools, and words of the names of its node groups.
type Names struct{ NodePools, Words []string }

// heard is what autoscalers say, of all pools.
type heard struct {
	// events are theirs, the newest first.
	events []corev1.Event
	groups clusterautoscaler.Status
}

// listen reads it. Events are those of autoscalers alone: schedulers and kubelets say more.
func listen(ctx context.Context, live client.Reader, namespace string) (h heard, err error) {
	if h.groups, err = clusterautoscaler.Read(ctx, live); err != nil {
		return h, err
	}
	var components []string
	for by := range refuses {
		components = append(components, by.component)
	}
	slices.Sort(components)
	for _, component := range slices.Compact(components) {
		var list corev1.EventList
		if err := live.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"source": component}); err != nil {
			return h, fmt.Errorf("list events of placeholder pods: %w", err)
		}
		h.events = append(h.events, list.Items...)
	}
	slices.SortStableFunc(h.events, func(a, b corev1.Event) int { return when(b).Compare(when(a)) })
	return h, nil
}

// of is what it says of a pool: of each placeholder the newest event, of NodeClaims why they were not launched, of
// node groups why they do not grow.
func (h heard) of(waiting []*corev1.Pod, claims, words []string) Said {
	said := Said{Of: map[string]string{}, words: map[types.UID]word{}, groups: slices.Concat(claims, h.groups.Refusals(words))}
	for _, event := range h.events {
		of := event.InvolvedObject
		refused, known := refuses[source{event.Reason, sourceOf(event)}]
		if _, told := said.words[of.UID]; !known || told || !slices.ContainsFunc(waiting, func(pod *corev1.Pod) bool { return pod.UID == of.UID }) {
			continue
		}
		said.words[of.UID] = word{when(event), refused} // what was said of it before is out of date
		if refused {
			said.Of[of.Name] = cut(sourceOf(event) + ": " + event.Message)
			said.newest = cmp.Or(said.newest, said.Of[of.Name])
		}
	}
	return said
}

// Waiting are the placeholders that have waited for a node for longer than autoscalers take to say something.
func Waiting(placeholders []*corev1.Pod, now time.Time) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(placeholders), func(pod *corev1.Pod) bool {
		at, ok := placeholder.Ungated(pod)
		return !ok || pod.Spec.NodeName != "" || now.Sub(at) < askAfter || placeholder.Terminal(pod)
	})
}

const (
	// askAfter is how long a placeholder waits before anybody is asked why.
	askAfter = 10 * time.Second
	// askEvery is how long an answer is good for.
	askEvery = 10 * time.Second
)

// Asker asks for many pools, each now and then; what is not about one alone, once for all of them.
type Asker struct {
	live      client.Reader
	namespace string
	answers   map[string]answer
	heard     heard
	heardAt   time.Time
	deaf      error
}

type answer struct {
	at   time.Time
	said Said
}

// NewAsker makes one that asks about the placeholders of a namespace.
func NewAsker(live client.Reader, namespace string) *Asker {
	return &Asker{live: live, namespace: namespace, answers: map[string]answer{}}
}

// Ask tells what is said of a pool's placeholders; an answer that cannot be had is asked for again as late
// as any.
func (a *Asker) Ask(ctx context.Context, pool string, waiting []*corev1.Pod, of Names, now time.Time) (Said, error) {
	if last, ok := a.answers[pool]; ok && now.Sub(last.at) < askEvery {
		return last.said, nil
	}
	said, err := a.ask(ctx, waiting, of, now)
	a.answers[pool] = answer{now, said}
	return said, err
}

func (a *Asker) ask(ctx context.Context, waiting []*corev1.Pod, of Names, now time.Time) (Said, error) {
	claims, err := karpenter.Unlaunched(ctx, a.live, of.NodePools)
	if err != nil {
		return Said{}, err
	}
	if now.Sub(a.heardAt) >= askEvery {
		a.heardAt = now
		a.heard, a.deaf = listen(ctx, a.live, a.namespace)
	}
	if a.deaf != nil {
		return Said{}, a.deaf
	}
	return a.heard.of(waiting, claims, of.Words), nil
}

// Keep forgets all other pools.
func (a *Asker) Keep(pools []string) {
	maps.DeleteFunc(a.answers, func(pool string, _ answer) bool { return !slices.Contains(pools, pool) })
}

func sourceOf(event corev1.Event) string {
	if event.ReportingController != "" {
		return event.ReportingController
	}
	return event.Source.Component
}

// when is when an event was seen last: old and new recorders write different fields.
func when(event corev1.Event) time.Time {
	at := event.LastTimestamp.Time
	if at.IsZero() {
		at = event.EventTime.Time
	}
	if event.Series != nil && event.Series.LastObservedTime.After(at) {
		at = event.Series.LastObservedTime.Time
	}
	return at
}

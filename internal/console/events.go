package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

const (
	// preempted is the scheduler's event of a pod that another one has taken the place of.
	preempted = "Preempted"
	// shownEvents is how many events are shown.
	shownEvents = 50
	// eventsPage is how many are read of each kind.
	eventsPage = 500
)

// happening is an event as it is shown.
type happening struct {
	At     time.Time
	Object string
	// Link is the page of the pod, if it is one that may have a story.
	Link, Reason, Message string
}

// happenings are takeovers and waits, the newest first: events last for an hour.
type happenings struct {
	Takeovers, Waits []happening
	// Unseen says what could not be read.
	Unseen []string
}

// happeningsOf reads a pool's with the visitor's own rights.
func (c *Console) happeningsOf(v *visit, pool *v1alpha1.WarmPool) (happenings, error) {
	var shown happenings
	own, err := v.own()
	if err != nil {
		return shown, err
	}
	for _, source := range []struct {
		namespace, reason string
		to                *[]happening
		of                func(*corev1.Event) bool
	}{
		{c.options.PlaceholderNamespace, preempted, &shown.Takeovers, placeholderOf(pool)},
		{"", v1alpha1.ReasonTakenOver, &shown.Takeovers, relatedTo(pool.Name)},
		{"", v1alpha1.ReasonWaitingForPool, &shown.Waits, relatedTo(pool.Name)},
	} {
		some, err := readEvents(v.request.Context(), own.Client, source.namespace, client.MatchingFields{"reason": source.reason}, source.of)
		switch {
		case apierrors.IsForbidden(err):
			shown.Unseen = append(shown.Unseen, fmt.Sprintf("Events %s: it needs the right to list events in %s.", source.reason, cmp.Or(source.namespace, "all namespaces")))
		case err != nil:
			return shown, err
		default:
			*source.to = append(*source.to, some...)
		}
	}
	shown.Takeovers, shown.Waits = newest(shown.Takeovers), newest(shown.Waits)
	return shown, nil
}

// placeholderOf picks the events of placeholder pods of a pool, by their names.
func placeholderOf(pool *v1alpha1.WarmPool) func(*corev1.Event) bool {
	return func(e *corev1.Event) bool {
		return slices.ContainsFunc(pool.Spec.Chunks, func(chunk v1alpha1.Chunk) bool {
			return strings.HasPrefix(e.InvolvedObject.Name, pool.Name+"-"+chunk.Name+"-")
		})
	}
}

// relatedTo picks the events that are about a pool too.
func relatedTo(pool string) func(*corev1.Event) bool {
	return func(e *corev1.Event) bool {
		return e.Related != nil && e.Related.Kind == "WarmPool" && e.Related.Name == pool
	}
}

func newest(all []happening) []happening {
	slices.SortStableFunc(all, func(a, b happening) int { return b.At.Compare(a.At) })
	return all[:min(len(all), shownEvents)]
}

// readEvents reads events in a namespace, all where it is empty.
func readEvents(ctx context.Context, reader client.Reader, namespace string, fields client.MatchingFields, wanted func(*corev1.Event) bool) ([]happening, error) {
	var list corev1.EventList
	if err := reader.List(ctx, &list, client.InNamespace(namespace), fields, client.Limit(eventsPage)); err != nil {
		return nil, err
	}
	var found []happening
	for i := range list.Items {
		e := &list.Items[i]
		if !wanted(e) {
			continue
		}
		of := e.InvolvedObject
		h := happening{At: timeOf(e), Object: strings.Trim(of.Namespace+"/"+of.Name, "/"), Reason: e.Reason, Message: e.Message}
		if of.Kind == "Pod" && e.Reason != preempted {
			h.Link = podPath(of.Namespace, of.Name)
		}
		found = append(found, h)
	}
	return newest(found), nil
}

// timeOf is when an event happened last.
func timeOf(e *corev1.Event) time.Time {
	at := e.EventTime.Time
	if e.Series != nil {
		at = e.Series.LastObservedTime.Time
	}
	if e.LastTimestamp.After(at) {
		at = e.LastTimestamp.Time
	}
	if at.IsZero() {
		at = e.CreationTimestamp.Time
	}
	return at.UTC()
}

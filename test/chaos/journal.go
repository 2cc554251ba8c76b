package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/chaos/invariant"
)

const (
	// stored is where the API server keeps objects.
	stored = "/registry/"
	// around is how many changes before and after a violation are told.
	around = 12
)

// journal follows the database itself: every change, once, in one order over all kinds, whatever
// becomes of API servers and their watches meanwhile.
type journal struct {
	database *clientv3.Client

	// excused are violations that are counted alone; nil for none.
	excused func(invariant.Violation) bool

	mu       sync.Mutex
	checkers []invariant.Checker
	found    []invariant.Violation
	// recent are lines about the last changes, and told how many lines have ever been.
	recent []line
	counts counts
}

// line is one change, for people.
type line struct {
	revision int64
	says     string
}

// counts say that a run did what it was to do.
type counts struct {
	Changes      int `json:"changes"`
	Decisions    int `json:"decisions"`
	Placeholders int `json:"placeholdersMade"`
	Ungated      int `json:"placeholdersUngated"`
	Takeovers    int `json:"takeovers"`
	Jobs         int `json:"jobPodsBound"`
	// Unasked is work that was preempted instead of placeholders while the scheduler could not ask the
	// extender, or the extender could not know.
	Unasked int `json:"workEvictedWithoutTheExtender"`
	// Running are pods that have begun to run.
	Running int `json:"podsRun"`
}

// openJournal connects to the database at a URL.
func openJournal(url string, checkers []invariant.Checker) (*journal, error) {
	database, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	return &journal{database: database, checkers: checkers}, nil
}

// follow takes in every change from now on until ctx ends. It returns once it watches; what ends it
// early is sent to failed.
func (j *journal) follow(ctx context.Context, failed chan<- error) error {
	now, err := j.database.Get(ctx, stored, clientv3.WithCountOnly(), clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("ask the database: %w", err)
	}
	changes := j.database.Watch(ctx, stored, clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithRev(now.Header.Revision+1))
	go func() {
		for answer := range changes {
			if err := answer.Err(); err != nil {
				failed <- fmt.Errorf("the database lost changes: %w", err)
				return
			}
			for _, event := range answer.Events {
				if err := j.take(event); err != nil {
					failed <- err
					return
				}
			}
		}
		if ctx.Err() == nil {
			failed <- errors.New("the watch of the database ended")
		}
	}()
	return nil
}

// take tells the checkers of a change, if it is of a kind that they look at.
func (j *journal) take(event *clientv3.Event) error {
	kind, _, _ := strings.Cut(strings.TrimPrefix(string(event.Kv.Key), stored), "/")
	switch kind {
	case "deployments", "statefulsets", "pods":
	case "karpenter.sh":
		if !strings.HasPrefix(string(event.Kv.Key), stored+"karpenter.sh/nodeclaims/") {
			return nil
		}
	case v1alpha1.GroupVersion.Group:
		if kind = "decisions"; !strings.HasPrefix(string(event.Kv.Key), stored+v1alpha1.GroupVersion.Group+"/decisions/") {
			return nil
		}
	default:
		return nil
	}
	change := invariant.Change{Revision: event.Kv.ModRevision, At: time.Now()}
	var err error
	if change.Before, err = decode(kind, event.PrevKv); err != nil {
		return err
	}
	if event.Type != clientv3.EventTypeDelete {
		if change.After, err = decode(kind, event.Kv); err != nil {
			return err
		}
	}
	j.see(change)
	return nil
}

// decode reads an object; nil where there is none.
func decode(kind string, entry *mvccpb.KeyValue) (client.Object, error) {
	if entry == nil || len(entry.Value) == 0 {
		return nil, nil
	}
	if custom := map[string]client.Object{"decisions": &v1alpha1.Decision{}, "karpenter.sh": &metav1.PartialObjectMetadata{}}[kind]; custom != nil {
		if err := json.Unmarshal(entry.Value, custom); err != nil {
			return nil, fmt.Errorf("read %s: %w", entry.Key, err)
		}
		return custom, nil
	}
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(entry.Value, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", entry.Key, err)
	}
	return object.(client.Object), nil
}

func (j *journal) see(c invariant.Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts.count(c)
	j.recent = append(j.recent, line{c.Revision, describe(c)})
	if len(j.recent) > 5000 {
		j.recent = slices.Clone(j.recent[len(j.recent)-2500:])
	}
	for _, checker := range j.checkers {
		j.found = append(j.found, checker.See(c)...)
	}
}

// look has the checkers find what time alone has broken.
func (j *journal) look(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, checker := range j.checkers {
		for _, v := range checker.Look(now) {
			if j.excused != nil && j.excused(v) {
				j.counts.Unasked++
				continue
			}
			j.found = append(j.found, v)
		}
	}
}

// add notes a violation that something else has found.
// locked reads what checkers have seen, between two changes.
func (j *journal) locked(read func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	read()
}

func (j *journal) add(found ...invariant.Violation) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.found = append(j.found, found...)
}

// violations are those from the nth on.
func (j *journal) violations(n int) []invariant.Violation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.found[n:])
}

// context are the changes around a violation.
func (j *journal) context(v invariant.Violation) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	at := slices.IndexFunc(j.recent, func(l line) bool { return l.revision >= v.Revision })
	if v.Revision == 0 || at < 0 {
		return nil
	}
	var lines []string
	for _, l := range j.recent[max(at-around, 0):min(at+around, len(j.recent))] {
		lines = append(lines, fmt.Sprintf("revision %d: %s", l.revision, l.says))
	}
	return lines
}

// done are the counts so far.
func (j *journal) done() counts {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.counts
}

func (n *counts) count(c invariant.Change) {
	n.Changes++
	if _, ok := c.After.(*v1alpha1.Decision); ok && c.Before == nil {
		n.Decisions++
	}
	if pod, ok := c.After.(*corev1.Pod); ok {
		before, _ := c.Before.(*corev1.Pod)
		n.pod(before, pod)
	}
}

func (n *counts) pod(before, pod *corev1.Pod) {
	if pod.Status.Phase == corev1.PodRunning && before != nil && before.Status.Phase != corev1.PodRunning {
		n.Running++
	}
	switch {
	case pod.Namespace == v1alpha1.PlaceholderNamespace:
		n.placeholder(before, pod)
	case pod.Namespace == jobNamespace && pod.Spec.NodeName != "" && before != nil && before.Spec.NodeName == "":
		n.Jobs++
	}
}

func (n *counts) placeholder(before, pod *corev1.Pod) {
	switch {
	case before == nil:
		n.Placeholders++
	case len(before.Spec.SchedulingGates) > 0 && len(pod.Spec.SchedulingGates) == 0:
		n.Ungated++
	case !goes(before) && goes(pod):
		n.Takeovers++
	}
}

// goes says whether a pod was told to go.
func goes(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget })
}

// describe is a change in a few words.
func describe(c invariant.Change) string {
	object, verb := c.After, "changed"
	switch {
	case c.After == nil:
		object, verb = c.Before, "gone"
	case c.Before == nil:
		verb = "made"
	}
	if object == nil {
		return "something is gone"
	}
	says := fmt.Sprintf("%T %s/%s %s", object, object.GetNamespace(), object.GetName(), verb)
	switch o := object.(type) {
	case *metav1.PartialObjectMetadata:
		says = fmt.Sprintf("%s %s %s, is being deleted %t", o.Kind, o.Name, verb, o.DeletionTimestamp != nil)
	case *corev1.Pod:
		says += fmt.Sprintf(", %d gates, node %q, %s, goes %t", len(o.Spec.SchedulingGates), o.Spec.NodeName, o.Status.Phase, goes(o))
	case *v1alpha1.Decision:
		says += fmt.Sprintf(", create %d, ungate %d, delete %d", o.Spec.Create, o.Spec.Ungate, o.Spec.Delete)
	default:
		says += invariant.Replicas(o)
	}
	return strings.TrimPrefix(says, "*")
}

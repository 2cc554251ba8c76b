package bypass

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"forewarm.dev/test/cluster"
	"forewarm.dev/webhook"
)

// Numbers of a row. The ceiling is what an object asks for with atN.
const (
	belowN int64 = 3
	atN    int64 = 5
	aboveN int64 = 6
	// An object that was there before the ceiling stands at oldN; fewN is less, moreN more.
	fewN  int64 = 8
	oldN  int64 = 10
	moreN int64 = 11
)

// trial is a row under one ceiling.
type trial struct {
	*suite
	kind    webhook.Kind
	count   webhook.Count
	subject subject
	row     row
	// from is who carries the ceiling: the object, its target, or its Namespace.
	from string
	// namespace is empty for kinds of the cluster.
	namespace string
	// brief is true where fewer numbers are tried.
	brief bool
	// prefix keeps the names of the cluster's objects apart.
	prefix string
}

func (x trial) ceiling() int64 { return x.row.asked(atN) }

func (x trial) api(w way) dynamic.ResourceInterface { return x.resource(x.kind, x.version(w)) }

func (x trial) version(w way) string {
	if w.other {
		return x.subject.others[0]
	}
	return x.kind.Version
}

func (x trial) resource(kind webhook.Kind, version string) dynamic.ResourceInterface {
	api := x.client.Resource(schema.GroupVersionResource{Group: kind.Group, Version: version, Resource: kind.Resource})
	if x.namespace == "" {
		return api
	}
	return api.Namespace(x.namespace)
}

// object asks for n; bound says whether its ceiling is on it already, if it is the one that
// carries it.
func (x trial) object(w way, name string, n int64, bound bool) (*unstructured.Unstructured, error) {
	o, err := x.subject.make(x.kind, x.version(w), x.row, n)
	if err != nil {
		return nil, err
	}
	o.SetName(name)
	o.SetNamespace(x.namespace)
	if x.subject.target != "" {
		target := x.kinds[x.subject.target]
		merge(o.Object, map[string]any{"spec": map[string]any{"scaleTargetRef": map[string]any{
			"apiVersion": strings.TrimPrefix(target.Group+"/"+target.Version, "/"), "kind": target.Name, "name": name,
		}}})
	}
	if bound && x.from == fromObject {
		merge(o.Object, map[string]any{"metadata": map[string]any{"annotations": map[string]any{x.kind.Annotation(): fmt.Sprint(x.ceiling())}}})
	}
	return o, nil
}

// makeTarget makes the workload that an object of that name points to; it asks for nothing.
func (x trial) makeTarget(ctx context.Context, name string, bound bool) error {
	if x.subject.target == "" {
		return nil
	}
	kind, s := x.kinds[x.subject.target], subjects()[x.subject.target]
	o, err := s.make(kind, kind.Version, s.rows[0], 0)
	if err != nil {
		return err
	}
	o.SetName(name)
	if bound && x.from == fromTarget {
		o.SetAnnotations(map[string]string{x.kind.Annotation(): fmt.Sprint(x.ceiling())})
	}
	_, err = x.resource(kind, kind.Version).Create(ctx, o, metav1.CreateOptions{})
	return err
}

// subjectOf is an object on its way through a trial.
type subjectOf struct {
	name   string
	n      int64
	edited bool
	stored *unstructured.Unstructured
	last   *unstructured.Unstructured
}

// fresh makes an object under its ceiling.
func (x trial) fresh(ctx context.Context, w way, name string) (*subjectOf, error) {
	if err := x.makeTarget(ctx, name, true); err != nil {
		return nil, err
	}
	return x.put(ctx, w, name, x.row.least, true)
}

// old makes an object that is above its ceiling before there is one.
func (x trial) old(ctx context.Context, w way, name string) (*subjectOf, error) {
	if err := x.makeTarget(ctx, name, false); err != nil {
		return nil, err
	}
	return x.put(ctx, w, name, oldN, false)
}

func (x trial) put(ctx context.Context, w way, name string, n int64, bound bool) (*subjectOf, error) {
	o, err := x.object(w, name, n, bound)
	if err != nil {
		return nil, err
	}
	write := create
	if w.applies {
		write = apply
	}
	stored, err := write(ctx, x.api(w), change{after: o})
	return &subjectOf{name: name, n: n, stored: stored, last: o}, err
}

// bind sets the ceiling of an object that is there.
func (x trial) bind(ctx context.Context, w way, o *subjectOf) error {
	body := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, x.kind.Annotation(), x.ceiling())
	switch x.from {
	case fromObject:
		stored, err := x.api(w).Patch(ctx, o.name, types.MergePatchType, body, metav1.PatchOptions{})
		if err != nil {
			return err
		}
		o.stored = stored
		o.last, err = x.object(w, o.name, o.n, true)
		return err
	case fromTarget:
		target := x.kinds[x.subject.target]
		_, err := x.resource(target, target.Version).Patch(ctx, o.name, types.MergePatchType, body, metav1.PatchOptions{})
		return err
	default:
		return nil // of the Namespace, once for all
	}
}

// step writes n and returns what is wrong with what became of it.
func (x trial) step(ctx context.Context, w way, o *subjectOf, n int64) error {
	after, err := x.object(w, o.name, n, true)
	if err != nil {
		return err
	}
	if o.edited {
		after.SetLabels(map[string]string{"edited": "yes"})
	}
	c := change{stored: o.stored, before: o.last, after: after, n: n}
	if w.status {
		return x.statusStep(ctx, w, o, c)
	}
	return x.expect(ctx, w, o, c)
}

// expect writes a change and returns what is wrong with what became of it.
func (x trial) expect(ctx context.Context, w way, o *subjectOf, c change) error {
	was, asked := x.row.asked(o.n), x.row.asked(c.n)
	if w.makes {
		was = 0
	}
	explained, err := x.explain(ctx, w, o.name, asked)
	if err != nil {
		return fmt.Errorf("explain %d: %w", asked, err)
	}
	v := x.write(ctx, w, c)
	if v.err == nil {
		o.stored, o.last, o.n = v.stored, c.after, c.n
	}
	if explained != nil && (explained.Verdict == webhook.Allow) != (v.err == nil) {
		return fmt.Errorf("from %d to %d: forewarmctl explain says %s (%s %s), the API server %v", was, asked, explained.Verdict, explained.Reason, explained.Message, v.err)
	}
	if wrong := x.judge(x.expected(was, asked), asked, v); wrong != nil {
		return fmt.Errorf("from %d to %d: %w", was, asked, wrong)
	}
	return nil
}

// write tries again where somebody else has written: Forewarm touches HPAs.
func (x trial) write(ctx context.Context, w way, c change) (v verdict) {
	_ = retry.OnError(retry.DefaultRetry, apierrors.IsConflict, func() error {
		collected := &warnings{}
		v = verdict{name: c.after.GetName()}
		v.stored, v.err = w.write(context.WithValue(ctx, warner{}, collected), x.api(w), c)
		v.warnings = collected.text()
		if apierrors.IsConflict(v.err) {
			if stored, err := x.api(w).Get(ctx, v.name, metav1.GetOptions{}); err == nil {
				c.stored = stored
			}
		}
		return v.err
	})
	return v
}

// statusStep writes a status together with n, which must not count.
func (x trial) statusStep(ctx context.Context, w way, o *subjectOf, c change) error {
	text := x.subject.status
	if text == "" {
		text = `status: {observedGeneration: 1}`
	}
	status, err := parse(text)
	if err != nil {
		return err
	}
	merge(c.after.Object, map[string]any{"status": status["status"]})
	v := x.write(ctx, w, c)
	if v.err != nil {
		return fmt.Errorf("a status: %w", v.err)
	}
	if got := x.count.Of.Evaluate(v.stored.Object); got > x.row.asked(o.n) {
		return fmt.Errorf("a status brought the count from %d to %d", x.row.asked(o.n), got)
	}
	return nil
}

// expected is the rule.
func (x trial) expected(was, asked int64) outcome {
	switch {
	case asked <= x.ceiling():
		return allowed
	case x.row.above == lowered:
		return lowered
	case asked <= was:
		return allowed
	case x.kind.Warn:
		return warned
	default:
		return refused
	}
}

// verdict is what came of a write.
type verdict struct {
	name     string
	stored   *unstructured.Unstructured
	err      error
	warnings string
}

func (x trial) judge(want outcome, asked int64, v verdict) error {
	said := v.warnings
	switch want {
	case refused:
		if !apierrors.IsForbidden(v.err) {
			return fmt.Errorf("got %v, want 403 Forbidden", v.err)
		}
		said = v.err.Error()
	case allowed:
		if v.err != nil || strings.Contains(said, "asked for") {
			return fmt.Errorf("got %v, warnings %q, want it allowed", v.err, said)
		}
		return nil
	case lowered:
		if v.err != nil {
			return fmt.Errorf("got %w, want it lowered", v.err)
		}
		if got := x.count.Of.Evaluate(v.stored.Object); got != x.ceiling() {
			return fmt.Errorf("got %d, want it lowered to %d", got, x.ceiling())
		}
		if brought := fmt.Sprintf("%d %s asked for, brought down to %d", asked, x.kind.Measure, x.ceiling()); said != "" && !strings.Contains(said, brought) {
			return fmt.Errorf("%q does not say %q", said, brought)
		}
		return nil
	default:
		if v.err != nil {
			return fmt.Errorf("got %w, want a warning", v.err)
		}
	}
	object := webhook.Object{Kind: x.kind.Name, Namespace: x.namespace, Name: v.name}
	for _, part := range []string{object.String() + ":", fmt.Sprintf("%d %s asked for", asked, x.kind.Measure), fmt.Sprintf("at most %d allowed", x.ceiling())} {
		if !strings.Contains(said, part) {
			return fmt.Errorf("%q does not say %q", said, part)
		}
	}
	return nil
}

// warnings collects those of the requests of one context.
type warnings struct {
	mu   sync.Mutex
	seen []string
}

// HandleWarningHeaderWithContext is called by the client.
func (warner) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if w, ok := ctx.Value(warner{}).(*warnings); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, text)
	}
}

// warner hands warnings to the context that they belong to.
type warner struct{}

func (w *warnings) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.seen, "\n")
}

// namespaceOf makes a Namespace with annotations.
func (s *suite) namespaceOf(t *testing.T, name string, annotations map[string]string) {
	t.Helper()
	if err := s.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}); err != nil {
		t.Fatal(err)
	}
}

// seen waits until the webhook's cache has the Namespace's ceiling.
func (x trial) seen(t *testing.T) {
	t.Helper()
	probe := subjects()["apps/deployments"]
	kind, measured := x.kinds["apps/deployments"], x
	if x.kind.Measure == webhook.Nodes {
		probe, kind = subjects()["cluster.x-k8s.io/machinesets"], x.kinds["cluster.x-k8s.io/machinesets"]
	}
	o, err := probe.make(kind, kind.Version, probe.rows[0], x.ceiling()+1)
	if err != nil {
		t.Fatal(err)
	}
	o.SetName("probe")
	cluster.Eventually(t, patience, func() error {
		_, err := measured.resource(kind, kind.Version).Create(t.Context(), o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsForbidden(err) {
			return nil
		}
		return errors.Join(errors.New("the Namespace's ceiling does not hold yet"), err)
	})
}

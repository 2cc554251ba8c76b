package bypass

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/webhook"
)

// Columns of what is not a way to write.
const (
	liftColumn = "lift and grow"
	anewColumn = "made anew"
)

func clientKey(name string) client.ObjectKey { return client.ObjectKey{Name: name} }

// tryRow tries a row in all ways, under every ceiling that can bind it.
func (s *suite) tryRow(t *testing.T, kind webhook.Kind, subject subject, i int, r row) {
	t.Helper()
	x := trial{suite: s, kind: kind, subject: subject, row: r, from: fromObject, prefix: fmt.Sprintf("b%d", i)}
	if subject.target != "" {
		x.from = fromTarget
	}
	for _, count := range kind.Counts {
		if count.Field == r.count {
			x.count = count
		}
	}
	base := strings.NewReplacer("/", "-", ".", "-").Replace(kind.Resource + "-" + kind.Group)
	if !kind.Cluster {
		x.namespace = fmt.Sprintf("%s-%d", base, i)
		s.namespaceOf(t, x.namespace, nil)
	}
	x.brief = r.by != ""
	x.tryWays(t)
	if x.from == fromObject && !subject.onlyScale {
		x.record(t, liftColumn, "lift and grow", x.tryLift(t))
	}
	if kind.Cluster {
		return
	}
	x.from, x.brief, x.namespace = fromNamespace, true, fmt.Sprintf("%s-%d-above", base, i)
	s.namespaceOf(t, x.namespace, nil)
	x.tryWays(t)
	if kind.Measure == webhook.Replicas && !subject.onlyScale {
		x.namespace = fmt.Sprintf("%s-%d-anew", base, i)
		x.record(t, anewColumn, "made anew", x.tryAnew(t))
	}
}

// record notes what was seen, and fails the test where it is not what it should be.
func (x trial) record(t *testing.T, column, name string, err error) {
	t.Helper()
	x.page.note(x.kind, x.row, column, err == nil)
	if err != nil {
		t.Errorf("%s, %s, ceiling of the %s: %v", x.row.label(), name, x.from, err)
	}
}

// tryWays tries each way on an object that was always under its ceiling, and on one that
// was there before.
func (x trial) tryWays(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	olds := map[string]*subjectOf{}
	for _, w := range ways() {
		if !x.tries(w) || w.makes {
			continue
		}
		old, err := x.old(ctx, w, x.named(w, "old"))
		if err != nil {
			t.Fatalf("%s, make an object before its ceiling: %v", x.row.label(), err)
		}
		if err := x.bind(ctx, w, old); err != nil {
			t.Errorf("%s, %s: a ceiling below what there is: %v", x.row.label(), w.name, err)
		}
		olds[w.name] = old
	}
	if x.from == fromNamespace {
		namespace := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: x.namespace}}
		body := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, x.kind.Annotation(), x.ceiling())
		if err := x.Client.Patch(ctx, namespace, client.RawPatch(types.MergePatchType, body)); err != nil {
			t.Fatal(err)
		}
		x.seen(t)
	}
	for _, w := range ways() {
		if x.tries(w) {
			x.record(t, w.column, w.name, x.try(t, w, olds[w.name]))
		}
	}
}

func (x trial) tries(w way) bool {
	return w.fits(x.subject, x.row) && (x.from != fromNamespace || !w.once)
}

func (x trial) named(w way, suffix string) string {
	return x.prefix + "-" + strings.ToLower(strings.ReplaceAll(w.name, " ", "-")) + "-" + suffix
}

// try writes one after the other.
func (x trial) try(t *testing.T, w way, old *subjectOf) error {
	t.Helper()
	ctx := t.Context()
	var wrong []error
	if w.makes {
		for _, n := range x.made() {
			name := x.named(w, fmt.Sprint(n))
			if err := x.makeTarget(ctx, name, true); err != nil {
				return err
			}
			wrong = append(wrong, x.step(ctx, w, &subjectOf{name: name}, n))
		}
		return errors.Join(wrong...)
	}
	o, err := x.fresh(ctx, w, x.named(w, "new"))
	if err != nil {
		return fmt.Errorf("make an object: %w", err)
	}
	for _, n := range x.written(w) {
		wrong = append(wrong, x.step(ctx, w, o, n))
	}
	old.edited = !w.scale
	for _, n := range x.writtenAbove(w) {
		if err := x.step(ctx, w, old, n); err != nil {
			wrong = append(wrong, fmt.Errorf("above the ceiling before it was set: %w", err))
		}
	}
	return errors.Join(wrong...)
}

// made are the numbers with which objects are created.
func (x trial) made() []int64 {
	if x.brief {
		return []int64{atN, aboveN}
	}
	return []int64{belowN, atN, aboveN, x.row.least}
}

// written are the numbers that an object gets which is under its ceiling.
func (x trial) written(w way) []int64 {
	switch {
	case w.status:
		return []int64{aboveN}
	case x.brief:
		return []int64{atN, aboveN}
	default:
		return []int64{belowN, atN, aboveN, x.row.least, aboveN}
	}
}

// writtenAbove are those for an object at oldN, above its ceiling: an edit of something
// else, growth, less, and growth back up.
func (x trial) writtenAbove(w way) []int64 {
	switch {
	case w.status:
		return []int64{moreN}
	case x.brief:
		return []int64{oldN, moreN, fewN}
	default:
		return []int64{oldN, moreN, fewN, oldN, x.row.least}
	}
}

// tryLift raises or removes the ceiling in the write that grows.
func (x trial) tryLift(t *testing.T) error {
	t.Helper()
	ctx := t.Context()
	var wrong []error
	for name, value := range map[string]string{"raised": `"1000"`, "removed": "null"} {
		w := way{name: "lift " + name, write: patchMerge}
		o, err := x.fresh(ctx, w, x.named(w, "it"))
		if err != nil {
			return err
		}
		after, err := x.object(w, o.name, aboveN, true)
		if err != nil {
			return err
		}
		annotations := after.GetAnnotations()
		delete(annotations, x.kind.Annotation())
		if value != "null" {
			annotations[x.kind.Annotation()] = strings.Trim(value, `"`)
		}
		after.SetAnnotations(annotations)
		wrong = append(wrong, x.expect(ctx, w, o, change{stored: o.stored, before: o.last, after: after, n: aboveN}))
	}
	return errors.Join(wrong...)
}

// tryAnew deletes an object, and its ceiling with it, and makes it larger.
func (x trial) tryAnew(t *testing.T) error {
	t.Helper()
	ctx := t.Context()
	w := way{name: "made anew", makes: true, write: create}
	name := x.named(w, "it")
	workload := webhook.Object{Kind: x.kind.Name, Name: name}
	if x.subject.target != "" {
		workload.Kind = x.kinds[x.subject.target].Name
	}
	x.namespaceOf(t, x.namespace, map[string]string{webhook.WorkloadMaxReplicas: fmt.Sprintf("%s=%d", workload.Workload(), x.ceiling())})
	if err := x.makeTarget(ctx, name, false); err != nil {
		return err
	}
	o := &subjectOf{name: name}
	if err := x.step(ctx, w, o, belowN); err != nil {
		return err
	}
	if err := x.api(w).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return x.step(ctx, w, o, aboveN)
}

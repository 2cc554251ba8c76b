// Package decisions keeps what was planned, with all that it was planned from: the last plans of
// each pool in Decision objects, and every plan as a line of JSON where that is asked for.
package decisions

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/replay"
)

// largest is how much of input and result an object keeps: half of what etcd takes.
const largest = 700 << 10

// Line is one plan in the log of JSON lines.
type Line struct {
	ID string `json:"id"`
	// Decision has no input and result; Record has them.
	Decision v1alpha1.DecisionSpec `json:"decision"`
	replay.Record
}

// Options are what a Log needs.
type Options struct {
	// Live lists, and Writer creates and deletes Decisions.
	Live   client.Reader
	Writer client.Client
	// Keep is how many Decisions are kept per pool; zero for none.
	Keep int
	// Lines takes a line per plan; nil for none.
	Lines io.Writer
}

// Log keeps decisions. It is not for concurrent use.
type Log struct {
	Options
	pools map[types.UID]*kept
}

// kept is what is known of the Decisions of a pool.
type kept struct {
	names []string // oldest first
	last  []v1alpha1.DecidedChunk
}

// New makes a Log.
func New(o Options) *Log { return &Log{Options: o, pools: map[types.UID]*kept{}} }

// Decided is a decision that is kept and not concluded yet.
type Decided struct {
	id     string
	pool   types.UID
	spec   v1alpha1.DecisionSpec
	record replay.Record
	object bool // there is one of it
}

// Decide keeps what is about to be done, before it is: in an object, if it changes something, or wants
// something else than the one before, or for another reason. Nothing may be done where it fails.
func (l *Log) Decide(ctx context.Context, pool *v1alpha1.WarmPool, spec v1alpha1.DecisionSpec, record replay.Record) (Decided, error) {
	spec.Digest = record.Digest()
	spec.Applied = spec.Mode.Acts() && !changes(spec)
	d := Decided{
		id:   fmt.Sprintf("%s-%s-%s", pool.Name, spec.At.UTC().Format("20060102t150405"), spec.Digest[:8]),
		pool: pool.UID, spec: spec, record: record,
	}
	if l.Keep <= 0 {
		return d, nil
	}
	k, err := l.of(ctx, pool)
	if err != nil {
		return d, err
	}
	if !changes(spec) && slices.EqualFunc(k.last, spec.Chunks, alike) {
		return d, nil
	}
	if spec.Input, spec.Result, err = packed(record); err != nil {
		return d, fmt.Errorf("keep decision %s: %w", d.id, err)
	}
	object := &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{
			Name: d.id, Labels: map[string]string{v1alpha1.LabelPool: pool.Name},
			OwnerReferences: []metav1.OwnerReference{pool.Controller()},
		},
		Spec: spec,
	}
	if err := l.Writer.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
		return d, fmt.Errorf("keep decision %s: %w", d.id, err)
	}
	k.last, k.names, d.object = d.spec.Chunks, append(k.names, d.id), true
	return d, nil
}

// changes says whether a decision is one to do something.
func changes(spec v1alpha1.DecisionSpec) bool {
	return spec.Mode.Acts() && spec.Create+spec.Ungate+spec.Delete > 0
}

// Conclude tells of a decision what became of it: failed says how applying it did, and is empty where
// it did not. It drops those that are no longer kept, and writes the line.
func (l *Log) Conclude(ctx context.Context, d Decided, failed string) error {
	d.spec.Applied, d.spec.Error = d.spec.Mode.Acts() && failed == "", failed
	errs := []error{l.line(d)}
	if d.object && changes(d.spec) {
		errs = append(errs, l.outcome(ctx, d))
	}
	if d.object {
		errs = append(errs, l.drop(ctx, l.pools[d.pool]))
	}
	return errors.Join(errs...)
}

func (l *Log) line(d Decided) error {
	if l.Lines == nil {
		return nil
	}
	line, err := json.Marshal(Line{ID: d.id, Decision: d.spec, Record: d.record})
	if err == nil {
		_, err = l.Lines.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write decision %s: %w", d.id, err)
	}
	return nil
}

// outcome writes into the object what the CRD lets be written once.
func (l *Log) outcome(ctx context.Context, d Decided) error {
	became := map[string]any{"applied": true}
	if d.spec.Error != "" {
		became = map[string]any{"error": d.spec.Error}
	}
	body, err := json.Marshal(map[string]any{"spec": became})
	if err != nil {
		return err
	}
	object := &v1alpha1.Decision{ObjectMeta: metav1.ObjectMeta{Name: d.id}}
	if err := l.Writer.Patch(ctx, object, client.RawPatch(types.MergePatchType, body)); err != nil {
		return fmt.Errorf("say what became of decision %s: %w", d.id, err)
	}
	return nil
}

func (l *Log) drop(ctx context.Context, k *kept) error {
	for len(k.names) > l.Keep {
		old := &v1alpha1.Decision{ObjectMeta: metav1.ObjectMeta{Name: k.names[0]}}
		if err := l.Writer.Delete(ctx, old); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("drop decision %s: %w", old.Name, err)
		}
		k.names = k.names[1:]
	}
	return nil
}

// of lists the names of a pool's Decisions the first time.
func (l *Log) of(ctx context.Context, pool *v1alpha1.WarmPool) (*kept, error) {
	if k := l.pools[pool.UID]; k != nil {
		return k, nil
	}
	var list metav1.PartialObjectMetadataList
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("DecisionList"))
	if err := l.Live.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelPool: pool.Name}); err != nil {
		return nil, fmt.Errorf("list Decisions: %w", err)
	}
	k := &kept{}
	for i := range list.Items {
		k.names = append(k.names, list.Items[i].Name)
	}
	slices.Sort(k.names) // their names begin with pool and time
	l.pools[pool.UID] = k
	return k, nil
}

// alike tells that the same is wanted for the same reasons, whatever the numbers behind them.
func alike(a, b v1alpha1.DecidedChunk) bool {
	return a.Name == b.Name && a.Wanted == b.Wanted && a.Reason == b.Reason && a.Policy == b.Policy && slices.Equal(a.LimitedBy, b.LimitedBy)
}

// packed compresses a record; nothing of one that is too large.
func packed(record replay.Record) (input, result []byte, err error) {
	if input, err = zip(record.Input); err != nil {
		return nil, nil, err
	}
	if result, err = zip(record.Result); err != nil || len(input)+len(result) > largest {
		return nil, nil, err
	}
	return input, result, nil
}

func zip(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}

// mostUnpacked bounds what a Decision may unpack to.
const mostUnpacked = 64 << 20

// RecordOf is what a Decision keeps.
func RecordOf(decision v1alpha1.Decision) (replay.Record, error) {
	var record replay.Record
	if len(decision.Spec.Input) == 0 {
		return record, fmt.Errorf("decision %s has no input: it was too large to keep; replay it from the log of JSON lines", decision.Name)
	}
	for _, part := range []struct {
		name string
		from []byte
		to   *json.RawMessage
	}{{"input", decision.Spec.Input, &record.Input}, {"result", decision.Spec.Result, &record.Result}} {
		reader, err := gzip.NewReader(bytes.NewReader(part.from))
		if err != nil {
			return record, fmt.Errorf("spec.%s of decision %s: %w", part.name, decision.Name, err)
		}
		if *part.to, err = io.ReadAll(io.LimitReader(reader, mostUnpacked)); err != nil {
			return record, fmt.Errorf("spec.%s of decision %s: %w", part.name, decision.Name, err)
		}
	}
	if digest := record.Digest(); digest != decision.Spec.Digest {
		return record, fmt.Errorf("decision %s: the input's digest is %s, but spec.digest is %s: it was changed", decision.Name, digest, decision.Spec.Digest)
	}
	return record, nil
}

package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// Append adds samples in time order, with one write per day that they are of. Those not
// later than the last one stored of their day are ignored, so that two leaders in a row, or
// a retry, write nothing twice. A day whose object cannot be read is passed over, which an
// error tells that is ErrUnreadable; after any other error the same samples can be offered
// again.
func (s *Store) Append(ctx context.Context, key Key, samples ...Sample) error {
	return s.perDay(ctx, key, samples, s.appendDay)
}

// Import adds samples in time order to those stored, before, between and after them; where
// a time is stored already, that stays. It seeds a history, and is slower than Append.
func (s *Store) Import(ctx context.Context, key Key, samples []Sample) error {
	return s.perDay(ctx, key, samples, s.importDay)
}

// attempts bounds the tries of one write that meets other writers.
const attempts = 5

// perDay hands each day's samples to write, again when another writer was faster.
func (s *Store) perDay(ctx context.Context, key Key, samples []Sample, write func(context.Context, Key, string, []Sample) error) error {
	var unreadable []error
	for some := range ByDay(storable(samples)) {
		err := error(nil)
		for range attempts {
			if err = write(ctx, key, dayOf(some[0].At), some); err == nil {
				break
			}
			delete(s.written, key)
			if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
				break
			}
		}
		switch {
		case errors.Is(err, ErrUnreadable):
			unreadable = append(unreadable, err)
		case err != nil:
			return fmt.Errorf("record demand of pool %s chunk %s: %w", key.Pool, key.Chunk, err)
		}
	}
	return errors.Join(unreadable...)
}

// ByDay are the samples of each UTC day, of samples in time order.
func ByDay(samples []Sample) iter.Seq[[]Sample] {
	return func(yield func([]Sample) bool) {
		for len(samples) > 0 {
			day := dayOf(samples[0].At)
			n := slices.IndexFunc(samples, func(sample Sample) bool { return dayOf(sample.At) != day })
			if n < 0 {
				n = len(samples)
			}
			if !yield(samples[:n]) {
				return
			}
			samples = samples[n:]
		}
	}
}

// storable is a copy of the samples as they will be read back: what is not finite is no
// sample, and times are whole milliseconds.
func storable(samples []Sample) []Sample {
	var kept []Sample
	for _, sample := range samples {
		if !math.IsNaN(sample.Demand) && !math.IsInf(sample.Demand, 0) {
			kept = append(kept, Sample{time.UnixMilli(sample.At.UnixMilli()).UTC(), sample.Demand})
		}
	}
	return kept
}

func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

func (s *Store) appendDay(ctx context.Context, key Key, day string, samples []Sample) error {
	current, err := s.current(ctx, key, day)
	if err != nil {
		return err
	}
	var later []Sample
	last := current.last
	for _, sample := range samples {
		if sample.At.After(last) {
			later, last = append(later, sample), sample.At
		}
	}
	if len(later) == 0 {
		return nil
	}
	object := current.object
	if object.Data.Encoded, err = encode(object.Data.Encoded, later); err != nil {
		return err
	}
	object.Data.Samples += int32(len(later))
	if err := s.save(ctx, key, object); err != nil {
		return err
	}
	s.written[key] = written{object, last}
	return nil
}

func (s *Store) importDay(ctx context.Context, key Key, day string, samples []Sample) error {
	delete(s.written, key)
	current, err := s.current(ctx, key, day)
	if err != nil {
		return err
	}
	stored, err := read(current.object)
	if err != nil {
		return err
	}
	// A stable sort leaves what is stored before what is new of the same time.
	merged := slices.Concat(stored, samples)
	byTime := func(a, b Sample) int { return a.At.Compare(b.At) }
	slices.SortStableFunc(merged, byTime)
	merged = slices.CompactFunc(merged, func(a, b Sample) bool { return a.At.Equal(b.At) })
	if len(merged) == len(stored) {
		return nil
	}
	object := current.object
	if object.Data.Encoded, err = encode(nil, merged); err != nil {
		return err
	}
	object.Data.Samples = int32(len(merged))
	return s.save(ctx, key, object)
}

// current is the object of a day: the one last written, the stored one, or a new one.
func (s *Store) current(ctx context.Context, key Key, day string) (written, error) {
	if w, ok := s.written[key]; ok && w.object.Data.Day == day {
		return w, nil
	}
	object := &v1alpha1.DemandHistory{}
	err := s.client.Get(ctx, client.ObjectKey{Name: nameOf(key, day)}, object)
	if apierrors.IsNotFound(err) {
		return written{object: newObject(key, day)}, nil
	}
	if err != nil {
		return written{}, fmt.Errorf("get DemandHistory %s: %w", nameOf(key, day), err)
	}
	samples, err := read(object)
	if err != nil {
		return written{}, err
	}
	w := written{object: object}
	if len(samples) > 0 {
		w.last = samples[len(samples)-1].At
	}
	return w, nil
}

func newObject(key Key, day string) *v1alpha1.DemandHistory {
	return &v1alpha1.DemandHistory{
		ObjectMeta: metav1.ObjectMeta{
			Name:   nameOf(key, day),
			Labels: map[string]string{v1alpha1.LabelPool: key.Pool, v1alpha1.LabelChunk: key.Chunk},
		},
		Data: v1alpha1.DemandHistoryData{SchemaVersion: schemaVersion, Pool: key.Pool, Chunk: key.Chunk, Day: day},
	}
}

// nameOf is the name of an object. Neither chunks nor days have dots, so no two series share one.
func nameOf(key Key, day string) string { return key.Pool + "." + key.Chunk + "." + day }

// save creates or updates. The owner is written each time: a WarmPool that was deleted and
// made anew takes over what the garbage collector has not removed yet.
func (s *Store) save(ctx context.Context, key Key, object *v1alpha1.DemandHistory) error {
	if key.PoolUID != "" {
		object.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "WarmPool", Name: key.Pool, UID: key.PoolUID,
		}}
	}
	if object.ResourceVersion == "" {
		return s.client.Create(ctx, object)
	}
	return s.client.Update(ctx, object)
}

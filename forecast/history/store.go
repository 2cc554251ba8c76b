// Package history keeps recorded demand in DemandHistory objects of the API server: one
// per pool, chunk and UTC day, of which only today's is ever rewritten. Any replica can
// lead, and there is no volume.
package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
)

// Key names a series.
type Key struct {
	// Pool is the WarmPool's name.
	Pool string
	// PoolUID, if not empty, makes the WarmPool the owner, so that its history goes with it.
	PoolUID types.UID
	// Chunk is the chunk's name.
	Chunk string
}

// Store reads and writes DemandHistory objects. It is not for concurrent use.
type Store struct {
	client client.Client
	// today holds the object last written of each series, to spare a read per append.
	today map[Key]*v1alpha1.DemandHistory
}

// NewStore makes a Store. The client should read DemandHistory objects from the API server,
// not from an informer: a stale read costs a conflict and another try.
func NewStore(c client.Client) *Store {
	return &Store{client: c, today: map[Key]*v1alpha1.DemandHistory{}}
}

// Reset forgets what was read, for use after another process may have written.
func (s *Store) Reset() { clear(s.today) }

// Load returns the series of key since a time on a grid of step: the highest sample within
// each step, NaN where there is none. The series ends with the last sample. Objects that
// cannot be read are left alone and named in the error, together with what could be read.
func (s *Store) Load(ctx context.Context, key Key, since time.Time, step time.Duration) (forecast.Series, error) {
	samples, err := s.samples(ctx, key, since)
	return onGrid(samples, since.Truncate(step), step), err
}

func (s *Store) samples(ctx context.Context, key Key, since time.Time) ([]Sample, error) {
	var list v1alpha1.DemandHistoryList
	if err := s.client.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelPool: key.Pool, v1alpha1.LabelChunk: key.Chunk}); err != nil {
		return nil, fmt.Errorf("list DemandHistory of pool %s chunk %s: %w", key.Pool, key.Chunk, err)
	}
	var samples []Sample
	var broken []error
	for i := range list.Items {
		some, err := read(&list.Items[i])
		if err != nil {
			broken = append(broken, err)
			continue
		}
		for _, sample := range some {
			if !sample.At.Before(since) {
				samples = append(samples, sample)
			}
		}
	}
	slices.SortFunc(samples, func(a, b Sample) int { return a.At.Compare(b.At) })
	return samples, errors.Join(broken...)
}

// read decodes one object.
func read(object *v1alpha1.DemandHistory) ([]Sample, error) {
	if object.Data.SchemaVersion != schemaVersion {
		return nil, fmt.Errorf("DemandHistory %s: data.schemaVersion is %d, this version reads %d: it is skipped; upgrade, or delete it",
			object.Name, object.Data.SchemaVersion, schemaVersion)
	}
	samples, err := decode(object.Data.Encoded)
	if err != nil {
		return nil, fmt.Errorf("DemandHistory %s: data.encoded cannot be read, it is skipped: %w", object.Name, err)
	}
	return samples, nil
}

// onGrid places samples on a grid; at most one value per step, the highest.
func onGrid(samples []Sample, start time.Time, step time.Duration) forecast.Series {
	series := forecast.Series{Start: start, Step: step}
	for _, sample := range samples {
		index := int(sample.At.Sub(start) / step)
		if index < 0 {
			continue
		}
		for len(series.Values) <= index {
			series.Values = append(series.Values, math.NaN())
		}
		if old := series.Values[index]; math.IsNaN(old) || sample.Demand > old {
			series.Values[index] = sample.Demand
		}
	}
	return series
}

// attempts bounds the tries of one write that meets conflicts.
const attempts = 5

// Append adds samples in time order. Those not later than the last one stored are ignored,
// so that two leaders in a row, or a retry, write nothing twice.
func (s *Store) Append(ctx context.Context, key Key, samples ...Sample) error {
	for len(samples) > 0 {
		day := dayOf(samples[0].At)
		n := slices.IndexFunc(samples, func(sample Sample) bool { return dayOf(sample.At) != day })
		if n < 0 {
			n = len(samples)
		}
		if err := s.appendDay(ctx, key, day, samples[:n]); err != nil {
			return fmt.Errorf("record demand of pool %s chunk %s: %w", key.Pool, key.Chunk, err)
		}
		samples = samples[n:]
	}
	return nil
}

func dayOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

func (s *Store) appendDay(ctx context.Context, key Key, day string, samples []Sample) error {
	var err error
	for range attempts {
		if err = s.tryAppend(ctx, key, day, samples); err == nil {
			return nil
		}
		delete(s.today, key)
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return err
}

func (s *Store) tryAppend(ctx context.Context, key Key, day string, samples []Sample) error {
	object, err := s.objectOf(ctx, key, day)
	if err != nil {
		return err
	}
	stored, err := read(object)
	if err != nil {
		return err
	}
	if n := len(stored); n > 0 {
		samples = slices.DeleteFunc(slices.Clone(samples), func(sample Sample) bool { return !sample.At.After(stored[n-1].At) })
	}
	if len(samples) == 0 {
		return nil
	}
	if object.Data.Encoded, err = encode(object.Data.Encoded, samples); err != nil {
		return err
	}
	object.Data.Samples += int32(len(samples))
	if object.ResourceVersion == "" {
		err = s.client.Create(ctx, object)
	} else {
		err = s.client.Update(ctx, object)
	}
	if err == nil {
		s.today[key] = object
	}
	return err
}

// objectOf is a copy of the object of a day: the one last written, the stored one, or a new one.
func (s *Store) objectOf(ctx context.Context, key Key, day string) (*v1alpha1.DemandHistory, error) {
	if object := s.today[key]; object != nil && object.Data.Day == day {
		return object.DeepCopy(), nil
	}
	object := &v1alpha1.DemandHistory{}
	err := s.client.Get(ctx, client.ObjectKey{Name: nameOf(key, day)}, object)
	if !apierrors.IsNotFound(err) {
		return object, err
	}
	object = &v1alpha1.DemandHistory{
		ObjectMeta: metav1.ObjectMeta{
			Name:   nameOf(key, day),
			Labels: map[string]string{v1alpha1.LabelPool: key.Pool, v1alpha1.LabelChunk: key.Chunk},
		},
		Data: v1alpha1.DemandHistoryData{SchemaVersion: schemaVersion, Pool: key.Pool, Chunk: key.Chunk, Day: day},
	}
	if key.PoolUID != "" {
		object.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "WarmPool", Name: key.Pool, UID: key.PoolUID,
		}}
	}
	return object, nil
}

func nameOf(key Key, day string) string { return key.Pool + "." + key.Chunk + "." + day }

// Prune deletes the objects of days that ended before a time.
func (s *Store) Prune(ctx context.Context, key Key, before time.Time) error {
	var list v1alpha1.DemandHistoryList
	if err := s.client.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelPool: key.Pool, v1alpha1.LabelChunk: key.Chunk}); err != nil {
		return fmt.Errorf("list DemandHistory of pool %s chunk %s: %w", key.Pool, key.Chunk, err)
	}
	for i := range list.Items {
		if object := &list.Items[i]; object.Data.Day < dayOf(before) {
			if err := client.IgnoreNotFound(s.client.Delete(ctx, object)); err != nil {
				return fmt.Errorf("delete DemandHistory %s: %w", object.Name, err)
			}
		}
	}
	return nil
}

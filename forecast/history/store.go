// Package history keeps recorded demand. Store has it in DemandHistory objects of the API
// server: one per pool, chunk and UTC day, of which only today's is ever rewritten. Any
// replica can lead, and there is no volume. Prometheus reads it from a server that scrapes
// the reserver, for those who run one.
package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

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

// ErrUnreadable is in errors about history that is left out: DemandHistory objects that are
// corrupt or of another schema version, which are left alone; and answers of Prometheus that
// are empty or incomplete. Trying again at once will not help; what there is, is returned.
var ErrUnreadable = errors.New("it is skipped: upgrade Forewarm if a newer version wrote it, else delete it")

// Store reads and writes DemandHistory objects. It is not for concurrent use.
type Store struct {
	client client.Client
	// written holds the object last written of each series, to spare a read per append.
	written map[Key]written
}

type written struct {
	object *v1alpha1.DemandHistory
	// last is the time of its last sample.
	last time.Time
}

// NewStore makes a Store. The client should read DemandHistory objects from the API server,
// not from an informer: a stale read costs a conflict and another try.
func NewStore(c client.Client) *Store {
	return &Store{client: c, written: map[Key]written{}}
}

// longest is the longest series that is loaded. No WarmPool keeps more than 60 days, so
// what is later than this is from a clock that was wrong.
const longest = 62 * 24 * time.Hour

// Load returns the series of key since a time on a grid of step: the highest sample within
// each step, NaN where there is none. The series ends with the last sample. Where objects
// cannot be read, what can be read comes with an error that is ErrUnreadable and names them.
func (s *Store) Load(ctx context.Context, key Key, since time.Time, step time.Duration) (forecast.Series, error) {
	since = since.Truncate(step)
	samples, err := s.Samples(ctx, key, since)
	return OnGrid(samples, since, step), err
}

// Samples returns what is stored of key since a time, in time order. Errors are as of Load.
func (s *Store) Samples(ctx context.Context, key Key, since time.Time) ([]Sample, error) {
	objects, err := s.list(ctx, key)
	if err != nil {
		return nil, err
	}
	var samples []Sample
	var broken []error
	for i := range objects {
		some, err := read(&objects[i])
		if err != nil {
			broken = append(broken, err)
		}
		samples = append(samples, some...)
	}
	samples = slices.DeleteFunc(samples, func(s Sample) bool {
		return s.At.Before(since) || s.At.After(since.Add(longest))
	})
	slices.SortFunc(samples, func(a, b Sample) int { return a.At.Compare(b.At) })
	return samples, errors.Join(broken...)
}

func (s *Store) list(ctx context.Context, key Key) ([]v1alpha1.DemandHistory, error) {
	var list v1alpha1.DemandHistoryList
	if err := s.client.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelPool: key.Pool, v1alpha1.LabelChunk: key.Chunk}); err != nil {
		return nil, fmt.Errorf("list DemandHistory of pool %s chunk %s: %w", key.Pool, key.Chunk, err)
	}
	return list.Items, nil
}

// read decodes one object: samples of its day, in order.
func read(object *v1alpha1.DemandHistory) ([]Sample, error) {
	if object.Data.SchemaVersion != schemaVersion {
		return nil, fmt.Errorf("DemandHistory %s: data.schemaVersion is %d, this version reads %d: %w",
			object.Name, object.Data.SchemaVersion, schemaVersion, ErrUnreadable)
	}
	samples, err := decode(object.Data.Encoded)
	if err != nil {
		return nil, fmt.Errorf("DemandHistory %s: data.encoded is corrupt (%w): %w", object.Name, err, ErrUnreadable)
	}
	// The encoding has no checksum, but damage shows in the times.
	for i, sample := range samples {
		if dayOf(sample.At) != object.Data.Day || i > 0 && !sample.At.After(samples[i-1].At) {
			return nil, fmt.Errorf("DemandHistory %s: data.encoded is corrupt (sample %d is of %s): %w",
				object.Name, i, sample.At.Format(time.RFC3339), ErrUnreadable)
		}
	}
	return samples, nil
}

// OnGrid places samples, in any order, on a grid; one value per step, the highest.
func OnGrid(samples []Sample, start time.Time, step time.Duration) forecast.Series {
	series := forecast.Series{Start: start, Step: step}
	for _, sample := range samples {
		index := int(sample.At.Sub(start) / step)
		for len(series.Values) <= index {
			series.Values = append(series.Values, math.NaN())
		}
		if old := series.Values[index]; math.IsNaN(old) || sample.Demand > old {
			series.Values[index] = sample.Demand
		}
	}
	return series
}

// Prune deletes the objects of days that ended before a time, save those that cannot be read.
func (s *Store) Prune(ctx context.Context, key Key, before time.Time) error {
	objects, err := s.list(ctx, key)
	if err != nil {
		return err
	}
	for i := range objects {
		object := &objects[i]
		if object.Data.Day >= dayOf(before) {
			continue
		}
		if _, err := read(object); err != nil {
			continue // Load tells of it
		}
		if err := client.IgnoreNotFound(s.client.Delete(ctx, object)); err != nil {
			return fmt.Errorf("delete DemandHistory %s, which is older than the history to keep: %w", object.Name, err)
		}
	}
	return nil
}

package forecaster

import (
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/champion"
	"forewarm.dev/forecast/history"
)

// tracked is one series in memory. Only the loop changes it; mu is for what jobs beside the
// loop read or leave.
type tracked struct {
	mu sync.Mutex
	// Series is changed under mu.
	forecast.Series
	// loaded says that Series holds what the store has, of the WarmPool with this uid.
	loaded bool
	uid    types.UID
	// unsaved are the samples that the store has not taken yet, in time order.
	unsaved []history.Sample
	// warning is told once, with the next observation.
	warning error
	// record is what is kept of its versions, as of revision.
	record   champion.Record
	revision string
	// live are the errors of the version liveOf; pending is the forecast that is judged next.
	live    champion.Live
	liveOf  int64
	pending *pending

	// What follows is under mu.

	// loads counts how often Series was loaded.
	loads int
	// fits are by version; learning are those being made.
	fits     map[int64]*fit
	learning map[int64]bool
	// trials are those that have ended and are not entered yet; trying says that some are made.
	trials *champion.Trials
	trying bool
	// failed is told with the next forecast.
	failed error
	// pruned is the day of the last pruning.
	pruned string
}

// mostUnsaved bounds the samples kept for a store that does not answer.
const mostUnsaved = 10000

// hold keeps a sample until the store has it; the oldest give way.
func (t *tracked) hold(sample history.Sample) {
	t.unsaved = append(t.unsaved, sample)
	if surplus := len(t.unsaved) - mostUnsaved; surplus > 0 {
		t.unsaved = append([]history.Sample(nil), t.unsaved[surplus:]...)
	}
}

// copy is the series as it is now; call it under mu.
func (t *tracked) copy() forecast.Series {
	series := t.Series
	series.Values = slices.Clone(t.Values)
	return series
}

func (t *tracked) warn(err error) { t.warning = errors.Join(t.warning, err) }

func (t *tracked) takeWarning() error {
	warning := t.warning
	t.warning = nil
	return warning
}

// add puts a value on the grid, with gaps before it where intervals were missed, and drops
// what is older than the history to be kept. What is earlier than the grid is ignored.
func (t *tracked) add(at time.Time, demand float64, pool Pool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.Values) == 0 {
		t.Start, t.Step = at.Truncate(pool.Interval), pool.Interval
	}
	most := max(int(pool.History/pool.Interval), 1)
	index := int(at.Sub(t.Start) / pool.Interval)
	if at.Before(t.Start) {
		return
	}
	if index >= len(t.Values)+most { // longer away than all that is kept
		t.Start, t.Values, index = at.Truncate(pool.Interval), nil, 0
	}
	for len(t.Values) <= index {
		t.Values = append(t.Values, math.NaN())
	}
	if old := t.Values[index]; math.IsNaN(old) || demand > old {
		t.Values[index] = demand
	}
	if surplus := len(t.Values) - most; surplus > most/10 { // not each time: it copies
		t.Values = append([]float64(nil), t.Values[surplus:]...)
		t.Start = t.Start.Add(time.Duration(surplus) * pool.Interval)
	}
}

// complete fills gaps, and puts what is earlier before the first value. What is there stays.
func (t *tracked) complete(more forecast.Series) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.Values) == 0 || len(more.Values) == 0 {
		return
	}
	if earlier := int(t.Start.Sub(more.Start) / t.Step); earlier > 0 {
		before := make([]float64, earlier, earlier+len(t.Values))
		for i := range before {
			before[i] = math.NaN()
		}
		t.Values = append(before, t.Values...)
		t.Start = t.Start.Add(-time.Duration(earlier) * t.Step)
	}
	offset := int(more.Start.Sub(t.Start) / t.Step)
	for i, value := range more.Values {
		if at := offset + i; at >= 0 && at < len(t.Values) && math.IsNaN(t.Values[at]) {
			t.Values[at] = value
		}
	}
}

// replace puts another series in the place of this one. What was learned from it is dropped.
func (t *tracked) replace(series forecast.Series, uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uid != uid {
		t.record, t.revision = champion.Record{}, ""
	}
	t.Series, t.loaded, t.uid = series, true, uid
	t.live, t.pending = champion.Live{}, nil
	t.loads++
	t.fits, t.learning = map[int64]*fit{}, map[int64]bool{}
	t.trials, t.trying, t.failed = nil, false, nil
}

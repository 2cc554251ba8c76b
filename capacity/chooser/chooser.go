// Package chooser keeps the policy of each chunk: chosen once a day, beside the loop, by replaying
// what each would have done on the chunk's own history, and dropped to static headroom when the
// forecast has missed three times in a row.
package chooser

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/capacity"
	"forewarm.dev/capacity/policy"
	"forewarm.dev/forecast"
)

// looked is how many demands are compared with what was forecast for them.
const looked = 3

// Key is a chunk of a WarmPool.
type Key struct {
	Pool  types.UID
	Chunk string
}

// Question is what a policy depends on.
type Question struct {
	Key
	// By is what the policy is chosen by, beside the history.
	By policy.Question
	// Known is what status remembers, for a chunk that has not been asked about before.
	Known Answer
	// History is the demand so far. It is called when a choice begins, and when a forecast is dropped that none
	// was compared with.
	History func() forecast.Series
	// Demand is the highest of the interval that ends now, Forecast what is foreseen now.
	Demand   float64
	Forecast forecast.Forecast
}

// Answer is the policy in use; its Policy is the forecast as it is, until one was chosen.
type Answer struct {
	policy.Choice
	// At is when it was chosen; zero for not yet.
	At time.Time
}

// Chooser keeps policies. Ask is not for concurrent use.
type Chooser struct {
	inline bool
	chunks map[Key]*chunk
	// turn lets one choice be made at a time.
	turn chan struct{}
}

// New makes a Chooser. One that is inline answers only when a choice that is due has been made, so
// that what it says does not depend on how fast the machine is.
func New(inline bool) *Chooser {
	return &Chooser{inline: inline, chunks: map[Key]*chunk{}, turn: make(chan struct{}, 1)}
}

// chunk is what is known of one chunk.
type chunk struct {
	Answer
	// started is when the last choice began.
	started time.Time
	// asked is when it was last asked for.
	asked time.Time
	// demands are the last ones, low and high the bands that were forecast for them.
	demands, low, high []float64
	// next is the band of the interval to come.
	next [2]float64

	mu     sync.Mutex
	made   *policy.Choice
	failed error
}

// Ask notes the demand, and returns the policy to plan with. A choice that failed is an error, told
// once; what is in use stays.
func (c *Chooser) Ask(q Question, now time.Time) (Answer, error) {
	k := c.chunks[q.Key]
	if k == nil {
		k = &chunk{Answer: q.Known, started: q.Known.At}
		c.chunks[q.Key] = k
	}
	if now.After(k.asked) { // a pool in a hurry asks more than once in an interval
		k.look(q)
		k.asked = now
	}
	if every := q.By.Day(); now.Truncate(every) != k.started.Truncate(every) || k.started.IsZero() {
		k.started = now
		c.begin(k, q)
	}
	err := k.takeIn(now)
	if cmp.Or(k.Policy.Kind, capacity.Forecast) == capacity.Forecast && policy.Missed(k.demands, k.low, k.high) {
		k.Choice = q.By.Drop(k.Choice, func() forecast.Series { return filled(q.History()) })
		k.demands, k.low, k.high = nil, nil, nil
	}
	return k.Answer, err
}

// Keep forgets all chunks but those of some pools.
func (c *Chooser) Keep(pools []types.UID) {
	maps.DeleteFunc(c.chunks, func(key Key, _ *chunk) bool { return !slices.Contains(pools, key.Pool) })
}

// look compares the demand with the band that was forecast for it, and keeps that of the next.
func (k *chunk) look(q Question) {
	if k.next[1] > 0 {
		k.demands, k.low, k.high = append(k.demands, q.Demand), append(k.low, k.next[0]), append(k.high, k.next[1])
		from := max(len(k.demands)-looked, 0)
		k.demands, k.low, k.high = k.demands[from:], k.low[from:], k.high[from:]
	}
	k.next = band(q)
}

// band is the 95 % band of the demand an interval ahead; none where the horizon has longer steps.
func band(q Question) [2]float64 {
	n := len(q.Forecast.Paths)
	if n == 0 || q.By.Limits.Horizon()[0] > q.By.Limits.Interval {
		return [2]float64{}
	}
	values := make([]float64, n)
	for i, path := range q.Forecast.Paths {
		values[i] = path[0]
	}
	slices.Sort(values)
	return [2]float64{values[n/40], values[n-1-n/40]}
}

// begin makes a choice, beside the caller.
func (c *Chooser) begin(k *chunk, q Question) {
	series, inUse := filled(q.History()), k.InUse()
	work := func() {
		c.turn <- struct{}{}
		made, err := q.By.Choose(series, inUse)
		<-c.turn
		k.mu.Lock()
		defer k.mu.Unlock()
		k.made, k.failed = &made, err
	}
	if c.inline {
		work()
	} else {
		go work()
	}
}

// takeIn puts a choice that has been made into use.
func (k *chunk) takeIn(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	made, err := k.made, k.failed
	k.made, k.failed = nil, nil
	if made == nil || err != nil {
		return err
	}
	k.Choice, k.At = *made, now
	return nil
}

// filled has the value before in place of each that is missing.
func filled(series forecast.Series) forecast.Series {
	series.Values = slices.Clone(series.Values)
	last := 0.0
	for i, v := range series.Values {
		if math.IsNaN(v) {
			series.Values[i] = last
		}
		last = series.Values[i]
	}
	return series
}

// Package scorecard tells of a pool that only observes what would have happened had it acted: which of the
// demand that arrived would have found capacity ready, which waits that would have spared, and what would
// have idled. It follows the placeholders that each plan wants, which nobody makes, from plan to plan.
package scorecard

import (
	"math"
	"slices"
	"time"

	"forewarm.dev/capacity"
)

// Look is what one plan was made of, and the plan.
type Look struct {
	// Peaks are the highest demands of the interval, in chunks, a row per chunk.
	Peaks  []float64
	State  capacity.State
	Limits capacity.Limits
	Plan   capacity.Result
	// Sizes are how much of the pool's resource one chunk is.
	Sizes []float64
}

// Score is what would have happened within a time. Amounts are in units of the pool's resource.
type Score struct {
	// Arrived is the demand that arrived. Free is how much of it found room on nodes in use, with nothing
	// done, and Warm how much more would have found placeholders.
	Arrived, Free, Warm float64
	// Avoided are the waits that would have been spared, in chunks, and Spared how long they are in hours, by
	// the lead time.
	Avoided, Spared float64
	// Idle is what placeholders would have held, in hours of a unit, and Cost what that costs.
	Idle, Cost float64
}

func (s Score) plus(o Score) Score {
	return Score{
		Arrived: s.Arrived + o.Arrived, Free: s.Free + o.Free, Warm: s.Warm + o.Warm,
		Avoided: s.Avoided + o.Avoided, Spared: s.Spared + o.Spared, Idle: s.Idle + o.Idle, Cost: s.Cost + o.Cost,
	}
}

// Bucket is the score of an hour, or of a day of UTC.
type Bucket struct {
	Start time.Time
	Score
}

// Batch is a number of chunks at a time.
type Batch struct {
	At time.Time
	N  float64
}

// Chunk is what is known of a chunk from the look before.
type Chunk struct {
	Name string
	// Demand and Free are what was seen.
	Demand, Free float64
	// Warm are the placeholders that would hold capacity, Coming those that would wait for a node, by when it
	// would be there.
	Warm   float64
	Coming []Batch
	// Wanted are the numbers that were wanted within the hold time and not exceeded since, oldest first.
	Wanted []Batch
}

// Card is a scorecard.
type Card struct {
	// At is when the last plan was made.
	At     time.Time
	Hours  []Bucket
	Days   []Bucket
	Chunks []Chunk
}

// most is how many batches are kept of a chunk; beyond it, two become one, which idles longer or comes later.
const most = 32

// longest is for how many intervals, and longestTime how long at least, a plan may stand: of a time in which
// nobody planned, nothing is counted.
const (
	longest     = 3
	longestTime = time.Minute
)

// Next is the card after one more plan. The card is left as it is.
func (c Card) Next(look Look, now time.Time) Card {
	passed := now.Sub(c.At)
	counts := !c.At.IsZero() && passed >= 0 && passed <= max(longest*look.Limits.Interval, longestTime)
	next, sum := Card{At: now}, Score{}
	for i, chunk := range look.Limits.Chunks {
		before, known := c.chunk(chunk.Name)
		s := step{Chunk: before, hours: passed.Hours(), lead: look.Limits.LeadTime, hold: look.Limits.HoldTime(), size: look.Sizes[i], cost: chunk.IdleCostPerHour}
		if known && counts {
			sum = sum.plus(s.score(look.Peaks[i]))
		}
		s.follow(float64(look.Plan.Chunks[i].Wanted), now)
		s.Demand, s.Free = look.Peaks[i], float64(look.State.Chunks[i].Free)
		next.Chunks = append(next.Chunks, s.Chunk)
	}
	next.Hours = add(c.Hours, sum, now.UTC().Truncate(time.Hour), 24*time.Hour)
	next.Days = add(c.Days, sum, now.UTC().Truncate(24*time.Hour), 7*24*time.Hour)
	return next
}

// Total is the score of some buckets, and since when.
func Total(buckets []Bucket) (total Bucket) {
	for i, b := range buckets {
		if i == 0 {
			total.Start = b.Start
		}
		total.Score = total.plus(b.Score)
	}
	return total
}

func (c Card) chunk(name string) (Chunk, bool) {
	i := slices.IndexFunc(c.Chunks, func(chunk Chunk) bool { return chunk.Name == name })
	if i < 0 {
		return Chunk{Name: name}, false
	}
	chunk := c.Chunks[i]
	chunk.Coming, chunk.Wanted = slices.Clone(chunk.Coming), slices.Clone(chunk.Wanted)
	return chunk, true
}

// add adds a score to the bucket that begins at start, and drops those that began a width before or earlier.
// Where the clock of another replica is behind, the last bucket takes it: one more would be one too many for
// the API later.
func add(buckets []Bucket, score Score, start time.Time, width time.Duration) []Bucket {
	kept := slices.DeleteFunc(slices.Clone(buckets), func(b Bucket) bool { return !b.Start.After(start.Add(-width)) })
	if n := len(kept); n > 0 && !start.After(kept[n-1].Start) {
		kept[n-1].Score = kept[n-1].plus(score)
		return kept
	}
	return append(kept, Bucket{Start: start, Score: score})
}

// step leads a chunk from one plan to the next.
type step struct {
	Chunk
	hours, size, cost float64
	lead, hold        time.Duration
}

// score counts what has happened since the last plan, and takes the placeholders that would have been taken
// over: demand takes free room first, and of what was there when the time began.
func (s *step) score(peak float64) Score {
	arrived := max(peak-s.Demand, 0)
	free := min(arrived, s.Free)
	warm := min(arrived-free, s.Warm)
	score := Score{
		Arrived: arrived * s.size, Free: free * s.size, Warm: warm * s.size,
		Avoided: warm, Spared: warm * s.lead.Hours(),
		Idle: s.Warm * s.size * s.hours, Cost: s.Warm * s.cost * s.hours,
	}
	s.Warm -= warm
	return score
}

// follow does what the reserver would: what is missing is asked for and comes after the lead time, and a
// quarter of what nothing has wanted for the hold time is given back, what has not come yet first.
func (s *step) follow(wanted float64, now time.Time) {
	held, coming := s.Warm, s.Coming[:0]
	for _, batch := range s.Coming {
		held += batch.N
		if batch.At.After(now) {
			coming = append(coming, batch)
		} else {
			s.Warm += batch.N
		}
	}
	s.Coming = coming
	s.Wanted = slices.DeleteFunc(s.Wanted, func(b Batch) bool { return b.At.Before(now.Add(-s.hold)) || b.N <= wanted })
	s.Wanted = append(s.Wanted, Batch{now, wanted})
	if len(s.Wanted) > most {
		s.Wanted[1].N = s.Wanted[0].N
		s.Wanted = s.Wanted[1:]
	}
	switch unwanted := held - s.Wanted[0].N; {
	case wanted > held:
		s.Coming = append(s.Coming, Batch{now.Add(s.lead), wanted - held})
		if n := len(s.Coming); n > most {
			s.Coming[n-2] = Batch{s.Coming[n-1].At, s.Coming[n-2].N + s.Coming[n-1].N}
			s.Coming = s.Coming[:n-1]
		}
	case unwanted > 0:
		s.release(math.Ceil(unwanted / 4))
	}
}

func (s *step) release(n float64) {
	for n > 0 && len(s.Coming) > 0 {
		last := &s.Coming[len(s.Coming)-1]
		part := min(n, last.N)
		last.N -= part
		n -= part
		if last.N == 0 {
			s.Coming = s.Coming[:len(s.Coming)-1]
		}
	}
	s.Warm = max(s.Warm-n, 0)
}

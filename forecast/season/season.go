// Package season finds the lengths after which a demand series repeats itself. It is pure.
package season

import (
	"math"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
	// mostBins bounds the cost: a longer series is averaged to so many values or fewer.
	mostBins = 8192
	// fewestBins is the shortest season that can be told, in values.
	fewestBins = 4
	// fewestPairs is the least number of pairs of values to compare, as a share of a season.
	fewestPairs = 0.25
	// chance is how much a series without the season seems to repeat itself, at most in one of
	// twenty, times the square root of how many seasons it holds (docs/calculations.md).
	chance = 0.7
	// chanceOfWeek is the same for a week on top of a day. Who has days has weekends as well, more
	// likely than not.
	chanceOfWeek = 0.2
	// leastAlike is by how much less at least values must differ, however many seasons there are: what
	// explains less is not worth repeating.
	leastAlike = 0.05
	// largest is the largest value that is believed, as in the forecast.
	largest = 1e12
)

// lengths are those that are looked for, shortest first: people and cron divide the day, and
// the week repeats.
func lengths() []time.Duration {
	return []time.Duration{
		time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 12 * time.Hour, day, week,
	}
}

// Find returns the seasons of a series with a fixed step, shortest first; none where it does
// not repeat itself, or holds less than two seasons. What is not finite is missing.
//
// A series repeats after a length if values so far apart differ less than values half as far
// and half as far again do. Where it has a shorter season already, of which the length is a
// multiple, the values compared with lie multiples of the shorter farther and nearer, at most a
// day: else what repeats each 8 hours would repeat each 24 too. Differences between neighbouring lengths do
// not mistake a wandering level or a trend for a season.
//
// A season that divides a day is dropped where the day repeats too: the day has its shape.
func Find(values []float64, step time.Duration) []time.Duration {
	s := thin(values, step)
	var found []time.Duration
	for _, length := range lengths() {
		shorter := time.Duration(0)
		for _, other := range found {
			if length%other == 0 {
				shorter = other
			}
		}
		if !s.repeats(length, shorter) {
			continue
		}
		if shorter > 0 && length <= day {
			found = dropDivisors(found, length)
		}
		found = append(found, length)
	}
	return found
}

func dropDivisors(found []time.Duration, length time.Duration) []time.Duration {
	var kept []time.Duration
	for _, other := range found {
		if length%other != 0 {
			kept = append(kept, other)
		}
	}
	return kept
}

// binned is a series, averaged where it was long.
type binned struct {
	values []float64
	step   time.Duration
}

// thin averages to at most mostBins values. A bin without any value is missing.
func thin(values []float64, step time.Duration) binned {
	size := (len(values) + mostBins - 1) / mostBins
	b := binned{step: step * time.Duration(max(size, 1))}
	for from := 0; from < len(values); from += size {
		sum, n := 0.0, 0.0
		for _, value := range values[from:min(from+size, len(values))] {
			if math.Abs(value) <= largest {
				sum += max(value, 0)
				n++
			}
		}
		b.values = append(b.values, sum/n) // NaN where there is none
	}
	return b
}

// repeats says that values a length apart are alike, beyond chance.
func (b binned) repeats(length, shorter time.Duration) bool {
	seasons := float64(len(b.values)) * float64(b.step) / float64(length)
	least := chance
	if length == week && shorter == day {
		least = chanceOfWeek
	}
	return length >= fewestBins*b.step && seasons >= 2 && b.alike(length, shorter) > max(least/math.Sqrt(seasons), leastAlike)
}

// alike is by how much less values differ that are a length apart, as a share of how much those
// nearer and farther do.
func (b binned) alike(length, shorter time.Duration) float64 {
	off := length / 2
	if shorter > 0 {
		off = min(off/shorter*shorter, max(shorter, day))
	}
	least := max(int(fewestPairs*float64(length)/float64(b.step)), 1)
	apart, ok := b.apart(length, least)
	nearer, nearOK := b.apart(length-off, least)
	farther, farOK := b.apart(length+off, least)
	if !farOK {
		farther = nearer
	}
	if !ok || !nearOK || nearer+farther == 0 {
		return 0
	}
	return 1 - 2*apart/(nearer+farther)
}

// apart is the mean absolute difference of values some time apart, and whether it is of enough
// of them.
func (b binned) apart(time time.Duration, least int) (float64, bool) {
	lag := int(math.Round(float64(time) / float64(b.step)))
	sum, n := 0.0, 0
	for i := lag; i < len(b.values); i++ {
		if difference := b.values[i] - b.values[i-lag]; difference == difference { // both are there
			sum += math.Abs(difference)
			n++
		}
	}
	return sum / float64(max(n, 1)), n >= least
}

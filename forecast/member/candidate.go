package member

import "math"

// Candidate is a point forecaster with nothing to fit, so that what it would have said at
// any earlier origin is out of sample.
type Candidate struct {
	// Season is the length, in steps, that it repeats; zero for the last value. At an origin
	// earlier than that it has nothing to repeat.
	Season float64
	// At forecasts the value some steps after the origin, from the values until the origin.
	At func(g Grid, origin, steps int) float64
}

// LastValue repeats the value at the origin: hard to beat where demand moves in steps.
func LastValue() Candidate {
	return Candidate{At: func(g Grid, origin, _ int) float64 { return g.Values[origin] }}
}

// SameSlot repeats what was whole seasons before the time that is asked for.
func SameSlot(season float64) Candidate {
	return Candidate{Season: season, At: func(g Grid, origin, steps int) float64 {
		cycles := math.Ceil(float64(steps) / season)
		return g.Values[back(origin+steps, season*cycles)]
	}}
}

const (
	// maxCycles bounds over how many past seasons an increment is averaged.
	maxCycles = 7
	// blurOfSeason is how far around a slot, as a share of the season, its level is averaged,
	// so that the noise of single values does not drown the ramp: half an hour of a day.
	blurOfSeason = 1.0 / 48
)

// SeasonalIncrement adds to the last value how much demand rose over the same slots of the
// past seasons, on average: the level of now with the shape of then. It is the same-slot
// forecast of a stock, whose level wanders while its daily ramps stay.
func SeasonalIncrement(season float64) Candidate {
	blur := int(season * blurOfSeason)
	return Candidate{Season: season, At: func(g Grid, origin, steps int) float64 {
		ahead := int(math.Mod(float64(steps-1), season)) + 1
		cycles := min(max(int(float64(origin)/season), 1), maxCycles)
		rise := 0.0
		for cycle := 1; cycle <= cycles; cycle++ {
			from := back(origin, season*float64(cycle))
			to := min(from+ahead, origin)
			around := min(blur, from, origin-to)
			rise += g.Mean(to-around, to+around) - g.Mean(from-around, from+around)
		}
		return g.Values[origin] + rise/float64(cycles)
	}}
}

// back is the index that lies some steps before index. A season need not be a whole number
// of steps: the nearest one counts.
func back(index int, steps float64) int {
	return max(index-int(math.Round(steps)), 0)
}

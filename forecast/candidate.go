package forecast

import "math"

// candidate is a point forecaster with nothing to fit, so that what it would have said at
// any earlier origin is out of sample.
type candidate struct {
	// season is the length, in steps, that it repeats; zero for the last value. At an origin
	// earlier than that it has nothing to repeat.
	season float64
	// at forecasts the value some steps after the origin, from the values until the origin.
	at func(g grid, origin, steps int) float64
}

// lastValue repeats the value at the origin: hard to beat where demand moves in steps.
func lastValue() candidate {
	return candidate{at: func(g grid, origin, _ int) float64 { return g.values[origin] }}
}

// sameSlot repeats what was whole seasons before the time that is asked for.
func sameSlot(season float64) candidate {
	return candidate{season: season, at: func(g grid, origin, steps int) float64 {
		cycles := math.Ceil(float64(steps) / season)
		return g.values[back(origin+steps, season*cycles)]
	}}
}

const (
	// maxCycles bounds over how many past seasons an increment is averaged.
	maxCycles = 7
	// blurOfSeason is how far around a slot, as a share of the season, its level is averaged,
	// so that the noise of single values does not drown the ramp: half an hour of a day.
	blurOfSeason = 1.0 / 48
)

// seasonalIncrement adds to the last value how much demand rose over the same slots of the
// past seasons, on average: the level of now with the shape of then. It is the same-slot
// forecast of a stock, whose level wanders while its daily ramps stay.
func seasonalIncrement(season float64) candidate {
	blur := int(season * blurOfSeason)
	return candidate{season: season, at: func(g grid, origin, steps int) float64 {
		ahead := int(math.Mod(float64(steps-1), season)) + 1
		cycles := min(max(int(float64(origin)/season), 1), maxCycles)
		rise := 0.0
		for cycle := 1; cycle <= cycles; cycle++ {
			from := back(origin, season*float64(cycle))
			to := min(from+ahead, origin)
			around := min(blur, from, origin-to)
			rise += g.mean(to-around, to+around) - g.mean(from-around, from+around)
		}
		return g.values[origin] + rise/float64(cycles)
	}}
}

// back is the index that lies some steps before index. A season need not be a whole number
// of steps: the nearest one counts.
func back(index int, steps float64) int {
	return max(index-int(math.Round(steps)), 0)
}

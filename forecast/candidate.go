package forecast

import (
	"math"
	"time"
)

// candidate is a point forecaster without parameters to fit, so that what it would have
// said at any earlier origin is out of sample.
type candidate struct {
	source Source
	// reach is how many values before the origin it looks at.
	reach int
	// at forecasts the value steps after the origin, an index into the values.
	at func(values []float64, origin, steps int) float64
}

// lastValue repeats the value at the origin: hard to beat where demand moves in steps.
func lastValue() candidate {
	return candidate{source: SourceLastValue, at: func(values []float64, origin, _ int) float64 {
		return values[origin]
	}}
}

// sameSlot repeats what was one season before the time that is asked for.
func sameSlot(season float64) candidate {
	return candidate{source: SourceSameSlot, reach: int(math.Ceil(season)), at: func(values []float64, origin, steps int) float64 {
		cycles := math.Ceil(float64(steps) / season)
		return values[slot(origin+steps, season*cycles)]
	}}
}

// maxCycles bounds over how many past seasons an increment is averaged.
const maxCycles = 7

// sameSlotIncrement adds to the last value how much demand rose over the same slots of the
// last seasons, on average: the level of now with the shape of then. It is the same-slot
// forecast of a stock, whose level wanders while its daily ramps stay.
func sameSlotIncrement(season float64, available int) candidate {
	cycles := min(max(int(float64(available)/season)-1, 1), maxCycles)
	reach := int(math.Ceil(season * float64(cycles)))
	return candidate{source: SourceSameSlot, reach: reach, at: func(values []float64, origin, steps int) float64 {
		within := math.Mod(float64(steps)-1, season) + 1
		rise, n := 0.0, 0
		for k := 1; k <= cycles; k++ {
			from := slot(origin, season*float64(k))
			to := min(from+int(within), origin)
			rise += values[to] - values[from]
			n++
		}
		return values[origin] + rise/float64(n)
	}}
}

// slot is the index that lies back values before index; seasons need not be whole numbers
// of steps, so it is the nearest one.
func slot(index int, back float64) int {
	return max(index-int(math.Round(back)), 0)
}

// candidatesFor lists the candidates that the history is long enough for: one for the last
// value, and for each season of which two have passed one that repeats the slot and one
// that adds its increment.
func candidatesFor(n int, step time.Duration, seasons []time.Duration) []candidate {
	all := []candidate{lastValue()}
	for _, season := range seasons {
		length := float64(season) / float64(step)
		if length < 2 || 2*length > float64(n) {
			continue
		}
		all = append(all, sameSlot(length), sameSlotIncrement(length, n))
	}
	return all
}

package member

import "math"

// The settings of R's stlf: the windows of its loess smoothers in values, but that of the trend,
// which follows from the season.
const (
	seasonalWindow = 11
	stlRounds      = 2
	// jumpShare of a window is how far apart a smoother is worked out; between it is interpolated.
	jumpShare = 10
)

// STL is a seasonal-trend decomposition by loess (Cleveland et al. 1990), additive and without
// weights against outliers.
type STL struct {
	// Adjusted are the values without their season.
	Adjusted []float64
	// Last are the addends of the last season: it is taken to repeat.
	Last Indices
}

// DecomposeSTL decomposes values with a season of so many steps. Two seasons or less have none.
func DecomposeSTL(values []float64, season int) STL {
	if season < 2 || len(values) <= 2*season {
		return STL{Adjusted: values}
	}
	n := len(values)
	trend, seasonal, work := make([]float64, n), make([]float64, n), make([]float64, n)
	trendWindow := odd(1.5 * float64(season) / (1 - 1.5/seasonalWindow))
	for range stlRounds {
		for i, value := range values {
			work[i] = value - trend[i]
		}
		cycle := smoothSlots(work, season)
		low := loess(meanOf(meanOf(meanOf(cycle, season), season), 3), odd(float64(season)), 1)
		for i := range seasonal {
			seasonal[i] = cycle[season+i] - low[i]
			work[i] = values[i] - seasonal[i]
		}
		trend = loess(work, trendWindow, 1)
	}
	x := STL{Adjusted: work, Last: Indices{slots: make([]float64, season), added: true}}
	for i := n - season; i < n; i++ {
		x.Last.slots[i%season] = seasonal[i]
	}
	return x
}

// odd is the first odd number that is not below a window.
func odd(window float64) int {
	n := int(math.Ceil(window))
	return n + 1 - n%2
}

// smoothSlots smooths the values of each slot of the season by themselves, and goes on by a season
// on both sides.
func smoothSlots(values []float64, season int) []float64 {
	cycle := make([]float64, len(values)+2*season)
	var slot []float64
	for first := range season {
		slot = slot[:0]
		for i := first; i < len(values); i += season {
			slot = append(slot, values[i])
		}
		cycle[first] = loessAt(slot, -1, seasonalWindow, 0)
		for k, smooth := range loess(slot, seasonalWindow, 0) {
			cycle[first+(k+1)*season] = smooth
		}
		cycle[first+(len(slot)+1)*season] = loessAt(slot, len(slot), seasonalWindow, 0)
	}
	return cycle
}

// meanOf are the means of so many values each, fewer by what the first lacks.
func meanOf(values []float64, window int) []float64 {
	means := make([]float64, len(values)-window+1)
	sum := 0.0
	for i, value := range values {
		sum += value
		if i >= window {
			sum -= values[i-window]
		}
		if i >= window-1 {
			means[i-window+1] = sum / float64(window)
		}
	}
	return means
}

// loess smooths values by local constants (degree 0) or lines (1).
func loess(values []float64, window, degree int) []float64 {
	smooth := make([]float64, len(values))
	jump, last := (window+jumpShare-1)/jumpShare, len(values)-1
	for from := 0; ; from += jump {
		to := min(from+jump, last)
		if from == 0 {
			smooth[0] = loessAt(values, 0, window, degree)
		}
		smooth[to] = loessAt(values, to, window, degree)
		for i := from + 1; i < to; i++ {
			smooth[i] = smooth[from] + (smooth[to]-smooth[from])*float64(i-from)/float64(to-from)
		}
		if to == last {
			return smooth
		}
	}
}

// loessAt is the smooth value at one place, which may lie beyond the values. The window is of the
// values that are nearest, weighted by the cube of the cube of how near they are; one that is longer
// than the values weighs them more alike.
func loessAt(values []float64, at, window, degree int) float64 {
	n := len(values)
	left := min(max(at-window/2, 0), max(n-window, 0))
	right := min(left+window, n) - 1
	reach := float64(max(at-left, right-at) + max((window-n)/2, 0))
	var weights, mean, sum, spread, tilt float64
	for i := left; i <= right; i++ {
		w := tricube(math.Abs(float64(i-at)) / reach)
		weights += w
		mean += w * float64(i)
		sum += w * values[i]
	}
	if weights == 0 {
		return values[min(max(at, 0), n-1)]
	}
	mean /= weights
	if degree > 0 {
		for i := left; i <= right; i++ {
			w := tricube(math.Abs(float64(i-at)) / reach)
			spread += w * (float64(i) - mean) * (float64(i) - mean)
			tilt += w * (float64(i) - mean) * values[i]
		}
	}
	if spread > 0 {
		return sum/weights + tilt/spread*(float64(at)-mean)
	}
	return sum / weights
}

func tricube(distance float64) float64 {
	if distance >= 1 {
		return 0
	}
	rest := 1 - distance*distance*distance
	return rest * rest * rest
}

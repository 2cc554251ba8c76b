package leastsquares

// Bounds are where Descend looks, and how far at first and at last.
type Bounds struct {
	Low, High   []float64
	First, Last float64
}

// Descend looks for the least loss between bounds, from a start on: along one axis after
// another, by steps that are halved when none helps.
func Descend(start []float64, within Bounds, loss func(at []float64) float64) []float64 {
	low, high := within.Low, within.High
	at := start
	best := loss(at)
	for step := within.First; step >= within.Last; step /= 2 {
		for better := true; better; {
			better = false
			for axis := range at {
				for _, move := range []float64{-step, step} {
					was := at[axis]
					at[axis] = min(max(was+move*(high[axis]-low[axis]), low[axis]), high[axis])
					if l := loss(at); l < best {
						best, better = l, true
					} else {
						at[axis] = was
					}
				}
			}
		}
	}
	return at
}

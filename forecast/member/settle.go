package member

import (
	"math"
	"slices"
)

// settling is how fast a departure from the profile fades: by half in a quarter of a season.
const settling = 4

// levelAndShape is the level of the last season with the usual shape.
func (f *features) levelAndShape(origin, steps int) float64 {
	fold := f.Fold(origin)
	return max(f.level(origin)+f.profile.at(origin+steps, fold)-f.profile.level(fold), 0)
}

// settle starts from how far recent demand is from the profile, and lets that fade.
func (f *features) settle(origin, steps int) float64 {
	fold := f.Fold(origin)
	apart := f.Mean(origin-f.part(1.0/24)+1, origin) - f.profile.at(origin, fold)
	fade := math.Exp2(-settling * float64(steps) / float64(f.Span))
	return max(f.back(f.profile.at(origin+steps, fold)+apart*fade), 0)
}

// medianSlot is the median over the same slot of up to seven seasons, each blurred a little:
// one odd day does not move it.
func (f *features) medianSlot(origin, steps int) float64 {
	var room [maxCycles]float64
	levels := room[:0]
	target := origin + steps
	for i := target - f.Span*((steps+f.Span-1)/f.Span); i >= 0 && len(levels) < maxCycles; i -= f.Span {
		levels = append(levels, f.Mean(i-f.blur, min(i+f.blur, origin)))
	}
	if len(levels) == 0 {
		return f.Values[origin]
	}
	slices.Sort(levels)
	return (levels[len(levels)/2] + levels[(len(levels)-1)/2]) / 2
}

package member

import "math"

const (
	// rankOneSeasons is from how many seasons a shape is learned.
	rankOneSeasons = 28
	// levelMemory is after which share of a season a value counts half in the level: three hours of
	// a day.
	levelMemory = 1.0 / 8
)

// rankOne takes demand for a level times a shape: the table of seasons by slots, as near as one of
// rank one comes to it. Where all of a day grows with its level, as of requests, that has fewer
// numbers to learn than any sum.
type rankOne struct {
	Calendar
	*Track
	// shapes[fold][slot] are the shapes as of each fold, of a mean square of one.
	shapes [][]float64
	// origin is that of which the level was asked last.
	origin int
	level  float64
}

// newRankOne keeps the shapes of the newest folds, from fold 0 on.
func newRankOne(t *Track, c Calendar, keep int) *rankOne {
	r := &rankOne{Calendar: c, Track: t, shapes: make([][]float64, min(keep, c.Folds())), origin: -1}
	shape, sums := make([]float64, c.Span), make([]float64, c.Span)
	for slot := range shape {
		shape[slot] = 1
	}
	for fold := min(c.Folds(), len(r.shapes)+profileHalfLife); fold >= 1; fold-- {
		shape = r.improve(shape, sums, fold)
		if fold-1 < len(r.shapes) {
			r.shapes[fold-1] = shape
		}
	}
	return r
}

// improve is one step of alternating least squares, recent seasons weighing more: the level of each
// season before a fold by the shape, then the shape by the levels. Since it starts from the shape
// of the fold before, one is enough.
func (r *rankOne) improve(shape, sums []float64, fold int) []float64 {
	clear(sums)
	for ago := range min(rankOneSeasons, r.Folds()-fold+1) {
		season := r.Values[r.Cut(fold+ago):][:r.Span]
		level := 0.0
		for slot, value := range season {
			level += value * shape[slot]
		}
		level *= math.Exp2(-float64(ago) / profileHalfLife)
		for slot, value := range season {
			sums[slot] += level * value
		}
	}
	better := smooth(sums, 1, r.part(profileBlur))
	square := 0.0
	for _, value := range better {
		square += value * value / float64(r.Span)
	}
	for slot := range better {
		better[slot] /= math.Sqrt(square) + tiny
	}
	return better
}

// at forecasts demand.
func (r *rankOne) at(origin, steps int) float64 {
	shape := r.shapes[min(r.Fold(origin), len(r.shapes)-1)]
	if r.origin != origin {
		r.origin, r.level = origin, r.levelAt(origin, shape)
	}
	return max(r.level*shape[r.slot(origin+steps)], 0)
}

// levelAt is the level by which the shape comes nearest to the values until an origin.
func (r *rankOne) levelAt(origin int, shape []float64) float64 {
	decay := math.Exp2(-1 / (levelMemory * float64(r.Span)))
	weight, product, square := 1.0, 0.0, tiny
	slot := r.slot(origin)
	for i := origin; i >= max(origin-r.Span+1, 0); i-- {
		product += weight * r.Values[i] * shape[slot]
		square += weight * shape[slot] * shape[slot]
		weight *= decay
		if slot--; slot < 0 {
			slot = r.Span - 1
		}
	}
	return product / square
}

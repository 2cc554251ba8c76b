package member

import "math"

const (
	// profileHalfLife is after how many seasons a value counts half in the profile.
	profileHalfLife = 4
	// profileBlur is how far around a slot, as a share of the season, it is smoothed: a
	// quarter of an hour of a day.
	profileBlur = 1.0 / 96
)

// profile is the usual value of each slot of the season as of each fold: a mean over the
// seasons before it, recent ones more.
type profile struct {
	Calendar
	// rows[fold][slot] are the values; only the newest folds are kept.
	rows [][]float64
	// levels are the means of the rows.
	levels []float64
}

// newProfile keeps the profiles of the newest folds, from fold 0 on.
func newProfile(t *Track, c Calendar, keep int) profile {
	p := profile{Calendar: c, rows: make([][]float64, min(keep, c.Folds())), levels: make([]float64, min(keep, c.Folds()))}
	sums, weight, decay := make([]float64, c.Span), 0.0, math.Exp2(-1.0/profileHalfLife)
	for fold := c.Folds(); fold >= 1; fold-- {
		from := c.Cut(fold)
		for slot := range sums {
			sums[slot] = sums[slot]*decay + t.Values[from+slot]
		}
		weight = weight*decay + 1
		if fold-1 < len(p.rows) {
			p.levels[fold-1] = 0
			for _, v := range sums {
				p.levels[fold-1] += v / weight / float64(c.Span)
			}
			p.rows[fold-1] = smooth(sums, weight, c.part(profileBlur))
		}
	}
	return p
}

// smooth averages around each slot, around the end of the season too.
func smooth(sums []float64, weight float64, around int) []float64 {
	n := len(sums)
	around = min(around, (n-1)/2)
	if n < 8 {
		around = 0
	}
	row := make([]float64, n)
	window := 0.0
	for i := -around; i <= around; i++ {
		window += sums[(i+n)%n]
	}
	for slot := range row {
		row[slot] = window / float64(2*around+1) / weight
		window += sums[(slot+around+1)%n] - sums[(slot-around+n)%n]
	}
	return row
}

// at is the usual value of the slot of an index, as of a fold.
func (p profile) at(index, fold int) float64 {
	return p.rows[min(fold, len(p.rows)-1)][p.slot(index)]
}

// level is the mean of the profile as of a fold.
func (p profile) level(fold int) float64 { return p.levels[min(fold, len(p.rows)-1)] }

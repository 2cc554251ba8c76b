package main

import "math"

// baselineOf is what a write costs without admission of ours.
func (r report) baselineOf(w writeName) armFigures { return r.serverOf(baseline, w) }

func (r report) serverOf(name string, w writeName) armFigures {
	for i, a := range r.arms {
		if a.name == name && a.write.name == w {
			return r.atServer[i]
		}
	}
	return armFigures{}
}

func (r report) portOf(name string, w writeName) portFigures {
	for i, s := range r.subjects {
		if s.name == name && s.asked == w {
			return r.atPort[i]
		}
	}
	return portFigures{}
}

// rounded is nil for what is no number, which JSON cannot say.
func rounded(value float64, digits int) *float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil
	}
	scale := math.Pow(10, float64(digits))
	return new(math.Round(value*scale) / scale)
}

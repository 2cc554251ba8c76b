package forecast

import (
	"slices"
	"time"

	"forewarm.dev/forecast/season"
)

const (
	// fewestSlots is how many values a day must have to be looked at.
	fewestSlots = 4
	// fewestDays is how many days there must be before a day is repeated for want of any season.
	fewestDays = 1.25
)

// findSeasons looks for the seasons of a history of which none were given. It is divided by days
// whatever was found, if it holds two: a day's profile has the shape of the seasons that divide
// it, and tells nothing where days are not alike, which all that uses it finds out by itself. From
// folds of hours too little would be learned of a day ahead.
func (p *problem) findSeasons(history Series) {
	found := usable(len(p.Values), history.Step, season.Find(history.Values, history.Step))
	p.repeats = found
	day := float64(24*time.Hour) / float64(history.Step)
	if day < fewestSlots || 2*day > float64(len(p.Values)) {
		p.seasons = found
		return
	}
	p.seasons = []float64{day}
	for _, length := range found {
		switch {
		case length > day:
			p.seasons = append(p.seasons, length)
		case length < day:
			p.shorter = append(p.shorter, length)
		}
	}
}

// usable are the seasons, in steps and shortest first, of which n values hold at least two:
// one to repeat, and one to see how well that did.
func usable(n int, step time.Duration, seasons []time.Duration) []float64 {
	var lengths []float64
	for _, season := range seasons {
		if length := float64(season) / float64(step); length >= 2 && 2*length <= float64(n) {
			lengths = append(lengths, length)
		}
	}
	slices.Sort(lengths)
	return slices.Compact(lengths)
}

// repeated are the seasons, in steps, that are worth repeating.
func (m *mixture) repeated() []float64 {
	day := float64(24*time.Hour) / float64(m.step)
	switch {
	case len(m.seasons) > 0 && m.Long == 0:
		return slices.Concat(m.seasons[:1], m.shorter)
	case len(m.seasons) > 0:
		return slices.Concat(m.seasons, m.shorter)
	case day >= fewestSlots && fewestDays*day <= float64(len(m.Values)):
		return []float64{day}
	}
	return nil
}

package forecast

import (
	"math"
	"slices"
	"time"
)

// member is a point forecaster within a mixture. What it says at an earlier origin uses
// nothing that came later.
type member struct {
	// name is for whoever asks what a forecast is made of.
	name string
	// first is the earliest origin that it can forecast from.
	first int
	// far and near say for which parts of the horizon it is of use.
	near, far bool
	// at forecasts the demand some steps after an origin.
	at func(origin, steps int) float64
}

// follower keeps a state that each new value changes.
type follower interface {
	push(demand float64, index int)
}

const (
	ridgeName, logRidgeName = "ridge", "log ridge"
	// fewestDays is how many days there must be before a day is repeated for want of any season.
	fewestDays = 1.25
	// settling is how fast a departure from the profile fades: by half in a quarter of a season.
	settling = 4
)

func (m *mixture) newMembers(folds int) {
	g := m.grid
	m.logarithmic = g.logarithmic()
	plain, logarithmic := newFeatures(g.plain(), m.calendar, folds), newFeatures(m.logarithmic, m.calendar, folds)
	work := newLearner(g, len(plain.names))
	m.ridges = map[string]*ridge{
		ridgeName: newRidge(plain, m.edges, work, folds), logRidgeName: newRidge(logarithmic, m.edges, work, folds),
	}
	members := []member{
		{"last value", 0, true, true, func(origin, _ int) float64 { return g.values[origin] }},
		{"mean", 0, true, true, func(origin, _ int) float64 { return plain.level(origin) }},
		{ridgeName, plain.first(), true, true, m.ridges[ridgeName].at},
		{logRidgeName, logarithmic.first(), true, true, m.ridges[logRidgeName].at},
	}
	for _, gain := range recentGains {
		r := newRecent(m.logarithmic, gain)
		m.followers = append(m.followers, r)
		members = append(members, member{"recent mean", 0, true, true, r.at})
	}
	for _, season := range m.repeated() {
		slot, increment := sameSlot(season), seasonalIncrement(season)
		members = append(members,
			member{"same slot", int(season) + 1, true, true, func(origin, steps int) float64 { return slot.at(g, origin, steps) }},
			member{"seasonal increment", int(season) + 1, true, true, func(origin, steps int) float64 { return max(increment.at(g, origin, steps), 0) }})
	}
	members = append(members, m.smoothBy("simple smoothing", make([]indices, min(folds, max(m.folds()-1, 1))), fitSimple))
	if m.seasonal {
		members = m.seasonalMembers(members, plain, logarithmic, folds)
	}
	m.members = members
}

func (m *mixture) smoothBy(name string, seasons []indices, fit func(before smoothing, values []float64) smoothing) member {
	s := newSmoother(m.grid, m.calendar, seasons, fit)
	m.followers = append(m.followers, s)
	return member{name, m.span + 1, true, true, s.at}
}

// seasonalMembers are those that need a season. Theta goes without its drift, of which little is
// left within a horizon.
func (m *mixture) seasonalMembers(members []member, plain, logarithmic features, folds int) []member {
	seasons, product := foldIndices(m.grid, m.calendar, folds), newRankOne(m.track, m.calendar, folds)
	return append(members,
		m.smoothBy("seasonal smoothing", seasons, fitDamped), m.smoothBy("theta", seasons, fitSimple),
		member{"level times shape", m.span + 1, true, false, product.at},
		member{"level and shape", plain.first(), true, false, plain.levelAndShape},
		member{"settling to the profile", logarithmic.first(), true, false, logarithmic.settle},
		member{"median slot", plain.first(), false, true, plain.medianSlot})
}

// repeated are the seasons, in steps, that are worth repeating.
func (m *mixture) repeated() []float64 {
	day := float64(24*time.Hour) / float64(m.step)
	switch {
	case len(m.seasons) > 0 && m.long == 0:
		return slices.Concat(m.seasons[:1], m.shorter)
	case len(m.seasons) > 0:
		return slices.Concat(m.seasons, m.shorter)
	case day >= fewestSlots && fewestDays*day <= float64(len(m.values)):
		return []float64{day}
	}
	return nil
}

// levelAndShape is the level of the last season with the usual shape.
func (f *features) levelAndShape(origin, steps int) float64 {
	fold := f.fold(origin)
	return max(f.level(origin)+f.profile.at(origin+steps, fold)-f.profile.level(fold), 0)
}

// settle starts from how far recent demand is from the profile, and lets that fade.
func (f *features) settle(origin, steps int) float64 {
	fold := f.fold(origin)
	apart := f.mean(origin-f.part(1.0/24)+1, origin) - f.profile.at(origin, fold)
	fade := math.Exp2(-settling * float64(steps) / float64(f.span))
	return max(f.back(f.profile.at(origin+steps, fold)+apart*fade), 0)
}

// medianSlot is the median over the same slot of up to seven seasons, each blurred a little:
// one odd day does not move it.
func (f *features) medianSlot(origin, steps int) float64 {
	var room [maxCycles]float64
	levels := room[:0]
	target := origin + steps
	for i := target - f.span*((steps+f.span-1)/f.span); i >= 0 && len(levels) < maxCycles; i -= f.span {
		levels = append(levels, f.mean(i-f.blur, min(i+f.blur, origin)))
	}
	if len(levels) == 0 {
		return f.values[origin]
	}
	slices.Sort(levels)
	return (levels[len(levels)/2] + levels[(len(levels)-1)/2]) / 2
}

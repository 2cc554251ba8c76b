// Package member holds the point forecasters that forecast mixes, one file each. What one says at an
// earlier origin uses nothing that came later, so that it can be judged there. It is pure.
//
//	clean      gaps are filled, so that all else computes on a plain grid
//	calendar   time is divided into seasons and folds: what is fitted for a fold has seen nothing of it
//	candidate  forecasters with nothing to fit
//	the rest   forecasters that are fitted anew for each fold
package member

// Member is a point forecaster within a mixture.
type Member struct {
	// Name is for whoever asks what a forecast is made of.
	Name string
	// First is the earliest origin that it can forecast from.
	First int
	// Near and Far say for which parts of the horizon it is of use.
	Near, Far bool
	// At forecasts the demand some steps after an origin.
	At func(origin, steps int) float64
}

// follower keeps a state that each new value changes.
type follower interface {
	push(demand float64, index int)
}

// Set is all members of a mixture, fitted to one series.
type Set struct {
	Members []Member
	grid    Grid
	time    Calendar
	// logarithmic is the view that some members compute on.
	logarithmic scale
	// followers are told each new value.
	followers []follower
	// ridges are the members that are regressions, by name.
	ridges map[string]*ridge
}

// Frame is what members are fitted in.
type Frame struct {
	Calendar
	// Edges are the last steps of the parts of the horizon.
	Edges []int
	// Repeated are the seasons, in steps, that are worth repeating.
	Repeated []float64
	// Keep is for how many folds, from the newest on, members are fitted.
	Keep int
}

const ridgeName, logRidgeName = "ridge", "log ridge"

// Fit fits all members.
func Fit(g Grid, in Frame) *Set {
	s := &Set{grid: g, time: in.Calendar, logarithmic: g.logarithmic()}
	plain, logarithmic := newFeatures(g.plain(), in.Calendar, in.Keep), newFeatures(s.logarithmic, in.Calendar, in.Keep)
	work := newLearner(g, len(plain.names))
	s.ridges = map[string]*ridge{
		ridgeName: newRidge(plain, in.Edges, work, in.Keep), logRidgeName: newRidge(logarithmic, in.Edges, work, in.Keep),
	}
	s.add(
		Member{"last value", 0, true, true, func(origin, _ int) float64 { return g.Values[origin] }},
		Member{"mean", 0, true, true, func(origin, _ int) float64 { return plain.level(origin) }},
		Member{ridgeName, plain.first(), true, true, s.ridges[ridgeName].at},
		Member{logRidgeName, logarithmic.first(), true, true, s.ridges[logRidgeName].at},
	)
	for _, gain := range recentGains {
		r := newRecent(s.logarithmic, gain)
		s.followers = append(s.followers, r)
		s.add(Member{"recent mean", 0, true, true, r.at})
	}
	for _, season := range in.Repeated {
		slot, increment := SameSlot(season), SeasonalIncrement(season)
		s.add(
			Member{"same slot", int(season) + 1, true, true, func(origin, steps int) float64 { return slot.At(g, origin, steps) }},
			Member{"seasonal increment", int(season) + 1, true, true, func(origin, steps int) float64 { return max(increment.At(g, origin, steps), 0) }})
	}
	s.smoothBy("simple smoothing", make([]Indices, min(in.Keep, max(in.Folds()-1, 1))), fitSimple)
	if in.Seasonal {
		s.addSeasonal(plain, logarithmic, in.Keep)
	}
	return s
}

func (s *Set) add(members ...Member) { s.Members = append(s.Members, members...) }

func (s *Set) smoothBy(name string, seasons []Indices, fit func(before Smoothing, values []float64) Smoothing) {
	smooths := newSmoother(s.grid, s.time, seasons, fit)
	s.followers = append(s.followers, smooths)
	s.add(Member{name, s.time.Span + 1, true, true, smooths.at})
}

// addSeasonal adds the members that need a season. Theta goes without its drift, of which little is
// left within a horizon.
func (s *Set) addSeasonal(plain, logarithmic features, keep int) {
	seasons, product := foldIndices(s.grid, s.time, keep), newRankOne(s.grid.Track, s.time, keep)
	s.smoothBy("seasonal smoothing", seasons, fitDamped)
	s.smoothBy("theta", seasons, fitSimple)
	s.add(
		Member{"level times shape", s.time.Span + 1, true, false, product.at},
		Member{"level and shape", plain.first(), true, false, plain.levelAndShape},
		Member{"settling to the profile", logarithmic.first(), true, false, logarithmic.settle},
		Member{"median slot", plain.first(), false, true, plain.medianSlot})
}

// Follow appends a value that came after the fit to the series and to what members know of it. They
// do not learn from it.
func (s *Set) Follow(value float64) {
	s.grid.push(value)
	if s.logarithmic.offset != 0 {
		s.logarithmic.push(s.logarithmic.to(value))
	}
	for _, f := range s.followers {
		f.push(value, len(s.grid.Values)-1)
	}
}

// Effect is how far a feature moves a forecast away from the level of the last season, as a share of
// all movements; negative where it lowers it.
type Effect struct {
	Name  string
	Share float64
}

// Effects are those of the features of a regression, by the name of the member, on its forecast from
// the newest value; none of another member.
func (s *Set) Effects(name string, steps int) []Effect {
	if r := s.ridges[name]; r != nil {
		return r.effects(len(s.grid.Values)-1, steps)
	}
	return nil
}

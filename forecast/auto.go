package forecast

import (
	"slices"
	"time"
)

// Auto weighs many members, ridge regressions among them, by how well they did at earlier
// origins that look like now, per part of the horizon, and draws joint paths from the errors
// that the mixture would have made there. A history too short for that is answered by
// Combined.
//
// Its settings are the same for all series: none is meant to be tuned by a user.
type Auto struct {
	// Seed chooses among equally good draws of paths.
	Seed uint64
}

// Name implements Model.
func (Auto) Name() Source { return SourceAuto }

// mixture is one forecast of Auto being made.
type mixture struct {
	problem
	calendar
	// step is that of the series.
	step time.Duration
	// edges are the last steps of the parts of the horizon.
	edges []int
	// marks are the steps ahead at which errors are looked at, increasing.
	marks []int
	// members are mixed.
	members []member
	// pasts are the earlier origins, latest first.
	pasts []past
	// points[member][past × marks + mark] is what a member would have said.
	points [][]float64
	// likeness[part][past] is how much an origin tells about now.
	likeness [][]float64
	// shares[part][member] add up to one.
	shares [][]float64
}

// fewestValues is the shortest history that is mixed for.
const fewestValues = 60

// Forecast implements Model. The seasons are used shortest first, and the first longer one
// of which the history holds enough. Without one that fits, a day is tried once the history
// is somewhat longer.
func (a Auto) Forecast(history Series, seasons, horizon []time.Duration, now time.Time) (Forecast, error) {
	p, err := pose(history, seasons, horizon, now)
	if err != nil {
		return Forecast{}, err
	}
	p.seed = a.Seed
	if len(p.values) >= fewestValues {
		m := newMixture(p, history.Step)
		if len(m.pasts) >= fewOrigins {
			return m.solve(), nil
		}
	}
	return Combined(a).Forecast(history, seasons, horizon, now)
}

func newMixture(p problem, step time.Duration) *mixture {
	m := &mixture{problem: p, step: step, calendar: newCalendar(len(p.values), p.seasons, step), marks: marksOf(p.steps)}
	m.edges = m.partsOf(slices.Max(p.steps))
	folds := max(min(mostFolds, m.folds()-2), 0)
	m.members = m.newMembers(folds + 1)
	m.pasts = m.newPasts(folds)
	return m
}

func (m *mixture) solve() Forecast {
	m.ask()
	m.compare()
	m.weigh()
	f := Forecast{Horizon: m.horizon, Levels: Levels(), Source: SourceAuto, Reason: ReasonEnoughHistory}
	if !m.seasonal {
		f.Reason = ReasonNoSeason
	}
	f.Paths = m.paths()
	f.Quantiles = quantiles(f.Paths, len(m.steps))
	return f
}

// marksOf thins the steps to at most mostMarks, dense where they are near.
func marksOf(steps []int) []int {
	const mostMarks = 40
	all := slices.Clone(steps)
	slices.Sort(all)
	all = slices.Compact(all)
	marks := all
	for ratio := 1.01; len(marks) > mostMarks; ratio += 0.01 {
		marks = nil
		for i, steps := range all {
			if len(marks) == 0 || i == len(all)-1 || float64(steps) >= ratio*float64(marks[len(marks)-1]) {
				marks = append(marks, steps)
			}
		}
	}
	return marks
}

// ask lets every member forecast from every earlier origin.
func (m *mixture) ask() {
	m.points = make([][]float64, len(m.members))
	for c, member := range m.members {
		points := make([]float64, len(m.pasts)*len(m.marks))
		for i, past := range m.pasts {
			for j, steps := range m.marks {
				if past.index+steps < len(m.values) {
					points[i*len(m.marks)+j] = member.at(past.index, steps)
				}
			}
		}
		m.points[c] = points
	}
}

// known says that what came some steps after an earlier origin was observed.
func (m *mixture) known(past, steps int) bool {
	target := m.pasts[past].index + steps
	return target < len(m.values) && m.observed[target+1] > m.observed[target]
}

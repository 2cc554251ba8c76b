package forecast

import (
	"math"
	"slices"
	"time"

	"forewarm.dev/forecast/member"
)

// mixture is what Auto learns from a history.
type mixture struct {
	problem
	member.Calendar
	// step is that of the series.
	step time.Duration
	// edges are the last steps of the parts of the horizon.
	edges []int
	// marks are the steps ahead at which errors are looked at, increasing.
	marks []int
	// set are the members that are mixed.
	set *member.Set
	// pasts are the earlier origins, latest first.
	pasts []past
	// likeness[part][past] is how much an origin tells about now.
	likeness [][]float64
	// shares[part][member] add up to one.
	shares [][]float64
	// powers say per part how errors grow with unrest, of which that of now is kept.
	powers []float64
	unrest unrest
	// bands are how the mixture errs, per mark.
	bands []band
	// compounds take the place of the mixture in the parts that have one: of demand that is often
	// zero. even are the levels of a curve.
	compounds []*compound
	even      []float64
	// deviations are those of a curve, were it normal.
	deviations []float64
}

func newMixture(p problem, step time.Duration) *mixture {
	m := &mixture{problem: p, step: step, Calendar: member.NewCalendar(len(p.Values), p.seasons, step)}
	m.edges = m.Parts(slices.Max(p.steps))
	m.marks = marksOf(p.steps, m.edges)
	folds := max(min(mostFolds, m.Folds()-2), 0)
	m.set = member.Fit(p.Grid, member.Frame{Calendar: m.Calendar, Edges: m.edges, Repeated: m.repeated(), Keep: folds + 1})
	m.pasts = m.newPasts(folds)
	m.feel()
	return m
}

// mostMarks is how many marks there are at most in a part of the horizon.
const mostMarks = 7

// marksOf thins the steps of each part, by equal factors.
func marksOf(steps, edges []int) []int {
	all := slices.Clone(steps)
	slices.Sort(all)
	all = slices.Compact(all)
	var marks []int
	for part := range edges {
		n := 0
		for n < len(all) && (member.PartOf(edges, all[n]) == part) {
			n++
		}
		marks = appendThinned(marks, all[:n])
		all = all[n:]
	}
	return marks
}

func appendThinned(marks, steps []int) []int {
	if len(steps) <= mostMarks {
		return append(marks, steps...)
	}
	last, at := len(steps)-1, 0
	for i := range mostMarks {
		wanted := float64(steps[0]) * math.Pow(float64(steps[last])/float64(steps[0]), float64(i)/(mostMarks-1))
		for at < last-(mostMarks-1-i) && float64(steps[at]) < wanted {
			at++
		}
		marks = append(marks, steps[at])
		at++
	}
	return marks
}

// learns says whether earlier origins tell enough: after a long silence, as of a source that was down, even
// the nearest time asked about is further ahead than most of them have seen.
func (m *mixture) learns() bool {
	seen := 0
	for i := range m.pasts {
		if m.known(i, m.marks[0]) {
			seen++
		}
	}
	return len(m.pasts) >= fewOrigins && seen >= fewErrors
}

// learn weighs the members and measures how the mixture errs, one part of the horizon after
// another, so that the members' answers of one part only are held at a time.
func (m *mixture) learn() {
	m.compare()
	m.shares, m.powers = make([][]float64, len(m.edges)), make([]float64, len(m.edges))
	m.bands = make([]band, len(m.marks))
	m.compounds, m.deviations = make([]*compound, len(m.edges)), deviationsOf(mostPaths)
	errors, curves := table(len(m.marks), len(m.pasts)), table(len(m.marks), mostPaths)
	in := marksIn{points: make([]float32, len(m.set.Members)*len(m.pasts)*mostMarks), order: make([]int, 0, len(m.pasts))}
	if m.intermittent() {
		m.even, in.chances, in.late = evenly(mostPaths), table(mostMarks, 2*len(m.pasts)), newLateSizes(m.Values)
	}
	for part := range m.edges {
		in.part, in.from = part, in.to
		for in.to < len(m.marks) && member.PartOf(m.edges, m.marks[in.to]) == part {
			in.to++
		}
		m.ask(in)
		m.shares[part] = m.weigh(in)
		m.powers[part] = m.choosePower(in)
		for j := in.from; j < in.to; j++ {
			m.bands[j] = band{errors[j], curves[j]}
			m.fillBand(in, j)
		}
		if in.chances != nil {
			m.compounds[part] = m.tryCompound(in)
		}
	}
}

// marksIn is a part of the horizon while it is learned.
type marksIn struct {
	part int
	// from is the part's first mark, to is after its last.
	from, to int
	// points is what the members would have said: by member, past and mark. Seven digits are more
	// than any of them is good for, and halve the memory of a fit.
	points []float32
	// order has room for the origins in the order of their errors.
	order []int
	// chances has room for those of demand, two at each past, by mark, and late for sizes; nil where
	// demand is not intermittent.
	chances [][]float64
	late    *lateSizes
}

// of are the answers of a member at a past, by mark.
func (in marksIn) of(m *mixture, member, past int) []float32 {
	n := in.to - in.from
	at := (member*len(m.pasts) + past) * n
	return in.points[at : at+n]
}

// ask lets every member forecast from every earlier origin.
func (m *mixture) ask(in marksIn) {
	for c, one := range m.set.Members {
		for i, past := range m.pasts {
			points := in.of(m, c, i)
			for j, steps := range m.marks[in.from:in.to] {
				if past.index+steps < m.N {
					points[j] = float32(one.At(past.index, steps))
				}
			}
		}
	}
}

// known says that what came some steps after an earlier origin was observed.
func (m *mixture) known(past, steps int) bool {
	target := m.pasts[past].index + steps
	return target < m.N && m.Observed[target+1] > m.Observed[target]
}

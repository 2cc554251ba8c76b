package forecast

import (
	"math"
	"slices"
)

const (
	// fewOrigins is the least number of earlier origins to learn from.
	fewOrigins = 40
	// mostOrigins bounds the cost of a backtest.
	mostOrigins = 800
	// nearOfSeason is how far, as a share of the season, an origin's slot may lie from that
	// of now: two hours of a day.
	nearOfSeason = 1.0 / 12
	// halfLifeSeasons is after how many seasons an origin counts half.
	halfLifeSeasons = 7
)

// origin is an earlier time to learn from: what came after it is known.
type origin struct {
	// index is that of its value.
	index int
	// weight is how much it tells about now, more than zero.
	weight float64
}

// origins are the earlier times to learn from. Their slot of the season lies near that of
// now, since ramps and nights err differently; where too few are near, all count. Recent
// ones, and those that look like now, weigh more.
func (p problem) origins() []origin {
	last := len(p.Values) - 1
	near := p.nearSlot()
	if len(near) < fewOrigins {
		near = p.within(0, last)
	}
	near = thin(near, mostOrigins)
	all := make([]origin, len(near))
	for i, index := range near {
		all[i] = origin{index, 1}
		if len(p.seasons) > 0 {
			all[i].weight = math.Exp2(-float64(last-index) / p.seasons[0] / halfLifeSeasons)
		}
	}
	p.favourAlike(all)
	return all
}

// nearSlot lists the origins whose slot of the shortest season is near that of now.
func (p problem) nearSlot() []int {
	if len(p.seasons) == 0 {
		return nil
	}
	var near []int
	season := p.seasons[0]
	for centre := math.Mod(float64(len(p.Values)-1), season); centre < float64(len(p.Values)); centre += season {
		first := math.Ceil(centre - season*nearOfSeason)
		last := math.Floor(centre + season*nearOfSeason)
		near = append(near, p.within(int(first), int(last))...)
	}
	return near
}

// within lists the origins between two indexes, both included: far enough from the start
// for every candidate, far enough from the end for the horizon, observed, and followed by
// no more gaps than are usual in this series.
func (p problem) within(first, last int) []int {
	n, furthest := len(p.Values), slices.Max(p.steps)
	for _, c := range p.candidates {
		first = max(first, int(math.Ceil(c.Season)))
	}
	var indexes []int
	for i := first; i <= min(last, n-1-furthest); i++ {
		observed := p.Observed[i+1] > p.Observed[i]
		after := p.Observed[i+1+furthest] - p.Observed[i+1]
		if observed && 2*int(after)*n >= furthest*int(p.Observed[n]) {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// thin keeps at most most indexes, evenly spread.
func thin(indexes []int, most int) []int {
	if len(indexes) <= most {
		return indexes
	}
	kept := make([]int, most)
	for i := range kept {
		kept[i] = indexes[i*len(indexes)/most]
	}
	return kept
}

// favourAlike weighs down origins at which demand had risen differently than it has now,
// over half the horizon and over twice the horizon: submissions come in sessions, so a rise
// under way tells more about the next minutes than the time of day does. The weight falls
// off slowly, as 1 ÷ (1 + d²)² at a distance of d root mean squares, so that a rise never
// seen before still has many origins to learn from.
func (p problem) favourAlike(origins []origin) {
	furthest := slices.Max(p.steps)
	distance := make([]float64, len(origins))
	for _, span := range []int{max(furthest/2, 1), 2 * furthest} {
		rise := func(index int) float64 { return p.Values[index] - p.Values[max(index-span, 0)] }
		meanSquare := 0.0
		for _, o := range origins {
			meanSquare += rise(o.index) * rise(o.index) / float64(len(origins))
		}
		if meanSquare == 0 {
			continue
		}
		for i, o := range origins {
			apart := rise(o.index) - rise(len(p.Values)-1)
			distance[i] += apart * apart / meanSquare
		}
	}
	for i, d := range distance {
		origins[i].weight /= (1 + d) * (1 + d)
	}
}

package forecast

import (
	"cmp"
	"math"
	"slices"
)

const (
	// fewOrigins is the least number of earlier origins to backtest on.
	fewOrigins = 16
	// mostOrigins bounds the cost of a backtest.
	mostOrigins = 1200
	// mostPaths bounds the number of paths.
	mostPaths = 256
	// nearSeason is how far, as a share of the season, an origin's time of day may lie from now's.
	nearSeason = 1.0 / 12
)

// origins are the earlier times to learn from: all values that the horizon needs were
// observed, every candidate reaches back far enough, and the slot of the season lies near
// that of now, since ramps and nights err differently. Where too few are near, all count.
func (p problem) origins() []int {
	furthest := slices.Max(p.steps)
	reach := 0
	for _, c := range p.candidates {
		reach = max(reach, c.reach)
	}
	near := func(origin int) bool {
		if p.season == 0 {
			return true
		}
		apart := math.Mod(float64(len(p.values)-1-origin), p.season) / p.season
		return apart <= nearSeason || apart >= 1-nearSeason
	}
	var all, alike []int
	for origin := len(p.values) - 1 - furthest; origin >= reach; origin-- {
		if !p.seen[origin] || !p.seen[origin+furthest] {
			continue
		}
		all = append(all, origin)
		if near(origin) {
			alike = append(alike, origin)
		}
	}
	if len(alike) < fewOrigins {
		return thin(all, mostOrigins)
	}
	return thin(alike, mostOrigins)
}

// thin keeps at most most origins, evenly spread.
func thin(origins []int, most int) []int {
	if len(origins) <= most {
		return origins
	}
	kept := make([]int, most)
	for i := range kept {
		kept[i] = origins[i*len(origins)/most]
	}
	return kept
}

// alike are the origins that look most like now: how much demand had just risen, over half
// the horizon and over twice the horizon. Submissions come in sessions, so a rise under
// way tells more about the next minutes than the time of day does.
func (p problem) alike(origins []int) []int {
	if len(origins) <= mostPaths {
		return origins
	}
	furthest := slices.Max(p.steps)
	spans := []int{max(furthest/2, 1), 2 * furthest}
	distance := make(map[int]float64, len(origins))
	for _, span := range spans {
		rise := func(origin int) float64 { return p.values[origin] - p.values[max(origin-span, 0)] }
		scale, now := 0.0, rise(len(p.values)-1)
		for _, origin := range origins {
			scale += rise(origin) * rise(origin) / float64(len(origins))
		}
		if scale == 0 {
			continue
		}
		for _, origin := range origins {
			apart := rise(origin) - now
			distance[origin] += apart * apart / scale
		}
	}
	nearest := slices.Clone(origins)
	slices.SortStableFunc(nearest, func(a, b int) int { return cmp.Compare(distance[a], distance[b]) })
	return nearest[:mostPaths]
}

// paths are the forecast plus, for each origin, the whole course of the errors made there,
// so that what moves together over the horizon does so in a path (block bootstrap).
func (p problem) paths(weights [][]float64, origins []int) [][]float64 {
	last := len(p.values) - 1
	points := make([]float64, len(p.steps))
	for j := range p.steps {
		points[j] = p.point(weights, last, j)
	}
	paths := make([][]float64, len(origins))
	for i, origin := range origins {
		paths[i] = make([]float64, len(p.steps))
		for j, steps := range p.steps {
			residual := p.values[origin+steps] - p.point(weights, origin, j)
			paths[i][j] = math.Max(points[j]+residual, p.floor)
		}
	}
	return paths
}

// cautious are the paths of a history too short to learn from: the last value, spread like
// a count of that size, more so further ahead.
func (p problem) cautious() [][]float64 {
	const n = 64
	last := p.values[len(p.values)-1]
	furthest := float64(slices.Max(p.steps))
	paths := make([][]float64, n)
	for i := range paths {
		paths[i] = make([]float64, len(p.steps))
		z := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/n-1)
		for j, steps := range p.steps {
			spread := math.Sqrt(math.Abs(last) * float64(steps) / furthest)
			paths[i][j] = math.Max(last+z*spread, p.floor)
		}
	}
	return paths
}

// quantiles are those of the paths, per horizon.
func quantiles(paths [][]float64, horizons int) []Quantiles {
	rows := make([]Quantiles, horizons)
	column := make([]float64, len(paths))
	for j := range rows {
		for i := range paths {
			column[i] = paths[i][j]
		}
		slices.Sort(column)
		for _, level := range Levels() {
			index := int(math.Ceil(level*float64(len(column)))) - 1
			rows[j] = append(rows[j], column[max(index, 0)])
		}
	}
	return rows
}

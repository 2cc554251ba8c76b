package backtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"forewarm.dev/forecast"
)

// Dense is the protocol by which coverage is told with its interval: an origin every three hours of
// the last 14 days.
func Dense() Protocol {
	return Protocol{Origins: 14 * 8, Stride: 3 * time.Hour, Horizon: day, History: 28 * day}
}

const (
	// blockOrigins are two days of origins: forecasts of a day that begin so far apart share no value.
	blockOrigins = 16
	// resamples is the number of bootstrap samples.
	resamples = 2000
	// intervalTail is the share of the samples beyond each end of an interval of 95 %.
	intervalTail = 0.025
)

// InsideOf counts, per prediction, the values of a span that fell within the band from 0.1 to 0.9.
func InsideOf(series forecast.Series, predictions []Prediction, span Span) []Band {
	bands := make([]Band, len(predictions))
	steps := int(span.length() / series.Step)
	for k, p := range predictions {
		for j := range min(steps, len(p.Quantiles), len(series.Values)-p.Cut) {
			if actual := series.Values[p.Cut+j]; !math.IsNaN(actual) {
				bands[k].add(actual >= p.Quantiles[j][lowest] && actual <= p.Quantiles[j][highest])
			}
		}
	}
	return bands
}

// Interval is the mean over series of the share inside the band, and where 95 % of the means lie that
// would have been, were blocks of two days of each series drawn anew (moving block bootstrap). Origins
// of a series are in order of time; NaN without any value.
func Interval(series [][]Band, seed uint64) (share, low, high float64) {
	share = meanShare(series, func(_, at int) int { return at })
	random := rand.New(rand.NewPCG(seed, 0x636f76))
	means := make([]float64, resamples)
	for i := range means {
		from := 0
		means[i] = meanShare(series, func(origins, at int) int {
			if at%blockOrigins == 0 {
				from = random.IntN(max(origins-blockOrigins, 0) + 1)
			}
			return min(from+at%blockOrigins, origins-1)
		})
	}
	slices.Sort(means)
	return share, means[int(intervalTail*resamples)], means[resamples-1-int(intervalTail*resamples)]
}

// meanShare is the mean over series, of the origins that are drawn in the place of each.
func meanShare(series [][]Band, drawn func(origins, at int) int) float64 {
	mean, n := 0.0, 0.0
	for _, origins := range series {
		var all Band
		for at := range origins {
			b := origins[drawn(len(origins), at)]
			all.Inside, all.Scored = all.Inside+b.Inside, all.Scored+b.Scored
		}
		if all.Scored > 0 {
			mean += all.Share()
			n++
		}
	}
	return mean / n
}

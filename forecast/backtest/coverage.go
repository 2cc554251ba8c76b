package backtest

import (
	"math"
	"time"

	"forewarm.dev/forecast"
)

// Band counts how often values fell within the band from 0.1 to 0.9.
type Band struct {
	Inside, Scored int
}

// Share is the share of values within the band, which should be 0.8; NaN where none is scored.
func (b Band) Share() float64 { return float64(b.Inside) / float64(b.Scored) }

func (b *Band) add(inside bool) {
	b.Scored++
	if inside {
		b.Inside++
	}
}

// Horizons are the ends of the parts of the horizon by which coverage is told.
func Horizons() []time.Duration {
	return []time.Duration{time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day}
}

// Coverage is where in the horizon and in the day a band holds what it promises.
type Coverage struct {
	// Horizon has one Band per end in Horizons; a value counts for the first that it is within.
	Horizon [5]Band
	// Hour has one Band per hour of the day, in UTC.
	Hour [24]Band
}

// Add counts the values that predictions of a series were made for. Missing ones do not count.
func (c *Coverage) Add(series forecast.Series, predictions []Prediction) {
	for _, p := range predictions {
		for j, row := range p.Quantiles {
			if p.Cut+j >= len(series.Values) || math.IsNaN(series.Values[p.Cut+j]) {
				continue
			}
			actual := series.Values[p.Cut+j]
			inside := actual >= row[lowest] && actual <= row[highest]
			for i, end := range Horizons() {
				if time.Duration(j+1)*series.Step <= end {
					c.Horizon[i].add(inside)
					break
				}
			}
			at := series.Start.Add(time.Duration(p.Cut+j) * series.Step)
			c.Hour[at.UTC().Hour()].add(inside)
		}
	}
}

package chart

import (
	"math"
	"time"

	"gonum.org/v1/plot"
)

// apart are the distances between two labels of a time axis.
var apart = []time.Duration{
	10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 7 * 24 * time.Hour,
}

// mostLabels fit beside each other, fewLabels in a page.
const mostLabels, fewLabels = 9, 5

// clockTicks labels whole hours and days, in UTC, rather than whole numbers of seconds.
type clockTicks struct{ most int }

// Ticks implements plot.Ticker.
func (c clockTicks) Ticks(from, to float64) []plot.Tick {
	step := apart[len(apart)-1].Seconds()
	for _, d := range apart {
		if (to-from)/d.Seconds() <= float64(c.most) {
			step = d.Seconds()
			break
		}
	}
	layout := "Jan 02\n15:04"
	if step < time.Minute.Seconds() {
		layout = "15:04:05"
	}
	var ticks []plot.Tick
	for at := math.Ceil(from/step) * step; at <= to; at += step {
		ticks = append(ticks, plot.Tick{Value: at, Label: time.Unix(int64(at), 0).UTC().Format(layout)})
	}
	return ticks
}

package seriesfile

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"forewarm.dev/forecast/history"
)

// steps are those of a grid that is chosen by the times of a file: divisors of a day.
var steps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute, 6 * time.Minute, 10 * time.Minute,
	12 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour,
}

// onGrid places samples, which are in time order, on a grid. Those that are missing count
// for its step and its end.
func onGrid(samples []history.Sample, step time.Duration) (File, error) {
	if step == 0 {
		var err error
		if step, err = stepOf(samples); err != nil {
			return File{}, err
		}
	}
	start := samples[0].At.Truncate(step)
	if last := samples[len(samples)-1].At; last.Sub(start)/step >= mostValues {
		return File{}, fmt.Errorf("the times go from %s to %s, which is more than %d steps of %v: give a shorter part of the file, or a longer step",
			start.Format(time.RFC3339), last.Format(time.RFC3339), mostValues, step)
	}
	series := history.OnGrid(samples, start, step)
	observed := slices.DeleteFunc(samples, func(s history.Sample) bool { return math.IsNaN(s.Demand) })
	return File{Samples: observed, Series: series}, nil
}

// stepOf is the nearest step from below to the middle of the differences between times. A
// tenth more than the difference still counts as it: clocks drift.
func stepOf(samples []history.Sample) (time.Duration, error) {
	var apart []time.Duration
	for i := 1; i < len(samples); i++ {
		if d := samples[i].At.Sub(samples[i-1].At); d > 0 {
			apart = append(apart, d)
		}
	}
	if len(apart) == 0 {
		return time.Minute, nil // one time says nothing about it
	}
	slices.Sort(apart)
	middle := apart[(len(apart)-1)/2]
	if limit := time.Hour * 11 / 10; middle > limit {
		return 0, fmt.Errorf("the values are %v apart: a forecast takes steps of up to 1h, give values that are closer, or --step 1h to leave gaps between them", middle)
	}
	step := steps[0]
	for _, candidate := range steps {
		if candidate <= middle/10*11 {
			step = candidate
		}
	}
	return step, nil
}

// Write writes samples as CSV that Read reads: a header, then a row per sample.
func Write(w io.Writer, samples []history.Sample) error {
	rows := csv.NewWriter(w)
	if err := rows.Write([]string{"timestamp", "value"}); err != nil {
		return err
	}
	for _, s := range samples {
		if err := rows.Write([]string{s.At.UTC().Format(time.RFC3339Nano), strconv.FormatFloat(s.Demand, 'g', -1, 64)}); err != nil {
			return err
		}
	}
	rows.Flush()
	return rows.Error()
}

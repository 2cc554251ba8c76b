package history

import (
	"fmt"
	"slices"
	"time"
)

// Importable are the samples, in time order, that a history of some length would keep, and
// how many are older. Demand below zero and times after now are errors: a history that has
// them misleads every forecast.
func Importable(samples []Sample, keep time.Duration, now time.Time) (kept []Sample, old int, err error) {
	for _, sample := range samples {
		switch {
		case sample.Demand < 0:
			return nil, 0, fmt.Errorf("the demand of %s is %v: demand is never below zero", sample.At.Format(time.RFC3339), sample.Demand)
		case sample.At.After(now):
			return nil, 0, fmt.Errorf("there is a value of %s, and now is %s: history ends now, check the zone of the times", sample.At.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
	}
	first := slices.IndexFunc(samples, func(s Sample) bool { return s.At.After(now.Add(-keep)) })
	if first < 0 {
		return nil, len(samples), nil
	}
	return samples[first:], first, nil
}

package policy

import (
	"fmt"
	"math"
	"time"

	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
)

const (
	// day is how often the policy is chosen; a 28th of the history that is kept, where that is less.
	day = 24 * time.Hour
	// judged is how many days policies are compared over, at most half of the history.
	judged = perChoice
	// enough is how many days of history there must be.
	enough = 3.5
	// mostForecasts of the past are made for one choice: a forecast each five minutes of 14 days.
	mostForecasts = judged * 288
)

// Question is what a chunk's policy is chosen by, beside its history. The reserver asks it, and so does the simulator,
// so that the same history leads both to the same choice.
type Question struct {
	// Chunk and Limits have the costs and times.
	Chunk  capacity.Chunk
	Limits capacity.Limits
	// Kept is how much history is kept.
	Kept time.Duration
	// Model answers about the past; nil is Auto. Seasons are the season lengths, shortest first; without
	// any they are found.
	Model   forecast.Model
	Seasons []time.Duration
	// Seen, where it is not nil, is what was foreseen at the end of each interval of the history, so that no
	// model is asked about the past.
	Seen []capacity.Outlook
}

// Day is how often the policy is chosen.
func (q Question) Day() time.Duration { return max(min(day, q.Kept/(2*judged)), q.Limits.Interval) }

// Tau is the service level of the costs.
func (q Question) Tau() float64 {
	return capacity.Tau(q.Chunk, q.Limits.LeadTime, q.Limits.HoldTime())
}

// Choose compares the policies on a history without gaps. A short history leaves what is in use.
func (q Question) Choose(series forecast.Series, inUse capacity.Policy) (Choice, error) {
	perDay := int(q.Day() / q.Limits.Interval)
	count := len(series.Values)
	terms := TermsOf(q.Chunk, q.Limits)
	if count < max(int(enough*float64(perDay)), 2*(terms.Lead+terms.Hold+2)) {
		return Choose(History{}, terms, math.MaxInt32, inUse, 0), nil
	}
	n := min(judged*perDay, count/2)
	outlooks := q.Seen
	if outlooks == nil {
		backtest := Backtest{
			Model: q.Model, Refit: max(perDay, 1), Seasons: q.Seasons, Horizon: q.Limits.Horizon(), Most: mostForecasts, Tau: q.Tau(),
		}
		var err error
		if outlooks, err = backtest.Outlooks(series, n); err != nil {
			return Choice{}, fmt.Errorf("choose the policy of chunk %s: %w", q.Chunk.Name, err)
		}
	}
	perHour := float64(time.Hour) / float64(q.Limits.Interval)
	return Choose(History{Demand: series.Values, Outlooks: outlooks}, terms, n, inUse, perHour), nil
}

// Drop is the choice with static headroom in place of a forecast that has missed too often: the best one that was
// tried, else, while the history is too short for that, as much as demand has risen within a window, at the service
// level of the costs. The history has no gaps; one shorter than a window tells of no headroom.
func (q Question) Drop(c Choice, history func() forecast.Series) Choice {
	if c.Policy.Kind == capacity.Reactive {
		return c
	}
	static, tried := c.Tried[capacity.Static]
	if !tried {
		rises := History{Demand: history().Values}.rises(TermsOf(q.Chunk, q.Limits).Lead+1, 0)
		if len(rises) == 0 {
			return c
		}
		static.Policy = capacity.Policy{Kind: capacity.Static, Headroom: math.Ceil(at(rises, []float64{q.Tau()})[0])}
	}
	c.Policy, c.Reason = static.Policy, ReasonMissed
	return c
}

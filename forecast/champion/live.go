package champion

import (
	"slices"
	"time"
)

const (
	// worse is by how much more the live error may be.
	worse = 1.2
	// patience is for how long it must be.
	patience = 6 * time.Hour
)

// Live are the errors made since the champion is in use, in sums per hour. The zero value has
// seen nothing.
type Live struct {
	// hours are in time order, at most those of the last day.
	hours []hour
	// poor is since when the error over a day is too high; zero while it is not.
	poor time.Time
}

// hour sums up what was forecast within an hour.
type hour struct {
	at           time.Time
	n            float64
	now          Result // of the champion
	before       Result // of the version before it
	seenByBefore bool   // by each forecast of the hour
}

// Add counts a forecast that was made at a time; before is what the version before the
// champion would have done, nil without one.
func (l *Live) Add(at time.Time, now Result, before *Result) {
	start := at.Truncate(time.Hour)
	if n := len(l.hours); n == 0 || l.hours[n-1].at.Before(start) {
		l.hours = append(l.hours, hour{at: start, seenByBefore: true})
	}
	h := &l.hours[len(l.hours)-1]
	h.n++
	h.now = h.now.plus(now)
	if before == nil {
		h.seenByBefore = false
	} else {
		h.before = h.before.plus(*before)
	}
	l.hours = slices.DeleteFunc(l.hours, func(h hour) bool { return h.at.Before(start.Add(-day)) })
}

func (r Result) plus(o Result) Result {
	return Result{Values: r.Values + o.Values, Loss: r.Loss + o.Loss, Demand: r.Demand + o.Demand, Inside: r.Inside + o.Inside}
}

// whole are the hours that ended within a time before now, and whether they reach back so far.
func (l *Live) whole(within time.Duration, now time.Time) ([]hour, bool) {
	until := now.Truncate(time.Hour)
	from := until.Add(-within)
	reach := len(l.hours) > 0 && !l.hours[0].at.After(from)
	var hours []hour
	for _, h := range l.hours {
		if !h.at.Before(from) && h.at.Before(until) {
			hours = append(hours, h)
		}
	}
	return hours, reach
}

// Over sums up the last day: loss and demand per forecast, and the coverage.
func (l *Live) Over() Result {
	var total Result
	n := 0.0
	for _, h := range l.hours {
		total = total.plus(h.now)
		n += h.n
	}
	if n > 0 {
		total.Loss, total.Demand, total.Inside = total.Loss/n, total.Demand/n, total.Inside/n
	}
	return total
}

// Worse says that over the last six hours the champion erred by a fifth more than the
// version before it would have.
func (l *Live) Worse(now time.Time) bool {
	hours, reach := l.whole(patience, now)
	var is, was float64
	for _, h := range hours {
		if !h.seenByBefore {
			return false
		}
		is, was = is+h.now.Loss, was+h.before.Loss
	}
	return reach && is > worse*was+tiny
}

// Degraded says that the error over a day, relative to demand, has been a fifth above the
// champion's score for six hours. A day, since the hours of a day err differently; until one
// has been seen, it is as it was.
func (l *Live) Degraded(was bool, score Score, now time.Time) bool {
	hours, reach := l.whole(day, now)
	var loss, demand float64
	for _, h := range hours {
		loss, demand = loss+h.now.Loss, demand+h.now.Demand
	}
	if !reach {
		return was
	}
	if score.Origins == 0 || ratio(loss, demand) <= worse*score.Loss {
		l.poor = time.Time{}
		return false
	}
	if l.poor.IsZero() {
		l.poor = now
	}
	return was || now.Sub(l.poor) >= patience
}

package forecast

import (
	"math"

	"forewarm.dev/forecast/member"
)

// unrest is how much demand has been changing from value to value of late, as a ratio of what
// is usual in the series. Errors grow with it: a band in units of it is right again hours
// after the noise has changed, where past errors alone would need days.
type unrest struct {
	// gain is the weight of the newest change.
	gain float64
	// usual is the mean change of the history, recent the one of late.
	usual, recent float64
}

const (
	// unrestMemory is after which share of a season a change counts half: three hours of a day.
	unrestMemory = 1.0 / 8
	// calmest keeps the ratio above zero, as a share of the usual change; it is never taken to
	// be above wildest.
	calmest, wildest = 0.1, 10.0
)

// unrestPowers are tried: errors that do not depend on unrest, that grow with its square
// root, and in proportion.
var unrestPowers = [...]float64{0, 0.5, 1}

// unrestSlack is by how much errors may be less likely, in log-likelihood each, with a larger
// power: while noise stays the same none is better, and the largest follows when it changes.
const unrestSlack = 0.02

func newUnrest(t *member.Track, c member.Calendar) unrest {
	u := unrest{gain: -math.Expm1(-math.Ln2 / math.Max(unrestMemory*float64(c.Span), 1))}
	for i := 1; i < len(t.Values); i++ {
		u.usual += math.Abs(t.Values[i]-t.Values[i-1]) / float64(len(t.Values)-1)
	}
	u.recent = u.usual
	return u
}

// push follows a change of demand.
func (u *unrest) push(change float64) { u.recent += u.gain * (math.Abs(change) - u.recent) }

// ratio is above zero, and one if all is as usual.
func (u *unrest) ratio() float64 {
	if u.usual == 0 {
		return 1
	}
	return min((u.recent+calmest*u.usual)/((1+calmest)*u.usual), wildest)
}

// feel notes the unrest at each earlier origin, and keeps that of now.
func (m *mixture) feel() {
	m.unrest = newUnrest(m.Track, m.Calendar)
	next := len(m.pasts) - 1 // the earliest
	for i := range m.Values {
		if i > 0 {
			m.unrest.push(m.Values[i] - m.Values[i-1])
		}
		if next >= 0 && m.pasts[next].index == i {
			m.pasts[next].unrest = m.unrest.ratio()
			next--
		}
	}
}

// choosePower picks for a part how its errors grow with unrest: what would make the errors
// that were made most likely, were they distributed by Laplace, with the scale that fits best; among nearly equal ones the
// largest.
func (m *mixture) choosePower(in marksIn) float64 {
	best, least := 0.0, math.Inf(1)
	for _, power := range unrestPowers {
		total, scaled, logs := 0.0, 0.0, 0.0
		m.eachError(in, m.shares[in.part], func(past int, mixed float64, _ []float64) {
			weight, p := m.likeness[in.part][past], m.pasts[past]
			unit := math.Pow(p.unrest, power)
			total += weight
			scaled += weight * math.Abs(mixed) / unit
			logs += weight * math.Log(unit)
		})
		if total == 0 {
			return 0
		}
		if cost := math.Log(scaled/total+tiny) + logs/total; cost < least+unrestSlack {
			best, least = power, min(least, cost)
		}
	}
	return best
}

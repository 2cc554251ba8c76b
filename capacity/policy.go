package capacity

import "time"

// PolicyKind is a way to tell how much capacity is needed ahead.
type PolicyKind string

// Kinds of policy.
const (
	// Forecast sizes by the forecast; it is what the zero Policy does.
	Forecast PolicyKind = "Forecast"
	// Static keeps so much headroom above the demand of now.
	Static PolicyKind = "Static"
	// Reactive keeps nothing ahead.
	Reactive PolicyKind = "Reactive"
)

// Policy is how the need of a chunk is estimated. Package policy chooses one by backtest.
type Policy struct {
	// Kind is the way; empty means Forecast.
	Kind PolicyKind
	// Headroom is what Static keeps, in chunks, and Share what it keeps per chunk of demand.
	Headroom, Share float64
	// Margin is added to every peak of the forecast, in units of its Outlook's Spread: how much
	// the forecast has to be corrected, by what it has missed before.
	Margin float64
	// Most, where above zero, is how much demand is made ready for at most: nothing is kept ahead beyond it.
	// Left out where it is zero, so that the digest of a decision without one is what it was before there was any.
	Most float64 `json:",omitempty"`
}

// Outlook is what a forecast says about the highest demand within a window.
type Outlook struct {
	// P50, P90 and Level are quantiles; Level is that at the service level asked for.
	P50, P90, Level float64
	// Spread is the unit of errors: one chunk, and what P90 is above P50.
	Spread float64
}

// OutlookOf sums a forecast up, given the sorted highest demands of its paths within the window;
// without any, demand stays as it is.
func OutlookOf(peaks []float64, now, tau float64) Outlook {
	o := Outlook{P50: quantile(peaks, 0.5, now), P90: quantile(peaks, 0.9, now), Level: quantile(peaks, tau, now)}
	o.Spread = 1 + o.P90 - o.P50
	if tau == 0 {
		o.Level = now
	}
	return o
}

// Moved is the outlook where demand is higher by so much than it was then.
func (o Outlook) Moved(by float64) Outlook {
	o.P50, o.P90, o.Level = o.P50+by, o.P90+by, o.Level+by
	return o
}

// corrected shifts the peaks by the margin, below the demand of now no further, and bounds them.
func (p Policy) corrected(sorted []float64, now, spread float64) []float64 {
	if p.Margin == 0 && p.Most <= 0 {
		return sorted
	}
	shifted := make([]float64, len(sorted))
	for i, peak := range sorted {
		shifted[i] = p.Bounded(peak+p.Margin*spread, now)
	}
	return shifted
}

// Bounded is a demand to be ready for: at least that of now, and beyond it at most Most.
func (p Policy) Bounded(demand, now float64) float64 {
	if p.Most > 0 {
		demand = min(demand, p.Most)
	}
	return max(demand, now)
}

// Window is how far ahead capacity must be foreseen: what is asked for in one interval's time is
// there a lead time later.
func (l Limits) Window() time.Duration { return l.LeadTime + l.Interval }

// mostSteps bounds the cost of a forecast; a longer window is covered in wider steps.
const mostSteps = 120

// Horizon are the times ahead for which a forecast is needed: interval by interval until the window's end.
func (l Limits) Horizon() []time.Duration {
	window, stride := l.Window(), l.Interval
	for window/stride > mostSteps {
		stride += l.Interval
	}
	var horizon []time.Duration
	for ahead := stride; ahead < window; ahead += stride {
		horizon = append(horizon, ahead)
	}
	return append(horizon, window)
}

// spareWindow is how far ahead takeovers are foreseen that use gated placeholders up.
func (l Limits) spareWindow() time.Duration { return max(l.GateAge, l.Interval) }

// HoldTime is for how long capacity is paid at least once it is asked for: the longest of Hold,
// MinBilling and one interval.
func (l Limits) HoldTime() time.Duration { return max(l.Hold, l.MinBilling, l.Interval) }

package forecast

import (
	"math"
	"testing"
)

func TestExplain(t *testing.T) {
	history := fives(12, 5)
	fitted, err := Auto{}.Fit(history, seasons, steps(history.Step, 12), history.End())
	if err != nil {
		t.Fatal(err)
	}
	e := fitted.Explain()
	sum := 0.0
	for i, m := range e.Members {
		sum += m.Share
		if m.Share <= 0 || i > 0 && m.Share > e.Members[i-1].Share {
			t.Errorf("members %v: not in order, or too small", e.Members)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("shares of members add up to %v", sum)
	}
	sum = 0
	for _, f := range e.Features {
		sum += math.Abs(f.Share)
	}
	if len(e.Features) == 0 || math.Abs(sum-1) > 1e-9 {
		t.Errorf("features %v, movements add up to %v", e.Features, sum)
	}
	// What has just happened moves the forecast of the next minutes.
	before, err := fitted.Forecast(history.End())
	if err != nil {
		t.Fatal(err)
	}
	fitted.Follow(history.Values[len(history.Values)-1] + 60)
	after := fitted.Explain()
	if after.Features[0].Name != "now" && after.Features[0].Name != "recent mean" || after.Features[0].Share <= 0 {
		t.Errorf("after a rise of 60 at once the strongest is %v (median before %.1f)", after.Features[:3], before.Quantiles[0][5])
	}
	short, err := Auto{}.Fit(Series{Start: start, Step: history.Step, Values: history.Values[:20]}, seasons, steps(history.Step, 12), start)
	if err != nil {
		t.Fatal(err)
	}
	if e := short.Explain(); e.Members != nil || e.Features != nil {
		t.Errorf("of a short history: %v", e)
	}
}

package forecast

import (
	"math"
	"slices"
	"testing"

	"forewarm.dev/forecast/member"
)

// TestStackingMixesWhatErrsApart holds that of two members with the same loss, of which one
// always misses above and the other below, the mixture takes both, and not a third that errs
// as much for nothing in return.
func TestStackingMixesWhatErrsApart(t *testing.T) {
	history := fives(12, 7)
	p, err := pose(history, seasons, steps(history.Step, 12), history.End())
	if err != nil {
		t.Fatal(err)
	}
	m := newMixture(p, history.Step)
	off := func(by float64) member.Member {
		return member.Member{Name: "off", Near: true, Far: true, At: func(origin, steps int) float64 {
			return m.Values[min(origin+steps, len(m.Values)-1)] + by
		}}
	}
	m.set.Members = []member.Member{off(3), off(-3), off(9)}
	m.learn()
	for part, shares := range m.shares {
		if math.Abs(shares[0]-0.5) > 0.05 || math.Abs(shares[1]-0.5) > 0.05 || shares[2] > 0.01 {
			t.Errorf("part %d: shares %v, want a half of each of the first two", part, shares)
		}
		if sum := shares[0] + shares[1] + shares[2]; math.Abs(sum-1) > 1e-9 {
			t.Errorf("part %d: the shares add up to %v", part, sum)
		}
	}
}

// TestManyAlikeShareAlike holds that members of which each would get less than the least share are not
// all dropped.
func TestManyAlikeShareAlike(t *testing.T) {
	shares := slices.Repeat([]float64{7}, 30)
	dropSmall(shares)
	for c, share := range shares {
		if !(math.Abs(share-1.0/30) <= 1e-9) { // not NaN either
			t.Fatalf("member %d of 30 that are alike has a share of %v", c, share)
		}
	}
}

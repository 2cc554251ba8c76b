package forecast

import (
	"math"
	"testing"
	"time"

	"forewarm.dev/forecast/member"
)

// The oracles here do the same sums the long way: no prefix sums, no buckets by bit count.

func TestIncrementsAgreeWithASimplerComputation(t *testing.T) {
	history := daily(12, 7)
	p, err := pose(history, seasons, minutes, history.End())
	if err != nil {
		t.Fatal(err)
	}
	const day, half = 1440, 30
	increment := member.SeasonalIncrement(day)
	for _, origin := range []int{day, day + 5, 5*day + 77, len(history.Values) - 1} {
		for _, steps := range []int{1, 3, 20, 400, day - 1, day, day + 10, 2*day + 3} {
			ahead := steps
			for ahead > day {
				ahead -= day
			}
			sum, cycles := 0.0, 0
			for from := origin - day; from >= 0 && cycles < 7; from -= day {
				around := min(half, from, origin-from-ahead)
				for shift := -around; shift <= around; shift++ {
					sum += (history.Values[from+ahead+shift] - history.Values[from+shift]) / float64(2*around+1)
				}
				cycles++
			}
			want := history.Values[origin] + sum/float64(cycles)
			if got := increment.At(p.Grid, origin, steps); math.Abs(got-want) > 1e-6 {
				t.Errorf("origin %d, %d steps: %v, want %v", origin, steps, got, want)
			}
		}
	}
}

func TestWeightsAgreeWithASimplerComputation(t *testing.T) {
	history := daily(10, 2)
	p, err := pose(history, seasons[:1], minutes, history.End()) // 1, 3 and 7 steps: each a bucket
	if err != nil {
		t.Fatal(err)
	}
	p.candidates = []member.Candidate{member.LastValue(), member.SameSlot(1440), member.SeasonalIncrement(1440)}
	origins := p.origins()
	got := p.weigh(origins, p.points(origins))
	for j, steps := range p.steps {
		var raw []float64
		total, kept := 0.0, 0.0
		for _, c := range p.candidates {
			sum := 0.0
			for _, o := range origins {
				sum += o.weight * math.Abs(history.Values[o.index+steps]-c.At(p.Grid, o.index, steps))
			}
			raw = append(raw, math.Pow(sum, -4))
			total += math.Pow(sum, -4)
		}
		for i := range raw {
			if raw[i] < total/20 {
				raw[i] = 0
			}
			kept += raw[i]
		}
		for i := range raw {
			if math.Abs(raw[i]/kept-got[j][i]) > 1e-6 {
				t.Errorf("weight of candidate %d at horizon %d = %v, want %v", i, j, got[j][i], raw[i]/kept)
			}
		}
	}
}

func TestOriginsAreNearAndRecent(t *testing.T) {
	history := daily(10, 2)
	p, err := pose(history, seasons[:1], minutes, history.End())
	if err != nil {
		t.Fatal(err)
	}
	p.candidates = []member.Candidate{member.LastValue(), member.SameSlot(1440)}
	origins := p.origins()
	if n := len(origins); n < 400 || n > mostOrigins {
		t.Errorf("%d origins", n)
	}
	last := len(history.Values) - 1
	for _, o := range origins {
		apart := (last - o.index) % 1440
		if o.index < 1440 || o.index+7 > last || apart > 120 && apart < 1320 || o.weight <= 0 {
			t.Fatalf("origin %d of %d, weight %v", o.index, last, o.weight)
		}
	}
}

func TestSeasonsThatFit(t *testing.T) {
	tests := map[string]struct {
		n       int
		seasons []time.Duration
		want    int
	}{
		"two days of minutes":    {2880, seasons, 1},
		"under two days":         {2879, seasons, 0},
		"two weeks":              {20160, seasons, 2},
		"given twice":            {20160, []time.Duration{24 * time.Hour, 24 * time.Hour}, 1},
		"shorter than two steps": {2880, []time.Duration{90 * time.Second, 0, -time.Hour}, 0},
		"not whole steps":        {2880, []time.Duration{150 * time.Second}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := usable(test.n, time.Minute, test.seasons); len(got) != test.want {
				t.Errorf("usable seasons %v, want %d", got, test.want)
			}
		})
	}
}

package season

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// seeds is how many series of each kind are looked at.
const seeds = 40

// kind is demand by the hour since a Monday at midnight, with what the level wanders to.
type kind struct {
	step time.Duration
	days int
	// usual is demand at an hour; wander how much the level moves per value, noise how much each
	// value errs.
	usual         func(hour float64) float64
	wander, noise float64
}

func (k kind) make(seed uint64) []float64 {
	random := rand.New(rand.NewPCG(seed, 11))
	values := make([]float64, k.days*int(day/k.step))
	level := 0.0
	for i := range values {
		level += k.wander * random.NormFloat64()
		values[i] = 100 + level + k.usual(float64(i)*k.step.Hours()) + k.noise*random.NormFloat64()
	}
	return values
}

func flat(float64) float64 { return 0 }

func wave(period float64) func(hour float64) float64 {
	return func(hour float64) float64 { return 20 * math.Sin(2*math.Pi*hour/period) }
}

// shifts are two busy hours at the start of each of three shifts, as busy as said.
func shifts(busy ...float64) func(hour float64) float64 {
	return func(hour float64) float64 {
		if math.Mod(hour, 8) < 2 {
			return busy[int(math.Mod(hour, 24)/8)]
		}
		return 0
	}
}

func weekends(hour float64) float64 {
	if math.Mod(hour/24, 7) >= 5 {
		return 0.4 * wave(24)(hour)
	}
	return wave(24)(hour)
}

// mondays are six busy hours on one day of the week.
func mondays(hour float64) float64 {
	if at := math.Mod(hour, 168); at >= 8 && at < 14 {
		return 60
	}
	return 0
}

// TestFind holds that of many series of a kind nearly all show its seasons and no other, whatever
// the step, with a level that wanders, gaps, spikes and irregular times.
func TestFind(t *testing.T) {
	const five, hour = 5 * time.Minute, time.Hour
	tests := map[string]struct {
		kind
		want []time.Duration
		// least is the share of series that must show what is wanted, in per cent.
		least int
	}{
		"a day":                      {kind{five, 14, wave(24), 0.3, 5}, []time.Duration{day}, 85},
		"a day, in two":              {kind{five, 2, wave(24), 0, 2}, []time.Duration{day}, 95},
		"a day, by the minute":       {kind{time.Minute, 14, wave(24), 0.1, 5}, []time.Duration{day}, 85},
		"a day, by the hour":         {kind{hour, 14, wave(24), 1, 5}, []time.Duration{day}, 85},
		"a day, by seven minutes":    {kind{7 * time.Minute, 14, wave(24), 0.3, 5}, []time.Duration{day}, 85},
		"a day and a week":           {kind{five, 28, weekends, 0.1, 3}, []time.Duration{day, week}, 95},
		"a week":                     {kind{five, 28, mondays, 0, 5}, []time.Duration{week}, 95},
		"six hours":                  {kind{five, 14, wave(6), 0.3, 5}, []time.Duration{6 * hour}, 95},
		"six hours, in one day":      {kind{five, 1, wave(6), 0.1, 2}, []time.Duration{6 * hour}, 95},
		"equal shifts":               {kind{five, 14, shifts(40, 40, 40), 0.1, 3}, []time.Duration{8 * hour}, 95},
		"shifts of a day":            {kind{five, 14, shifts(60, 30, 10), 0.1, 3}, []time.Duration{day}, 85},
		"an hour":                    {kind{five, 7, wave(1), 0.3, 3}, []time.Duration{hour}, 95},
		"an hour, within a day":      {kind{five, 14, func(at float64) float64 { return wave(24)(at) + wave(1)(at)/2 }, 0.1, 2}, []time.Duration{day}, 85},
		"none, noise":                {kind{five, 14, flat, 0, 5}, nil, 95},
		"none, a wandering level":    {kind{five, 14, flat, 1, 0}, nil, 90},
		"none, wandering for a week": {kind{five, 7, flat, 1, 1}, nil, 90},
		"none, constant":             {kind{five, 14, flat, 0, 0}, nil, 90},
		"none, a trend":              {kind{five, 14, func(at float64) float64 { return at }, 0, 2}, nil, 85},
	}
	spoil := map[string]func(values []float64, random *rand.Rand){
		"": func([]float64, *rand.Rand) {},
		" with gaps": func(values []float64, random *rand.Rand) {
			for i := range values {
				if random.Float64() < 0.2 {
					values[i] = math.NaN()
				}
			}
			from := len(values) / 3
			for i := range len(values) / 20 {
				values[from+i] = math.Inf(1)
			}
		},
		" with spikes": func(values []float64, random *rand.Rand) {
			for range len(values) / 1000 {
				values[random.IntN(len(values))] += 300
			}
		},
		// Values that came at irregular times, each in the interval that it fell into: some have
		// none, and what is seen is up to a step old.
		" at irregular times": func(values []float64, random *rand.Rand) {
			before := slices.Clone(values)
			for i := range values {
				values[i] = math.NaN()
				if random.Float64() < 0.7 {
					values[i] = before[max(i-random.IntN(2), 0)]
				}
			}
		},
	}
	for name, test := range tests {
		for how, damage := range spoil {
			if test.days == 1 && how != "" {
				continue
			}
			t.Run(name+how, func(t *testing.T) {
				right := 0
				wrong := map[string]int{}
				for seed := range uint64(seeds) {
					values := test.make(seed)
					damage(values, rand.New(rand.NewPCG(seed, 12)))
					if found := Find(values, test.step); slices.Equal(found, test.want) {
						right++
					} else {
						wrong[join(found)]++
					}
				}
				if 100*right < test.least*seeds {
					t.Errorf("%d of %d series show %v, want %d %%; others %v", right, seeds, test.want, test.least, wrong)
				}
			})
		}
	}
}

func join(lengths []time.Duration) string {
	text := "none"
	for _, length := range lengths {
		text += " " + length.String()
	}
	return text
}

func TestFindAnything(t *testing.T) {
	for name, values := range map[string][]float64{
		"nothing": nil, "one": {1}, "missing": slices.Repeat([]float64{math.NaN()}, 900), "infinite": slices.Repeat([]float64{math.Inf(-1)}, 900),
		"huge": slices.Repeat([]float64{1e300, -1e300}, 900),
	} {
		if found := Find(values, time.Minute); len(found) > 0 {
			t.Errorf("%s: found %v", name, found)
		}
	}
}

func BenchmarkFindFourWeeksOfMinutes(b *testing.B) {
	values := kind{time.Minute, 28, weekends, 0.1, 3}.make(1)
	b.ReportAllocs()
	for b.Loop() {
		Find(values, time.Minute)
	}
}

// Package series makes demand series of the kinds that the public data has, for benchmarks where no
// data is given.
package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"forewarm.dev/forecast"
)

// kinds of series that are made where no folder is given: the kinds that the public data has,
// described in docs/benchmarks.md. Each draws its own parameters first, then its values.
var kinds = []struct {
	name string
	step time.Duration
	make func(random *rand.Rand, n int) []float64
}{
	{"daily", 5 * time.Minute, daily},
	{"noisy", 5 * time.Minute, noisy},
	{"gpus", 5 * time.Minute, gpus},
	{"requests", 5 * time.Minute, requests},
	{"seasonal", 30 * time.Minute, seasonal},
}

const (
	// ofEachKind is how many series of each kind are made, with seeds from one on.
	ofEachKind = 5
	// daysMade is the length of each: the protocol's four weeks of history and its cuts.
	daysMade = 36
)

// Made is a series and its name, the first word of which is its kind.
type Made struct {
	Name   string
	Series forecast.Series
}

// Make returns the series, the same in every run.
func Make() []Made {
	var all []Made
	for i, kind := range kinds {
		for seed := range ofEachKind {
			random := rand.New(rand.NewPCG(uint64(seed+1), uint64(i)))
			all = append(all, Made{
				Name: fmt.Sprintf("%s_%d", kind.name, seed+1),
				Series: forecast.Series{
					Start:  time.Date(2026, 9, 7, 0, 0, 0, 0, time.UTC),
					Step:   kind.step,
					Values: kind.make(random, daysMade*int(24*time.Hour/kind.step)),
				},
			})
		}
	}
	return all
}

// between draws a parameter.
func between(random *rand.Rand, low, high float64) float64 {
	return low + (high-low)*random.Float64()
}

// hill is the usual demand by time of day, from −1 at night to 1 at the peak, sharper above 1.
func hill(day, peak, sharp float64) float64 {
	return 2*math.Pow((1+math.Cos(2*math.Pi*(day-peak)))/2, sharp) - 1
}

// weekend says that a day, counted from a Monday, is one of a weekend.
func weekend(day float64) bool { return math.Mod(day, 7) >= 5 }

// daily is CPU of a service: a pattern of the day, less on weekends, with a wandering level.
func daily(random *rand.Rand, n int) []float64 {
	swing, peak, quiet := between(random, 0.2, 0.6), between(random, 0.4, 0.7), between(random, 0.6, 1)
	noise, wander, level := between(random, 0.01, 0.04), between(random, 0.002, 0.006), 0.0
	return values(n, func(i int) float64 {
		day := float64(i) / 288
		level = 0.999*level + wander*random.NormFloat64()
		usual := 1 + swing*hill(day, peak, 1.5)
		if weekend(day) {
			usual *= quiet
		}
		return 50 * usual * math.Exp(level+noise*random.NormFloat64())
	})
}

// noisy is a metric whose noise, which lasts some hours, drowns the pattern of the day, with
// single spikes.
func noisy(random *rand.Rand, n int) []float64 {
	swing, stays, noise := between(random, 0, 0.2), between(random, 0.9, 0.98), between(random, 0.05, 0.1)
	state := 0.0
	return values(n, func(i int) float64 {
		state = stays*state + noise*random.NormFloat64()
		value := 10 * (1 + swing*hill(float64(i)/288, 0.5, 1)) * math.Exp(state+0.05*random.NormFloat64())
		if random.Float64() < 0.003 {
			value *= between(random, 2, 4)
		}
		return value
	})
}

// gpus is a stock of GPUs: jobs of 1, 2, 4 or 8 arrive in bursts, at work hours mostly, and
// stay for a log-normal time of minutes to days.
func gpus(random *rand.Rand, n int) []float64 {
	rate, swing := between(random, 0.05, 0.2), between(random, 0.3, 0.9)
	stay, tail := between(random, 2.5, 3.5), between(random, 1, 1.8)
	changes := make([]float64, n+1)
	for i := range n {
		day := float64(i) / 288
		expected := rate * (1 + swing*hill(day, 0.6, 1))
		if weekend(day) {
			expected /= 2
		}
		if random.Float64() >= expected {
			continue
		}
		size := math.Exp2(math.Floor(4 * math.Pow(random.Float64(), 3)))
		count := math.Ceil(random.ExpFloat64() * 2)
		length := math.Exp(stay + tail*random.NormFloat64())
		changes[i] += size * count
		changes[i+1+int(math.Min(length, float64(n-i-1)))] -= size * count
	}
	running := 0.0
	return values(n, func(i int) float64 {
		running += changes[i]
		return running
	})
}

// requests is a count per step, with bursts that fade within hours.
func requests(random *rand.Rand, n int) []float64 {
	mean, swing, fade := between(random, 20, 100), between(random, 0.3, 0.8), between(random, 0.8, 0.97)
	burst := 0.0
	return values(n, func(i int) float64 {
		burst *= fade
		if random.Float64() < 0.002 {
			burst += random.ExpFloat64() * 3
		}
		expected := mean * (1 + swing*hill(float64(i)/288, 0.7, 1) + burst)
		return math.Max(math.Round(expected+math.Sqrt(2*expected)*random.NormFloat64()), 0)
	})
}

// seasonal is half-hourly: strong patterns of the day and of the week, little noise.
func seasonal(random *rand.Rand, n int) []float64 {
	swing, peak, later := between(random, 0.6, 0.9), between(random, 0.6, 0.8), between(random, 0.05, 0.15)
	state := 0.0
	return values(n, func(i int) float64 {
		day, top := float64(i)/48, peak
		if weekend(day) {
			top += later
		}
		state = 0.9*state + 0.03*random.NormFloat64()
		return math.Round(15000 * (1 + swing*hill(day, top, 0.8)) * math.Exp(state))
	})
}

func values(n int, at func(i int) float64) []float64 {
	made := make([]float64, n)
	for i := range made {
		made[i] = at(i)
	}
	return made
}

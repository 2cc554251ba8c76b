package member

import (
	"math"
	"testing"
	"time"
)

// hours is n hours of a function of the hour.
func hours(n int, at func(hour float64) float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = at(float64(i))
	}
	return values
}

// days is the calendar of some hours with a season of a day.
func days(n int) Calendar { return NewCalendar(n, []float64{24}, time.Hour) }

func near(t *testing.T, got, want []float64) {
	t.Helper()
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-12 {
			t.Errorf("step %d: %v, want %v", i+1, got[i], want[i])
		}
	}
}

func TestBandOfSimpleSmoothingGrows(t *testing.T) {
	_, deviations := Smoothing{alpha: 0.5, variance: 4}.Ahead(3)
	near(t, deviations, []float64{2, 2 * math.Sqrt(1.25), 2 * math.Sqrt(1.5)})
	_, deviations = Smoothing{alpha: 0.5, beta: 0.1, damping: 0.9, variance: 4}.Ahead(2)
	near(t, deviations, []float64{2, 2 * math.Sqrt(1+0.59*0.59)})
}

func TestSmootherFollowsLevelAndSeason(t *testing.T) {
	at := func(hour float64) float64 {
		return (10 + hour/100) * (1.5 + math.Sin(hour*math.Pi/12))
	}
	history := hours(480, at)
	g := Clean(history)
	c := days(len(g.Values))
	s := newSmoother(g, c, foldIndices(g, c, 8), fitDamped)
	for _, origin := range []int{395, 479, 450} {
		for _, ahead := range []int{1, 4, 24} {
			if got, want := s.at(origin, ahead), at(float64(origin+ahead)); math.Abs(got/want-1) > 0.02 {
				t.Errorf("%d steps from %d: %v, want %v", ahead, origin, got, want)
			}
		}
	}
}

// TestSimpleSmoothingFollowsALevel holds that with no indices the level is what is forecast, with
// those of the season the season too, and that following is as being fitted.
func TestSimpleSmoothingFollowsALevel(t *testing.T) {
	history := hours(480, func(hour float64) float64 { return 40 + 10*math.Sin(hour*math.Pi/12) + math.Floor(hour/300)*30 })
	g := Clean(history[:470])
	c := days(len(g.Values))
	plain, seasonal := newSmoother(g, c, make([]Indices, 8), fitSimple), newSmoother(g, c, foldIndices(g, c, 8), fitSimple)
	for i, value := range history[470:] {
		plain.push(value, 470+i)
		seasonal.push(value, 470+i)
	}
	if got := plain.at(479, 9); math.Abs(got-history[479]) > 2 {
		t.Errorf("without a season %v, want about the last value, %v", got, history[479])
	}
	if got, want := seasonal.at(479, 13), history[479-11]; math.Abs(got-want) > 4 {
		t.Errorf("with the season %v, want %v", got, want)
	}
}

// TestRankOne holds that a level that changes moves the whole shape, which a sum of both would not.
func TestRankOne(t *testing.T) {
	at := func(hour float64) float64 {
		return math.Exp(math.Floor(hour/24)/20) * (12 + 10*math.Sin(hour*math.Pi/12))
	}
	history := hours(480, at)
	g := Clean(history)
	c := days(len(g.Values))
	r := newRankOne(g.Track, c, 8)
	for _, origin := range []int{390, 455, 479} {
		for _, ahead := range []int{1, 4, 12} {
			day := math.Floor(float64(origin) / 24)
			want := at(float64(origin+ahead)) * math.Exp((day-math.Floor(float64(origin+ahead)/24))/20)
			if got := r.at(origin, ahead); math.Abs(got/want-1) > 0.13 {
				t.Errorf("%d steps from %d: %v, want %v with the level of now", ahead, origin, got, want)
			}
		}
	}
}

package forecast

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

func TestTWider(t *testing.T) {
	normal := distuv.UnitNormal
	for _, freedom := range []float64{3, 6, 27} {
		for _, level := range []float64{0.55, 0.8, 0.9, 0.95} {
			deviations := normal.Quantile(level)
			want := distuv.StudentsT{Sigma: 1, Nu: freedom}.Quantile(level) / deviations
			if got := tWider(deviations, freedom); math.Abs(got/want-1) > 0.03 {
				t.Errorf("%v degrees of freedom, level %v: %v times as wide, want %v", freedom, level, got, want)
			}
		}
	}
}

func TestBlocksCountDaysNotOrigins(t *testing.T) {
	hourly := func(weight func(day int) float64) float64 {
		b := blocks{length: 24}
		for i := range 7 * 24 {
			b.add(i, weight(i/24))
		}
		return b.freedom()
	}
	for name, test := range map[string]struct {
		weight func(day int) float64
		want   float64
	}{
		"seven days alike":     {func(int) float64 { return 1 }, 6},
		"three that count":     {func(day int) float64 { return float64(max(3-day, 0) / max(3-day, 1)) }, 2},
		"one that counts":      {func(day int) float64 { return float64(max(1-day, 0)) }, 1},
		"one counts for three": {func(day int) float64 { return 1 + 2*float64(max(1-day, 0)) }, 81.0/15 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := hourly(test.weight); math.Abs(got-test.want) > 1e-9 {
				t.Errorf("%v degrees of freedom, want %v", got, test.want)
			}
		})
	}
}

// TestFewDaysCover holds that the band of a day ahead is not much too narrow where the history has but
// some days, from which errors hardly differ: by the quantiles of past errors alone it covers 50 % of
// what comes after two to six days of these series.
func TestFewDaysCover(t *testing.T) {
	inside, n := 0.0, 0.0
	for seed := range uint64(12) {
		whole := fives(8, seed)
		for cut := 2*288 + 60; cut <= 6*288; cut += 200 {
			past := whole
			past.Values = whole.Values[:cut]
			f, err := Auto{}.Forecast(past, nil, steps(whole.Step, 288), past.End())
			if err != nil {
				t.Fatal(err)
			}
			low, high := slices.Index(f.Levels, 0.1), slices.Index(f.Levels, 0.9)
			for j, row := range f.Quantiles {
				if actual := whole.Values[cut+j]; actual >= row[low] && actual <= row[high] {
					inside++
				}
				n++
			}
		}
	}
	t.Logf("the 80 %% band covers %.3f", inside/n)
	if share := inside / n; share < 0.68 || share > 0.88 {
		t.Errorf("the 80 %% band covers %.3f", share)
	}
}

// TestWhatHardlyWasSeenErrsLikeWhatCameBefore: after three days, one origin tells of a day ahead.
func TestWhatHardlyWasSeenErrsLikeWhatCameBefore(t *testing.T) {
	history := fives(3, 1)
	p, err := pose(history, nil, steps(history.Step, 288), history.End())
	if err != nil {
		t.Fatal(err)
	}
	m := newMixture(p, history.Step)
	m.learn()
	few := 0
	for j, steps := range m.marks {
		seen := 0
		for i := range m.pasts {
			if m.known(i, steps) {
				seen++
			}
		}
		if j == 0 || seen == 0 || seen >= fewErrors {
			continue
		}
		few++
		wider := math.Sqrt(float64(steps) / float64(m.marks[j-1]))
		for k, before := range m.bands[j-1].curve {
			if want := before * wider; math.Abs(m.bands[j].curve[k]-want) > 1e-9 {
				t.Fatalf("%d steps ahead, which %d origins tell of: %v, want %v", steps, seen, m.bands[j].curve[k], want)
			}
		}
	}
	if few == 0 {
		t.Fatal("each mark was seen often, or never")
	}
}

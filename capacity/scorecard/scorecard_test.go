package scorecard

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
)

const gpu = "nvidia.com/gpu"

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// look is a plan for one chunk of two GPUs that costs 6 an hour: lead 2 min, hold 5 min, a plan a minute.
func look(demand, free float64, wanted int64) Look {
	return Look{
		Peaks: []float64{demand}, State: capacity.State{Chunks: []capacity.ChunkState{{Free: int64(free)}}},
		Limits: capacity.Limits{
			Chunks:   []capacity.Chunk{{Name: "pair", IdleCostPerHour: 6}},
			LeadTime: 2 * time.Minute, Hold: 5 * time.Minute, Interval: time.Minute,
		},
		Plan: capacity.Result{Chunks: []capacity.ChunkPlan{{Name: "pair", Wanted: wanted}}}, Sizes: []float64{2},
	}
}

// play makes a plan a minute, and tells the total of the day.
func play(looks ...Look) (Card, Score) {
	var card Card
	for i, l := range looks {
		card = card.Next(l, start.Add(time.Duration(i)*time.Minute))
	}
	return card, Total(card.Hours).Score
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func TestWhatWouldHaveHappened(t *testing.T) {
	minute := 1.0 / 60
	for name, c := range map[string]struct {
		looks []Look
		want  Score
	}{
		"nothing wanted: who comes finds free room or waits": {
			[]Look{look(4, 1, 0), look(7, 0, 0)}, Score{Arrived: 6, Free: 2},
		},
		"three wanted, there after the lead time": {
			[]Look{look(4, 0, 3), look(4, 0, 3), look(4, 0, 3), look(4, 0, 3)},
			Score{Idle: 6 * minute, Cost: 18 * minute},
		},
		"who comes before that waits": {
			[]Look{look(4, 0, 3), look(6, 0, 1)}, Score{Arrived: 4},
		},
		"free room first, then placeholders; one of five waits": {
			[]Look{look(4, 0, 3), look(4, 0, 3), look(4, 1, 3), look(9, 0, 3)},
			Score{Arrived: 10, Free: 2, Warm: 6, Avoided: 3, Spared: 3 * 2 * minute, Idle: 6 * minute, Cost: 18 * minute},
		},
		"those that are taken idle no more": {
			[]Look{look(4, 0, 3), look(4, 0, 3), look(4, 0, 3), look(6, 0, 1), look(6, 0, 1)},
			Score{Arrived: 4, Warm: 4, Avoided: 2, Spared: 2 * 2 * minute, Idle: 8 * minute, Cost: 24 * minute},
		},
	} {
		_, got := play(c.looks...)
		if diff := cmp.Diff(c.want, got, cmp.Comparer(near)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestGoingDownIsSlow: eight are kept for the hold time, then a quarter of what is left goes with each plan.
func TestGoingDownIsSlow(t *testing.T) {
	looks := []Look{look(0, 0, 8), look(0, 0, 8)}
	var warm []float64
	for range 10 {
		looks = append(looks, look(0, 0, 0))
		card, _ := play(looks...)
		warm = append(warm, card.Chunks[0].Warm)
	}
	if diff := cmp.Diff([]float64{8, 8, 8, 8, 8, 6, 4, 3, 2, 1}, warm); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	// What has not come yet goes first, the last asked for before the others.
	s := step{Chunk: Chunk{Warm: 4, Coming: []Batch{{start, 1}, {start, 2}}}}
	if s.release(2.5); s.Warm != 4 || len(s.Coming) != 1 || s.Coming[0].N != 0.5 {
		t.Errorf("after 2.5: %+v", s.Chunk)
	}
	if s.release(9); s.Warm != 0 || len(s.Coming) != 0 {
		t.Errorf("after 9 more: %+v", s.Chunk)
	}
}

// TestATimeInWhichNobodyPlanned is not counted, and the time after it is.
func TestATimeInWhichNobodyPlanned(t *testing.T) {
	card, before := play(look(4, 0, 3), look(4, 0, 3), look(4, 0, 3))
	late := start.Add(2*time.Minute + 3*time.Minute + time.Second)
	card = card.Next(look(9, 0, 3), late)
	if after := Total(card.Hours).Score; after != before {
		t.Errorf("%+v after a gap, %+v before", after, before)
	}
	card = card.Next(look(10, 0, 3), late.Add(time.Minute))
	if after := Total(card.Hours).Score; after.Arrived != 2 || after.Warm != 2 {
		t.Errorf("after the gap: %+v, want the one that came since, at a placeholder", after)
	}
	if back := card.Next(look(12, 0, 3), start); Total(back.Hours).Score != Total(card.Hours).Score {
		t.Error("a clock that went back counts")
	}
}

func TestHoursAndDaysPass(t *testing.T) {
	var card Card
	for at := start; at.Before(start.Add(10 * 24 * time.Hour)); at = at.Add(time.Minute) {
		card = card.Next(look(1, 0, 1), at)
	}
	day, week := Total(card.Hours), Total(card.Days)
	if len(card.Hours) != 24 || len(card.Days) != 7 || !day.Start.Equal(start.Add(9*24*time.Hour)) || !week.Start.Equal(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%d hours from %s, %d days from %s", len(card.Hours), day.Start, len(card.Days), week.Start)
	}
	if !near(day.Idle, 2*24) {
		t.Errorf("idle for %v GPU-hours in a day, want 48", day.Idle)
	}
}

// TestClocksOfReplicas: of two that lead in turn, one is two seconds behind, also where an hour begins.
func TestClocksOfReplicas(t *testing.T) {
	var card Card
	for at := start; at.Before(start.Add(10 * 24 * time.Hour)); at = at.Add(time.Hour) {
		for _, now := range []time.Time{at.Add(time.Second), at.Add(-time.Second), at.Add(2 * time.Second)} {
			card = card.Next(look(1, 0, 1), now)
		}
		if len(card.Hours) > 24 || len(card.Days) > 7 {
			t.Fatalf("%d hours and %d days, more than the API takes", len(card.Hours), len(card.Days))
		}
	}
}

func pool() *v1alpha1.WarmPool {
	p := &v1alpha1.WarmPool{}
	p.Name = "a100"
	p.Spec.Mode, p.Spec.Demand.Resource = v1alpha1.ModeObserve, gpu
	p.Spec.Chunks = []v1alpha1.Chunk{{Name: "pair", Requests: corev1.ResourceList{gpu: resource.MustParse("2")}}}
	return p
}

// TestAnyReplicaGoesOn: from what the API server keeps, as if nothing had happened.
func TestAnyReplicaGoesOn(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	p, card, now := pool(), Card{}, start
	for range 2000 {
		now = now.Add(time.Minute)
		l := look(float64(random.Intn(20)), float64(random.Intn(3)), int64(random.Intn(12)))
		card = card.Next(l, now)
		data, err := json.Marshal(Status(p, l, now))
		if err != nil {
			t.Fatal(err)
		}
		p.Status.Scorecard = &v1alpha1.ScorecardStatus{}
		if err := json.Unmarshal(data, p.Status.Scorecard); err != nil {
			t.Fatal(err)
		}
		if len(data) > 16<<10 {
			t.Fatalf("%d bytes", len(data))
		}
	}
	close := cmp.Comparer(func(a, b float64) bool { return a-b < 0.01 && b-a < 0.01 })
	same := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff(card, cardOf(p.Status.Scorecard), close, same, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("kept in memory, and in status (-want +got):\n%s", diff)
	}
}

// TestBounded: whatever is wanted, no list grows beyond what the API takes, and no placeholder is made up.
func TestBounded(t *testing.T) {
	var card Card
	now := start
	for i := range 1000 {
		now = now.Add(time.Second)
		l := look(0, 0, int64(1000-i))
		l.Limits.Hold, l.Limits.LeadTime = 24*time.Hour, 2*time.Hour
		if i%2 == 0 {
			l.Peaks[0] = float64(i)
		}
		card = card.Next(l, now)
		c := card.Chunks[0]
		held := c.Warm
		for _, b := range c.Coming {
			held += b.N
		}
		if len(c.Wanted) > most || len(c.Coming) > most || held > 1000 {
			t.Fatalf("plan %d: %d wanted, %d coming, %v held", i, len(c.Wanted), len(c.Coming), held)
		}
	}
}

func TestText(t *testing.T) {
	p := pool()
	if Text(p) != "" {
		t.Errorf("before the first plan: %q", Text(p))
	}
	for i, l := range []Look{look(4, 0, 3), look(4, 0, 3), look(4, 1, 3), look(9, 0, 3)} {
		p.Status.Scorecard = Status(p, l, start.Add(time.Duration(i)*time.Minute))
	}
	says := "a100 would have, in the last %s (since 2026-11-24 %s): of 10 nvidia.com/gpu that arrived, had capacity ready for 80 %% (20 %% without it); avoided 3 waits, 0.1 h in all; idled 0.1 nvidia.com/gpu-hours, for 0.3\n"
	if want := fmt.Sprintf("\n"+says+"\n"+says, "day", "09:00", "week", "00:00"); Text(p) != want {
		t.Errorf("%s", cmp.Diff(want, Text(p)))
	}
	p.Spec.Mode = v1alpha1.ModeEnforce
	if Status(p, look(1, 0, 1), start) != nil {
		t.Error("a pool that acts has a scorecard")
	}
	if share(0, 0) != "100 %" {
		t.Error("of nothing, nothing waits")
	}
}

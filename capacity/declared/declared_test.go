package declared

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/forecast"
)

func TestOf(t *testing.T) {
	now := time.Date(2026, 11, 29, 14, 45, 0, 0, time.UTC)
	past := forecast.Series{Start: now.Add(-30 * time.Minute), Step: time.Minute, Values: make([]float64, 30)}
	past.Values[0], past.Values[14], past.Values[29] = 3, 5, 7 // at 14:15, 14:29 and 14:44
	past.Values[20], past.Values[21] = math.NaN(), math.NaN()
	past.Values[19] = 4
	event := func(start time.Duration, chunk string, percent, demand *int32) v1alpha1.DemandEvent {
		return v1alpha1.DemandEvent{Spec: v1alpha1.DemandEventSpec{
			Pool: "a100", Chunk: chunk, Start: metav1.NewTime(now.Add(start)), Duration: metav1.Duration{Duration: time.Hour}, Percent: percent, Demand: demand,
		}}
	}
	frozen := func(e v1alpha1.DemandEvent) v1alpha1.DemandEvent {
		e.Spec.Freeze = true
		return e
	}
	for name, c := range map[string]struct {
		event v1alpha1.DemandEvent
		want  []capacity.Declared
	}{
		"so much":                       {event(time.Minute, "single", nil, new(int32(12))), []capacity.Declared{{In: time.Minute, Until: 61 * time.Minute, Level: 12}}},
		"of another chunk":              {event(time.Minute, "node", nil, new(int32(12))), nil},
		"+300 % of now":                 {event(time.Minute, "", new(int32(300)), nil), []capacity.Declared{{In: time.Minute, Until: 61 * time.Minute, Level: 8}}},
		"+300 % of then, once it began": {event(-15*time.Minute, "", new(int32(300)), nil), []capacity.Declared{{In: -15 * time.Minute, Until: 45 * time.Minute, Level: 20}}},
		"a freeze":                      {frozen(event(time.Minute, "", nil, nil)), nil},
		"ended":                         {event(-time.Hour, "", nil, new(int32(12))), nil},
		"that was not recorded":         {event(-8*time.Minute, "", new(int32(300)), nil), []capacity.Declared{{In: -8 * time.Minute, Until: 52 * time.Minute, Level: 16}}},
		"it is not recorded yet":        {event(0, "", new(int32(300)), nil), []capacity.Declared{{Until: time.Hour, Level: 28}}},
		"began before all history":      {event(-40*time.Minute, "", new(int32(300)), nil), []capacity.Declared{{In: -40 * time.Minute, Until: 20 * time.Minute, Level: 12}}},
	} {
		if diff := cmp.Diff(c.want, Of([]v1alpha1.DemandEvent{c.event}, "single", 2, func() forecast.Series { return past }, now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestPercentsDoNotRunAway: where the start was not recorded, what has come since is no reason to expect as much again.
func TestPercentsDoNotRunAway(t *testing.T) {
	now := time.Date(2026, 11, 29, 14, 45, 0, 0, time.UTC)
	event := v1alpha1.DemandEvent{Spec: v1alpha1.DemandEventSpec{
		Pool: "a100", Start: metav1.NewTime(now.Add(-time.Minute)), Duration: metav1.Duration{Duration: time.Hour}, Percent: new(int32(300)),
	}}
	past := forecast.Series{Start: now, Step: time.Minute}
	for demand, i := 4.0, 0; i < 5; i++ {
		got := Of([]v1alpha1.DemandEvent{event}, "single", demand, func() forecast.Series { return past }, now.Add(time.Duration(i)*time.Minute))
		if len(got) != 1 || got[0].Level != 16 {
			t.Fatalf("in minute %d, at a demand of %v: %+v, want a level of 16", i, demand, got)
		}
		past.Values = append(past.Values, demand)
		demand = got[0].Level
	}
	if got := Of([]v1alpha1.DemandEvent{event}, "single", 4, func() forecast.Series { return forecast.Series{} }, now); got[0].Level != 16 {
		t.Errorf("nothing is recorded: %+v, want that of now", got)
	}
}

// TestTold: forecasts are told of all events of a chunk, in order of time, and of no factor.
func TestTold(t *testing.T) {
	now := time.Date(2026, 11, 29, 14, 45, 0, 0, time.UTC)
	event := func(name, chunk string, start time.Duration, freeze bool) v1alpha1.DemandEvent {
		e := v1alpha1.DemandEvent{Spec: v1alpha1.DemandEventSpec{Chunk: chunk, Start: metav1.NewTime(now.Add(start)), Duration: metav1.Duration{Duration: time.Hour}, Freeze: freeze}}
		e.Name = name
		return e
	}
	got := Told([]v1alpha1.DemandEvent{
		event("launch", "single", time.Hour, false), event("other", "node", 0, false), event("change-freeze", "", -48*time.Hour, true), event("early", "single", time.Hour, false),
	}, "single")
	want := []forecast.Event{
		{Name: "change-freeze", From: now.Add(-48 * time.Hour), To: now.Add(-47 * time.Hour), Freeze: true},
		{Name: "early", From: now.Add(time.Hour), To: now.Add(2 * time.Hour)},
		{Name: "launch", From: now.Add(time.Hour), To: now.Add(2 * time.Hour)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRunning(t *testing.T) {
	for name, c := range map[string]struct {
		in, until time.Duration
		want      bool
	}{
		"it runs":         {-time.Minute, time.Minute, true},
		"it begins soon":  {time.Minute, time.Hour, true},
		"it begins later": {2 * time.Minute, time.Hour, false},
		"it has ended":    {-time.Hour, 0, false},
	} {
		if got := Running([]capacity.Declared{{In: c.in, Until: c.until}}, time.Minute); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

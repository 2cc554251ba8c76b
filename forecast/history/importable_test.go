package history

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestImportable(t *testing.T) {
	samples := samplesFrom(day, time.Hour, 1, 2, 3, 4)
	now := day.Add(4 * time.Hour)
	kept, old, err := Importable(samples, 150*time.Minute, now)
	if err != nil || old != 2 {
		t.Errorf("%d are old, error %v; want 2 and none", old, err)
	}
	if diff := cmp.Diff(samples[2:], kept); diff != "" {
		t.Error(diff)
	}
	if kept, old, err := Importable(samples, time.Minute, now); len(kept) != 0 || old != 4 || err != nil {
		t.Errorf("all older: %v, %d, %v", kept, old, err)
	}
	if _, _, err := Importable(samples, time.Hour, day.Add(time.Hour)); err == nil || !strings.Contains(err.Error(), "history ends now") {
		t.Errorf("a value of the future: error %v", err)
	}
	if _, _, err := Importable(samplesFrom(day, time.Hour, 1, -2), time.Hour, now); err == nil || !strings.Contains(err.Error(), "below zero") {
		t.Errorf("demand below zero: error %v", err)
	}
}

func TestByDay(t *testing.T) {
	var days [][]Sample
	for some := range ByDay(samplesFrom(day, 9*time.Hour, 1, 2, 3, 4, 5, 6)) {
		if days = append(days, some); len(days) == 2 {
			break // as a caller that was interrupted
		}
	}
	if len(days) != 2 || len(days[0]) != 3 || len(days[1]) != 3 || days[1][0].Demand != 4 {
		t.Errorf("days %v", days)
	}
}

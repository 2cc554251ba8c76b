package price

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

func TestSpentToday(t *testing.T) {
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 24, hour, minute, 0, 0, time.UTC) }
	known := func(t time.Time, spent string) *v1alpha1.IdleStatus {
		return &v1alpha1.IdleStatus{At: metav1.NewTime(t), Spent: spent}
	}
	for name, c := range map[string]struct {
		known *v1alpha1.IdleStatus
		want  string
	}{
		"nothing known":            {nil, "0.000000"},
		"half an hour at 24":       {known(at(0, 30), "5.5"), "17.500000"},
		"since midnight, not more": {known(at(0, 0).Add(-2*time.Hour), "90"), "24.000000"},
		"days ago":                 {known(at(0, 0).Add(-50*time.Hour), "90"), "0.000000"},
		"a clock that went back":   {known(at(2, 0), "5.5"), "5.500000"},
	} {
		if got := spentToday(c.known, 24, at(1, 0)); got.Spent != c.want || !got.At.Time.Equal(at(1, 0)) {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

// TestNoSecondIsSpentTwice: plans 1.9 s apart, each from what the API server kept of the one before.
func TestNoSecondIsSpentTwice(t *testing.T) {
	at := time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)
	known := &v1alpha1.IdleStatus{At: metav1.NewTime(at), Spent: "0"}
	for range 1000 {
		at = at.Add(1900 * time.Millisecond)
		text, err := json.Marshal(spentToday(known, 3600, at))
		if err != nil {
			t.Fatal(err)
		}
		known = &v1alpha1.IdleStatus{}
		if err := json.Unmarshal(text, known); err != nil {
			t.Fatal(err)
		}
	}
	if known.Spent != "1900.000000" {
		t.Errorf("spent %s in 1,900 s at 1 a second", known.Spent)
	}
}

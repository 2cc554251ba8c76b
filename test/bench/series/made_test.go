package series

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMadeSeriesAreTheSameInEveryRun(t *testing.T) {
	first := Make()
	if diff := cmp.Diff(first, Make()); diff != "" {
		t.Error(diff)
	}
	if len(first) != 25 {
		t.Errorf("%d series", len(first))
	}
	for _, m := range first {
		if lowest, highest := slices.Min(m.Series.Values), slices.Max(m.Series.Values); lowest < 0 || !(highest > lowest) || math.IsInf(highest, 0) {
			t.Errorf("%s goes from %v to %v", m.Name, lowest, highest)
		}
	}
}

package backtest

import (
	"math"
	"testing"
	"time"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"# name=x start=2026-11-02T00:00:00 step_s=300\nvalue\n1\n\nNaN\n", "# step_s=3600 step_s=1\nvalue\n0x1p-2\n", "V1,V2\nH1,605,58.5,\n", "V1\n\"H1\",\"1e300\"\n", "a\n\n,",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if series, err := ParseSeries(text); err == nil {
			if series.Step < time.Second || series.Step > time.Hour || day%series.Step != 0 {
				t.Errorf("step %v", series.Step)
			}
			for i, value := range series.Values {
				if math.IsInf(value, 0) {
					t.Errorf("value %d is infinite", i)
				}
			}
		}
		if rows, err := ParseM4(text); err == nil {
			for _, row := range rows {
				for i, value := range row.Values {
					if math.IsNaN(value) || math.IsInf(value, 0) {
						t.Errorf("series %s, value %d is %v", row.Name, i, value)
					}
				}
			}
		}
	})
}

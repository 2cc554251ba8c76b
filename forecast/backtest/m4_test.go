package backtest

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseM4(t *testing.T) {
	got, err := ParseM4("\"V1\",\"V2\",\"V3\",\"V4\"\n\"H1\",\"605\",\"58.5\",\"\"\nH2,1,2,3\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]M4Row{{"H1", []float64{605, 58.5}}, {"H2", []float64{1, 2, 3}}}, got); diff != "" {
		t.Error(diff)
	}
	for name, text := range map[string]string{
		"empty": "", "header only": "V1,V2\n", "a word": "V1,V2\nH1,x\n", "not a number": "V1,V2\nH1,NaN\n", "a quote": "V1,V2\nH1,\"1\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseM4(text); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestM4ByHand(t *testing.T) {
	history := make([]float64, 3*M4Season)
	for i := range history {
		history[i] = float64(10 + i/M4Season) // rises by one per season
	}
	naive := SeasonalNaiveM4(history)
	if len(naive) != M4Horizon || naive[0] != 12 || naive[M4Horizon-1] != 12 {
		t.Fatalf("seasonal naive %v", naive)
	}
	got := ScoreM4(history, []float64{12, 18}, naive)
	// 200 · 6 ÷ 30 and 6 ÷ 1, each halved by the exact first value.
	if math.Abs(got.SMAPE-20) > 1e-9 || math.Abs(got.MASE-3) > 1e-9 {
		t.Errorf("score %+v", got)
	}
	if mean := MeanM4([]M4Score{got, {}}); math.Abs(mean.SMAPE-10) > 1e-9 || math.Abs(mean.MASE-1.5) > 1e-9 {
		t.Errorf("mean %+v", mean)
	}
	if owa := got.OWA(M4Score{SMAPE: 40, MASE: 2}); math.Abs(owa-1) > 1e-9 {
		t.Errorf("OWA %v", owa)
	}
	if exact := ScoreM4(make([]float64, 48), []float64{0}, []float64{0}); exact != (M4Score{}) {
		t.Errorf("exact zeros score %+v", exact)
	}
}

package chart

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAPageSaysWhatTheColoursAre: no style and no colour is left in a chart for a page, and everything that
// is drawn has a class, the bands of the forecast too, which are drawn thinly.
func TestAPageSaysWhatTheColoursAre(t *testing.T) {
	series, f := sample(t)
	fan, err := Fan{"left out", series, f, series.End()}.Embed("fan", "demand of <a100>", "what it \"is\"")
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	steps, err := Steps{Unit: "chunks", Until: from.Add(3 * time.Hour), Lines: []Line{
		{"wanted", []Point{{from, 1}, {from.Add(time.Hour), 3}}}, {"demand", []Point{{from, 2}}}, {"nothing", nil},
	}}.Embed("steps", "placeholders", "over time")
	if err != nil {
		t.Fatal(err)
	}
	class := regexp.MustCompile(`class="([^"]*)"`)
	for name, tt := range map[string]struct {
		svg   string
		wants []string
		bands int
	}{
		"fan":   {fan, []string{`<svg class="chart" role="img" aria-labelledby="fan-title fan-text"`, `<title id="fan-title">demand of &lt;a100&gt;</title>`, `what it &#34;is&#34;</desc>`, "80 % band", "chart-line-forecast", "chart-line-ink"}, 3},
		"steps": {steps, []string{`aria-labelledby="steps-title steps-text"`, ">wanted<", ">demand<", "chart-line-second", "stroke-dasharray"}, 0},
	} {
		for _, want := range tt.wants {
			if !strings.Contains(tt.svg, want) {
				t.Errorf("%s: %q is missing", name, want)
			}
		}
		for _, unwanted := range []string{"style=", "#1F77B4", "left out", "<?xml", "fill:"} {
			if strings.Contains(tt.svg, unwanted) {
				t.Errorf("%s has %q", name, unwanted)
			}
		}
		for _, found := range class.FindAllStringSubmatch(tt.svg, -1) {
			for one := range strings.FieldsSeq(found[1]) {
				if !slices.Contains([]string{"chart", "chart-fill-ink", "chart-fill-forecast", "chart-line-ink", "chart-line-forecast", "chart-line-second"}, one) {
					t.Errorf("%s has the class %q, which no page knows", name, one)
				}
			}
		}
		if got := strings.Count(tt.svg, "chart-fill-forecast"); got < tt.bands {
			t.Errorf("%s has %d areas in the colour of the forecast, want %d bands at least", name, got, tt.bands)
		}
	}
	for path := range strings.SplitSeq(fan, "<path") {
		if element, _, closed := strings.Cut(path, "/>"); closed && strings.HasPrefix(strings.TrimSpace(element), "d=") && !strings.Contains(element, "class=") {
			t.Errorf("drawn without a class: %s", element[:min(len(element), 200)])
		}
	}
}

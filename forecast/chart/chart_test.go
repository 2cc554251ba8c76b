package chart

import (
	"bytes"
	"image/png"
	"math"
	"strings"
	"testing"
	"time"

	"forewarm.dev/forecast"
)

// sample is two days of history with a gap, and a forecast of a day.
func sample(t *testing.T) (forecast.Series, forecast.Forecast) {
	t.Helper()
	series := forecast.Series{Start: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), Step: time.Hour}
	for i := range 96 {
		series.Values = append(series.Values, 20+10*math.Sin(float64(i)*math.Pi/12))
	}
	series.Values[80] = math.NaN()
	var horizon []time.Duration
	for h := range 24 {
		horizon = append(horizon, time.Duration(h+1)*time.Hour)
	}
	f, err := forecast.Combined{}.Forecast(series, []time.Duration{24 * time.Hour}, horizon, series.End())
	if err != nil {
		t.Fatal(err)
	}
	return series, f
}

func TestFanIsDrawnInBothFormats(t *testing.T) {
	series, f := sample(t)
	var image bytes.Buffer
	if err := (Fan{"demand", series, f, series.End()}).Draw(&image, PNG); err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(&image)
	if err != nil {
		t.Fatal(err)
	}
	shades := map[string]bool{}
	for x := range decoded.Bounds().Dx() {
		for y := range decoded.Bounds().Dy() {
			r, g, b, _ := decoded.At(x, y).RGBA()
			if b > r && b > g {
				shades["blue"] = true
			}
			if r+g+b == 0 {
				shades["black"] = true
			}
		}
	}
	if !shades["blue"] || !shades["black"] {
		t.Errorf("the picture has %v, want the blue of the bands and the black of the history", shades)
	}
	var drawn bytes.Buffer
	if err := (Fan{"demand of a100", series, f, series.End()}).Draw(&drawn, SVG); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "demand of a100", "median", "observed", "80 % band", "90 % band", "</svg>"} {
		if !strings.Contains(drawn.String(), want) {
			t.Errorf("%q is missing in the SVG", want)
		}
	}
}

func TestAForecastFromNothingIsDrawn(t *testing.T) {
	series := forecast.Series{Start: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), Step: time.Hour}
	f, err := forecast.Combined{}.Forecast(series, nil, []time.Duration{time.Hour, 2 * time.Hour}, series.Start)
	if err != nil {
		t.Fatal(err)
	}
	if err := (Fan{"nothing", series, f, series.Start}).Draw(&bytes.Buffer{}, SVG); err != nil {
		t.Error(err)
	}
}

func TestTimesAreLabelledAtWholeHoursAndDays(t *testing.T) {
	start := time.Date(2026, 11, 2, 2, 53, 0, 0, time.UTC)
	for span, want := range map[time.Duration]string{
		4 * 24 * time.Hour: "Nov 02\n12:00", 3 * time.Hour: "Nov 02\n03:00", time.Minute: "02:53:00", 400 * 24 * time.Hour: "Nov 05\n00:00",
	} {
		ticks := clockTicks{most: mostLabels}.Ticks(seconds(start), seconds(start.Add(span)))
		if len(ticks) < 3 || ticks[0].Label != want || span < 30*24*time.Hour && len(ticks) > mostLabels+1 {
			t.Errorf("%v: %d labels, the first %q, want %q", span, len(ticks), ticks[0].Label, want)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for path, want := range map[string]Format{"a/fan.svg": SVG, "fan.PNG": PNG} {
		if got, err := FormatOf(path); err != nil || got != want {
			t.Errorf("%s: %s, %v", path, got, err)
		}
	}
	if _, err := FormatOf("fan.jpg"); err == nil || !strings.Contains(err.Error(), "*.png or *.svg") {
		t.Errorf("error %v", err)
	}
}

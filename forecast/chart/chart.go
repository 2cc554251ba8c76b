// Package chart draws forecasts: what was observed, the median, and bands around it that
// open like a fan.
package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"forewarm.dev/forecast"
)

// Format is how a chart is written.
type Format string

// Formats of charts.
const (
	PNG Format = "png"
	SVG Format = "svg"
)

// FormatOf is the format that a file's name asks for.
func FormatOf(path string) (Format, error) {
	switch format := Format(strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")); format {
	case PNG, SVG:
		return format, nil
	default:
		return "", fmt.Errorf("a chart is written as PNG or SVG: name the file *.png or *.svg, not %q", filepath.Base(path))
	}
}

const (
	width, height = 10 * vg.Inch, 5 * vg.Inch
	// A chart in a page is no wider than a phone is, in points, so that its text can be read there.
	embeddedWidth, embeddedHeight = 6 * vg.Inch, 3.4 * vg.Inch
	// shown is how much of the history is drawn, as a multiple of the horizon.
	shown = 3
	// roomForLegend is kept free above what is drawn, as a share of its height.
	roomForLegend = 0.35
)

// Colours of charts.
var (
	forecastShade = color.NRGBA{R: 0x1F, G: 0x77, B: 0xB4, A: 255}
	secondShade   = color.NRGBA{R: 0xB4, G: 0x53, B: 0x09, A: 255}
)

// bands are the pairs of levels that make the fan, widest first.
var bands = []struct {
	low, high float64
	shade     color.NRGBA
}{
	{0.05, 0.95, color.NRGBA{R: 31, G: 119, B: 180, A: 50}},
	{0.1, 0.9, color.NRGBA{R: 31, G: 119, B: 180, A: 70}},
	{0.3, 0.7, color.NRGBA{R: 31, G: 119, B: 180, A: 100}},
}

// Fan is the end of a history and the forecast from a time on.
type Fan struct {
	Title    string
	History  forecast.Series
	Forecast forecast.Forecast
	// From is the time that the horizon is counted from.
	From time.Time
}

// Draw writes the chart.
func (c Fan) Draw(out io.Writer, format Format) error {
	p, err := c.plot(mostLabels)
	if err != nil {
		return err
	}
	return write(out, p, format)
}

// Embed draws the chart as an element of a page whose styles say what its colours are, without its Title:
// title and description are for those who do not see it. id tells it from others on the page.
func (c Fan) Embed(id, title, description string) (string, error) {
	c.Title = ""
	p, err := c.plot(fewLabels)
	if err != nil {
		return "", err
	}
	return embed(p, id, title, description)
}

func embed(p *plot.Plot, id, title, description string) (string, error) {
	p.BackgroundColor = nil
	canvas := vgsvg.New(embeddedWidth, embeddedHeight)
	p.Draw(draw.New(canvas))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return "", err
	}
	return themed(out.String(), id, title, description)
}

func (c Fan) plot(labels int) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = c.Title
	p.Y.Label.Text = "demand"
	p.X.Tick.Marker = clockTicks{most: labels}
	p.X.Label.Text = "UTC"
	legend(p)
	if err := addBands(p, c.Forecast, c.From); err != nil {
		return nil, err
	}
	if err := addLine(p, "median", quantileLine(c.Forecast, c.From, 0.5), forecastShade); err != nil {
		return nil, err
	}
	since := c.From.Add(-shown * c.Forecast.Horizon[len(c.Forecast.Horizon)-1])
	for i, piece := range pieces(c.History, since) {
		name := ""
		if i == 0 {
			name = "observed"
		}
		if err := addLine(p, name, piece, color.Black); err != nil {
			return nil, err
		}
	}
	p.Y.Min = math.Min(p.Y.Min, 0)
	p.Y.Max += roomForLegend * (p.Y.Max - p.Y.Min)
	return p, nil
}

// legend is where it hides little, with its lines apart.
func legend(p *plot.Plot) {
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(3)
}

func write(out io.Writer, p *plot.Plot, format Format) error {
	var canvas vg.CanvasWriterTo
	switch format {
	case PNG:
		canvas = vgimg.PngCanvas{Canvas: vgimg.New(width, height)}
	case SVG:
		canvas = vgsvg.New(width, height)
	default:
		return fmt.Errorf("a chart is written as png or svg, not %q", format)
	}
	p.Draw(draw.New(canvas))
	_, err := canvas.WriteTo(out)
	return err
}

// addBands fills between pairs of quantiles.
func addBands(p *plot.Plot, f forecast.Forecast, from time.Time) error {
	for _, band := range bands {
		low, high := quantileLine(f, from, band.low), quantileLine(f, from, band.high)
		if len(low) == 0 || len(high) == 0 {
			continue
		}
		slices.Reverse(low)
		area, err := plotter.NewPolygon(slices.Concat(high, low))
		if err != nil {
			return fmt.Errorf("draw the band from %v to %v: %w", band.low, band.high, err)
		}
		area.Color, area.Width = band.shade, 0
		p.Add(area)
		p.Legend.Add(fmt.Sprintf("%.0f %% band", 100*(band.high-band.low)), area)
	}
	return nil
}

// quantileLine is one level over the horizon; empty if the forecast has no such level.
func quantileLine(f forecast.Forecast, from time.Time, level float64) plotter.XYs {
	column := slices.IndexFunc(f.Levels, func(l float64) bool { return math.Abs(l-level) < 1e-9 })
	if column < 0 {
		return nil
	}
	var line plotter.XYs
	for i, horizon := range f.Horizon {
		line = append(line, plotter.XY{X: seconds(from.Add(horizon)), Y: f.Quantiles[i][column]})
	}
	return line
}

// pieces are the observations since a time, one piece between two gaps.
func pieces(history forecast.Series, since time.Time) []plotter.XYs {
	var all []plotter.XYs
	var piece plotter.XYs
	for i, value := range history.Values {
		at := history.Start.Add(time.Duration(i) * history.Step)
		switch {
		case at.Before(since):
		case math.IsNaN(value):
			if len(piece) > 0 {
				all, piece = append(all, piece), nil
			}
		default:
			piece = append(piece, plotter.XY{X: seconds(at), Y: value})
		}
	}
	if len(piece) > 0 {
		all = append(all, piece)
	}
	return all
}

func seconds(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }

func addLine(p *plot.Plot, name string, points plotter.XYs, shade color.Color) error {
	line, err := plotter.NewLine(points)
	if err != nil {
		return fmt.Errorf("draw a line: %w", err)
	}
	line.Color, line.Width = shade, vg.Points(1)
	p.Add(line)
	if name != "" {
		p.Legend.Add(name, line)
	}
	return nil
}

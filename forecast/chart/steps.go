package chart

import (
	"image/color"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Point is a value from a time on, until the next point of its line.
type Point struct {
	At    time.Time
	Value float64
}

// Line is what a number was over time.
type Line struct {
	Name   string
	Points []Point
}

// Steps are numbers that stay as they are until they change.
type Steps struct {
	// Unit is what is counted.
	Unit string
	// Lines are at most two, in time order each.
	Lines []Line
	// Until is where the last values end.
	Until time.Time
}

// seconds lines are told apart by colour and by dashes.
var lineStyles = []struct {
	shade  color.Color
	dashes []vg.Length
}{
	{forecastShade, nil},
	{secondShade, []vg.Length{vg.Points(5), vg.Points(3)}},
}

// Embed draws the chart as an element of a page; see [Fan.Embed].
func (c Steps) Embed(id, title, description string) (string, error) {
	p := plot.New()
	p.Y.Label.Text = c.Unit
	p.X.Tick.Marker, p.X.Label.Text = clockTicks{most: fewLabels}, "UTC"
	legend(p)
	for i, line := range c.Lines {
		if err := c.add(p, i, line); err != nil {
			return "", err
		}
	}
	p.Y.Min = math.Min(p.Y.Min, 0)
	p.Y.Max = math.Max(p.Y.Max, 1)
	p.Y.Max += roomForLegend * (p.Y.Max - p.Y.Min)
	return embed(p, id, title, description)
}

func (c Steps) add(p *plot.Plot, i int, line Line) error {
	var points plotter.XYs
	for _, point := range line.Points {
		points = append(points, plotter.XY{X: seconds(point.At), Y: point.Value})
	}
	if len(points) == 0 {
		return nil
	}
	points = append(points, plotter.XY{X: seconds(c.Until), Y: points[len(points)-1].Y})
	drawn, err := plotter.NewLine(points)
	if err != nil {
		return err
	}
	style := lineStyles[i%len(lineStyles)]
	drawn.StepStyle, drawn.Color, drawn.Width, drawn.Dashes = plotter.PostStep, style.shade, vg.Points(1.5), style.dashes
	p.Add(drawn)
	p.Legend.Add(line.Name, drawn)
	return nil
}

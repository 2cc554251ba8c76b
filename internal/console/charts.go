package console

import (
	"context"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/chart"
)

// fanRow is a row of the table beside a fan chart.
type fanRow struct {
	At            time.Time
	P10, P50, P90 float64
}

// stepRow is a row of the table beside a chart of placeholders.
type stepRow struct {
	At             time.Time
	Demand, Wanted float64
}

// tableRows is how many rows a table beside a chart has, about.
const tableRows = 12

// drawFan draws what was recorded of a chunk and what is expected.
func (c *Console) drawFan(ctx context.Context, pool *v1alpha1.WarmPool, chunk *chunkView) error {
	seen, err := c.outlooks.of(ctx, pool, chunk.Name)
	if err != nil {
		return err
	}
	if chunk.Told = seen.left; len(seen.series.Values) == 0 {
		chunk.Told += fmt.Sprintf(" This chunk has no DemandHistory yet. A reserver that reads demand from a Prometheus writes none: "+
			"forewarmctl forecast --pool %s --chunk %s --prometheus URL --chart fan.svg draws what would be here.", pool.Name, chunk.Name)
		return nil
	}
	chunk.FanRows = fanRows(seen)
	last := chunk.FanRows[len(chunk.FanRows)-1]
	id := "fan-" + chunk.Name
	svg, err := chart.Fan{History: seen.series, Forecast: seen.forecast, From: seen.from}.Embed(id,
		fmt.Sprintf("Demand of %s, chunk %s, and its forecast", pool.Name, chunk.Name),
		fmt.Sprintf("Demand until %s and the forecast until %s, when it is expected to be %s at most in half of all cases and %s in nine of ten. The table below has the numbers.",
			clockTime(seen.from), clockTime(last.At), short(last.P50), short(last.P90)))
	chunk.Fan = template.HTML(svg) //nolint:gosec // the chart escapes its texts
	return err
}

// fanRows are some of the times of a forecast.
func fanRows(seen outlook) []fanRow {
	column := func(level float64) int {
		return slices.IndexFunc(seen.forecast.Levels, func(l float64) bool { return math.Abs(l-level) < 1e-9 })
	}
	low, half, high := column(0.1), column(0.5), column(0.9)
	at := func(row forecast.Quantiles, i int) float64 {
		if i < 0 {
			return math.NaN()
		}
		return row[i]
	}
	var rows []fanRow
	stride := max(1, len(seen.forecast.Horizon)/tableRows)
	for i := stride - 1; i < len(seen.forecast.Horizon); i += stride {
		row := seen.forecast.Quantiles[i]
		rows = append(rows, fanRow{seen.from.Add(seen.forecast.Horizon[i]), at(row, low), at(row, half), at(row, high)})
	}
	return rows
}

// drawSteps draws the placeholders that were wanted, and the demand beside them, as decisions tell.
func (c *Console) drawSteps(pool *v1alpha1.WarmPool, decisions []v1alpha1.Decision, chunk *chunkView) error {
	wanted, demand := chart.Line{Name: "placeholders wanted"}, chart.Line{Name: "demand"}
	for _, d := range slices.Backward(decisions) {
		for _, decided := range d.Spec.Chunks {
			if decided.Name != chunk.Name {
				continue
			}
			value, err := strconv.ParseFloat(decided.Demand, 64)
			if err != nil {
				continue
			}
			wanted.Points = append(wanted.Points, chart.Point{At: d.Spec.At.Time, Value: float64(decided.Wanted)})
			demand.Points = append(demand.Points, chart.Point{At: d.Spec.At.Time, Value: value})
			chunk.Steps = append(chunk.Steps, stepRow{d.Spec.At.Time, value, float64(decided.Wanted)})
		}
	}
	if len(wanted.Points) == 0 {
		return nil
	}
	now := c.options.Clock.Now()
	last := chunk.Steps[len(chunk.Steps)-1]
	svg, err := chart.Steps{Unit: "chunks", Lines: []chart.Line{wanted, demand}, Until: now}.Embed("steps-"+chunk.Name,
		fmt.Sprintf("Placeholders of %s, chunk %s, as decided", pool.Name, chunk.Name),
		fmt.Sprintf("Placeholders that were wanted, and the demand of pods then, from %s until %s; at last %s wanted at a demand of %s. The table below has the last numbers.",
			clockTime(wanted.Points[0].At), clockTime(now), short(last.Wanted), short(last.Demand)))
	chunk.Placeholders = template.HTML(svg) //nolint:gosec // the chart escapes its texts
	chunk.Steps = chunk.Steps[max(0, len(chunk.Steps)-tableRows):]
	return err
}

func clockTime(at time.Time) string { return at.UTC().Format("Jan 2, 15:04 UTC") }

// short is a number with one decimal at most.
func short(value float64) string {
	if math.IsNaN(value) {
		return "unknown"
	}
	return strconv.FormatFloat(math.Round(10*value)/10, 'f', -1, 64)
}

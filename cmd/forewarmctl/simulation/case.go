package simulation

import (
	"fmt"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/forecast/seriesfile"
)

const (
	// shortest is the least interval of plans that is simulated.
	shortest = 5 * time.Minute
	// history is how much of it is known to the forecast, and to the choice of policies.
	history = 4 * 7 * 24 * time.Hour
	// backtested is how far back policies are compared.
	backtested = 14 * 24 * time.Hour
	// refit is how often the model is fitted anew.
	refit = 24 * time.Hour
)

// traceFrom reads jobs or a series.
func traceFrom(path, cluster string) (simulate.Trace, error) {
	text, err := seriesfile.ReadText(path)
	if err != nil {
		return simulate.Trace{}, err
	}
	if first, _, _ := strings.Cut(text, "\n"); !strings.Contains(first, "num_gpus") {
		file, err := seriesfile.Read(strings.NewReader(text), 0)
		return simulate.FromSeries(file.Series, 1), err
	}
	rows, err := simulate.ReadJobs(strings.NewReader(text))
	if err != nil {
		return simulate.Trace{}, err
	}
	var kept []simulate.Row
	for _, row := range rows {
		if row.GPUs > 0 && row.Run > 0 && (cluster == "" || row.Cluster == cluster) {
			kept = append(kept, row)
		}
	}
	if len(kept) == 0 {
		return simulate.Trace{}, fmt.Errorf("no job of cluster %q asks for anything: leave --cluster out, or name one of the column cluster", cluster)
	}
	return simulate.FromRows(kept), nil
}

// newCase is the pool on the trace.
func (s simulation) newCase(pool *v1alpha1.WarmPool, trace simulate.Trace) (simulate.Case, error) {
	o, err := s.limitsOf(pool)
	if err != nil {
		return simulate.Case{}, err
	}
	o.Trace = trace
	o.Score = (trace.Length - s.scored).Truncate(o.Limits.Interval)
	if o.Score < refit {
		return simulate.Case{}, fmt.Errorf("the trace is %v long: with --scored %v too little is left to set the arms by; leave a day at least", trace.Length, s.scored)
	}
	o.From, o.Until = o.Score-time.Hour, o.Score+s.scored
	c := simulate.Case{Options: o, Backtest: backtested, Chooses: simulate.Chooses{Kept: history}}
	for _, stock := range trace.Demand(o.Pool, o.Limits.Interval) {
		c.Foresights = append(c.Foresights, simulate.Foresight{Series: stock.Highest, Now: stock.Now})
	}
	return c, nil
}

// foresee forecasts each chunk's demand over what is scored and what is compared before it.
func foresee(c *simulate.Case, progress func(chunk string, done, all int)) error {
	for i, known := range c.Foresights {
		chunk := c.Pool.Chunks[i].Name
		f, err := simulate.Foresee(simulate.Stock{Highest: known.Series, Now: known.Now}, simulate.ForesightOptions{
			Refit: refit, Seasons: []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}, History: history,
			First: c.FirstForeseen(), Until: int(c.Until/c.Limits.Interval) + 1,
			Plans:    []capacity.Limits{c.Limits},
			Progress: func(done, all int) { progress(chunk, done, all) },
		})
		if err != nil {
			return fmt.Errorf("chunk %s: %w", chunk, err)
		}
		c.Foresights[i] = f
	}
	return nil
}

// drawTimeline plots demand, capacity and what waits over the scored time.
func drawTimeline(path string, c simulate.Case, timeline []simulate.Moment) error {
	var demand, offered, warmed, waiting plotter.XYs
	for _, m := range timeline {
		at := float64(c.Trace.Start.Add(m.At).Unix())
		demand = append(demand, plotter.XY{X: at, Y: float64(m.Demand)})
		offered = append(offered, plotter.XY{X: at, Y: float64(m.Capacity)})
		warmed = append(warmed, plotter.XY{X: at, Y: float64(m.Warmed)})
		waiting = append(waiting, plotter.XY{X: at, Y: float64(m.Waiting)})
	}
	p := plot.New()
	p.Title.Text = "Forewarm, simulated"
	p.Y.Label.Text = "units of the resource"
	p.Y.Min = 0
	p.X.Tick.Marker = plot.TimeTicks{Format: "01-02\n15:04"}
	if err := plotutil.AddLines(p, "demand", demand, "capacity", offered, "placeholders", warmed, "waiting", waiting); err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	if err := p.Save(14*vg.Inch, 5*vg.Inch, path); err != nil {
		return fmt.Errorf("write --plot: %w", err)
	}
	return nil
}

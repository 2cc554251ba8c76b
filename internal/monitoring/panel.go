package monitoring

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// query is one PromQL expression, and what its series are called.
type query struct{ expr, legend string }

// panel is what a person looks at.
type panel struct {
	title string
	// says what is to be seen, and when it is bad.
	says string
	unit string
	// now is true for one number instead of lines over time.
	now bool
	// good is from where on such a number is green; below it is orange. Zero where none is better than another.
	good float64
	// calm is true where lines stay at zero as long as all is well: the axis then ends at one.
	calm bool
	// wide is how many of the 24 columns it takes.
	wide    uint32
	queries []query
}

// row is a heading and what is below it.
type row struct {
	title  string
	panels []panel
}

// board is a dashboard.
type board struct {
	uid, title, says string
	// pools is true where a person chooses among WarmPools.
	pools bool
	rows  []row
}

// source is the Prometheus that a person chooses.
var source = common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")}

// build makes the dashboard, in the classic format.
//
//nolint:staticcheck // See dashboards.
func (b board) build() (dashboard.Dashboard, error) {
	builder := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Description(b.says).Tags([]string{"forewarm"}).
		Refresh("1m").Time("now-24h", "now").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"))
	if b.pools {
		builder = builder.WithVariable(dashboard.NewQueryVariableBuilder("pool").Label("WarmPool").
			Query(dashboard.StringOrMap{String: new("label_values(forewarm_capacity_wanted_placeholder_pods, pool)")}).
			Datasource(source).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{
				Selected: new(true),
				Text:     dashboard.StringOrArrayOfString{ArrayOfString: []string{"All"}},
				Value:    dashboard.StringOrArrayOfString{ArrayOfString: []string{"$__all"}},
			}))
	}
	id := uint32(0)
	for _, r := range b.rows {
		id++
		builder = builder.WithRow(dashboard.NewRowBuilder(r.title).Id(id))
		for _, p := range r.panels {
			id++
			builder = builder.WithPanel(p.build(id))
		}
	}
	return builder.Build()
}

func (p panel) build(id uint32) cog.Builder[dashboard.Panel] {
	if p.now {
		made := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Unit(p.unit).Datasource(source).Span(p.wide).Height(4).
			Thresholds(p.thresholds()).GraphMode(common.BigValueGraphModeNone).ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"}))
		for i, q := range p.queries {
			made = made.WithTarget(q.build(i).Instant())
		}
		return made
	}
	made := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.says).Unit(p.unit).Datasource(source).Span(p.wide).Height(8).
		Min(0).LineWidth(1).FillOpacity(8).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)).
		WithOverride(atZero, []dashboard.DynamicConfigValue{{Id: "custom.hideFrom", Value: common.HideSeriesConfig{Legend: true}}})
	if p.calm {
		made = made.AxisSoftMax(1)
	}
	for i, q := range p.queries {
		made = made.WithTarget(q.build(i).Range())
	}
	return made
}

// atZero are the lines that stay at zero: legends of all that could fail would hide what did.
var atZero = dashboard.MatcherConfig{Id: "byValue", Options: map[string]any{"reducer": "max", "op": "lte", "value": 0}}

// thresholds are said, since Grafana's own turn red from 80 on.
func (p panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "blue"}}
	if p.good > 0 {
		steps = []dashboard.Threshold{{Color: "orange"}, {Value: &p.good, Color: "green"}}
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

// build makes the i-th query of a panel.
func (q query) build(i int) *prometheus.DataqueryBuilder {
	return prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Expr(q.expr).LegendFormat(q.legend)
}

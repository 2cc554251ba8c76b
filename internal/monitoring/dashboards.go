package monitoring

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// dashboards are in the classic format.
//
//nolint:staticcheck // Older Grafanas, and the sidecars that provision dashboards, read no other.
func dashboards() ([]dashboard.Dashboard, error) {
	var built []dashboard.Dashboard
	for _, b := range []board{warmCapacity(), admission()} {
		made, err := b.build()
		if err != nil {
			return nil, err
		}
		built = append(built, made)
	}
	return built, nil
}

// warmCapacity is for those who own pools, and for those who pay.
func warmCapacity() board {
	return board{
		uid: "forewarm-capacity", title: "Forewarm / Warm capacity", pools: true,
		says: "Demand, what is kept warm for it, what that costs and whom it spares a wait, and how good the forecasts are.",
		rows: []row{
			{"At a glance", []panel{
				{
					title: "Ready", unit: units.PercentUnit, now: true, good: 1, wide: 6, says: "The share of the wanted capacity that stands ready. Below 100 % nodes are on their way, or do not come.",
					queries: []query{{`clamp_max(sum(forewarm_capacity_placeholder_pods{state="reserved", pool=~"$pool"}) / (sum(forewarm_capacity_wanted_placeholder_pods{pool=~"$pool"}) > 0), 1) or vector(1)`, "ready"}},
				},
				{
					title: "Waits avoided", unit: units.Short, now: true, wide: 6, says: "Pods that were bound to where a placeholder had stood, over the time range.",
					queries: []query{{`round(sum(increase(forewarm_capacity_waits_avoided_total{pool=~"$pool"}[$__range])))`, "pods"}},
				},
				{
					title: "Time not waited", unit: units.Seconds, now: true, wide: 6, says: "The waits for a node that these pods were spared, by the pools' lead times, over the time range.",
					queries: []query{{`sum(increase(forewarm_capacity_wait_avoided_seconds_total{pool=~"$pool"}[$__range]))`, "time"}},
				},
				{
					title: "Idle cost", unit: units.Short, now: true, wide: 6, says: "What placeholders have cost by idleCostPerHour, over the time range.",
					queries: []query{{`sum(increase(forewarm_capacity_idle_cost_total{pool=~"$pool"}[$__range]))`, "cost"}},
				},
			}},
			demand(), showback(), forecasts(), loop(),
		},
	}
}

func demand() row {
	return row{"Demand and capacity", []panel{
		{
			title: "Demand and what is kept warm", unit: units.Short, wide: 12, says: "In chunks: what real pods ask for, and how many placeholders are wanted beyond it.",
			queries: []query{
				{`max by (pool, chunk) (forewarm_capacity_demand_chunks{pool=~"$pool"})`, "{{pool}}/{{chunk}} demand"},
				{`max by (pool, chunk) (forewarm_capacity_wanted_placeholder_pods{pool=~"$pool"})`, "{{pool}}/{{chunk}} wanted"},
			},
		},
		{
			title: "Placeholders", unit: units.Short, wide: 12, says: "Reserved ones hold capacity, pending ones wait for nodes, gated ones cost nothing.",
			queries: []query{{`max by (pool, chunk, state) (forewarm_capacity_placeholder_pods{pool=~"$pool"})`, "{{pool}}/{{chunk}} {{state}}"}},
		},
		{
			title: "Takeovers", unit: units.Short, wide: 8, says: "Placeholders that gave way to other pods, per hour. Those that the extender deletes ahead of a burst are told apart, over all pools.",
			queries: []query{
				{`sum by (pool, chunk) (rate(forewarm_capacity_takeovers_total{pool=~"$pool"}[$__rate_interval])) * 3600`, "{{pool}}/{{chunk}}"},
				{`sum(rate(forewarm_extender_placeholders_cleared_total{result="ok"}[$__rate_interval])) * 3600`, "ahead of bursts, all pools"},
			},
		},
		{
			title: "Lead time", unit: units.Seconds, wide: 8, says: "From asking for a node until a pod runs on it, as plans use it.",
			queries: []query{{`max by (pool) (forewarm_capacity_lead_time_seconds{pool=~"$pool"})`, "{{pool}}"}},
		},
		{
			title: "Nodes above a ceiling", unit: units.Short, wide: 8, calm: true, says: "Nodes beyond what the ceilings of a pool allow: anything but zero was bought by somebody else, or before the ceiling.",
			queries: []query{{`max by (pool) (forewarm_capacity_above_ceiling_nodes{pool=~"$pool"})`, "{{pool}}"}},
		},
		{
			title: "Pools without nodes", unit: units.Short, wide: 12, calm: true, says: "1 while no node of the pool comes, and its fallbacks keep what is missing.",
			queries: []query{{`max by (pool) (forewarm_capacity_stock_out{pool=~"$pool"})`, "{{pool}}"}},
		},
		{
			title: "Evictions", unit: units.Short, wide: 12, calm: true, says: "Pods evicted from nodes about to be taken away, per hour; blocked ones are tried each second.",
			queries: []query{{`sum by (result) (rate(forewarm_capacity_evictions_total[$__rate_interval])) * 3600`, "{{result}}"}},
		},
	}}
}

func showback() row {
	return row{"Showback", []panel{
		{
			title: "Idle cost per day", unit: units.Short, wide: 8, says: "By who asked for the pool's resource of late.",
			queries: []query{{`sum by (owner) (rate(forewarm_capacity_idle_cost_total{pool=~"$pool"}[$__rate_interval])) * 86400`, "{{owner}}"}},
		},
		{
			title: "Idle", unit: units.Short, wide: 8, says: "What placeholders hold: units of the pool's resource (GPUs, cores, bytes) by owner, and chunks.",
			queries: []query{
				{`sum by (owner, resource) (rate(forewarm_capacity_idle_resource_seconds_total{pool=~"$pool"}[$__rate_interval]))`, "{{owner}} {{resource}}"},
				{`sum by (pool, chunk) (rate(forewarm_capacity_idle_chunk_seconds_total{pool=~"$pool"}[$__rate_interval]))`, "{{pool}}/{{chunk}}"},
			},
		},
		{
			title: "Waits avoided per hour", unit: units.Short, wide: 8, says: "Pods that took a placeholder's room, by their owner.",
			queries: []query{{`sum by (owner) (rate(forewarm_capacity_waits_avoided_total{pool=~"$pool"}[$__rate_interval])) * 3600`, "{{owner}}"}},
		},
	}}
}

func forecasts() row {
	return row{"Forecasts", []panel{
		{
			title: "Coverage", unit: units.PercentUnit, wide: 6, says: "Share of the last day's demand within the band from 0.1 to 0.9; 80 % is right.",
			queries: []query{{`max by (pool, chunk) (forewarm_forecast_coverage_ratio{pool=~"$pool"})`, "{{pool}}/{{chunk}}"}},
		},
		{
			title: "Loss", unit: units.Short, wide: 6, says: "Mean quantile loss of the last day, in chunks: less is better.",
			queries: []query{{`max by (pool, chunk) (forewarm_forecast_loss_chunks{pool=~"$pool"})`, "{{pool}}/{{chunk}}"}},
		},
		{
			title: "Age", unit: units.Seconds, wide: 6, says: "Age of the last observation that a forecast is made from.",
			queries: []query{{`max by (pool, chunk) (forewarm_forecast_age_seconds{pool=~"$pool"})`, "{{pool}}/{{chunk}}"}},
		},
		{
			title: "Versions and challengers", unit: units.Short, wide: 6, says: "The version in use, whether it errs more than its score says (1), and what became of challengers, in sum.",
			queries: []query{
				{`max by (pool, chunk) (forewarm_forecast_version{pool=~"$pool"})`, "{{pool}}/{{chunk}} version"},
				{`max by (pool, chunk) (forewarm_forecast_degraded{pool=~"$pool"})`, "{{pool}}/{{chunk}} degraded"},
				{`sum by (outcome) (forewarm_forecast_retrainings_total)`, "{{outcome}}"},
			},
		},
	}}
}

func loop() row {
	return row{"The loop", []panel{
		{
			title: "Steps", unit: units.Short, wide: 6, says: "Steps of plans that were taken, per minute.",
			queries: []query{{`sum by (action, reason) (rate(forewarm_capacity_plan_steps_total[$__rate_interval])) * 60`, "{{action}} {{reason}}"}},
		},
		{
			title: "Errors", unit: units.Short, wide: 6, calm: true, says: "Acts of plans that failed, per minute. Nothing is deleted on an error.",
			queries: []query{{`sum by (reason) (rate(forewarm_capacity_plan_errors_total[$__rate_interval])) * 60`, "{{reason}}"}},
		},
		{
			title: "Time per pool", unit: units.Seconds, wide: 6, says: "To observe, decide, apply and report one pool.",
			queries: percentiles("forewarm_capacity_cycle_duration_seconds", ""),
		},
		{
			title: "Time to forecast and to fit", unit: units.Seconds, wide: 6, says: "The mean of one chunk. Fits run beside the loop.",
			queries: []query{
				{`sum(forewarm_forecast_duration_seconds_sum) / sum(forewarm_forecast_duration_seconds_count)`, "forecast"},
				{`sum(forewarm_forecast_fit_duration_seconds_sum) / sum(forewarm_forecast_fit_duration_seconds_count)`, "fit"},
			},
		},
	}}
}

// admission is for those who run the control plane.
func admission() board {
	return board{
		uid: "forewarm-control-plane", title: "Forewarm / Admission and scheduling",
		says: "What the API server and the scheduler ask Forewarm, how fast it answers, and what it could not decide.",
		rows: []row{
			{"Admission", []panel{
				{
					title: "Reviews", unit: units.RequestsPerSecond, wide: 12, says: "By verdict and reason. Errors are left to failurePolicy. What the API server's own policies refuse is not among it.",
					queries: []query{{`sum by (verdict, reason) (rate(forewarm_webhook_decisions_total[$__rate_interval]))`, "{{verdict}} {{reason}}"}},
				},
				{
					title: "Time per review", unit: units.Seconds, wide: 6, says: "The API server waits 2 s at most.",
					queries: percentiles("forewarm_webhook_decision_duration_seconds", ""),
				},
				{
					title: "Above a ceiling", unit: units.Short, wide: 6, calm: true, says: "What stands above its ceiling or a total: from before it, or written while no webhook answered.",
					queries: []query{
						{`max by (measure) (forewarm_webhook_above_ceiling_objects)`, "objects, {{measure}}"},
						{`max by (measure) (forewarm_webhook_above_total_holders)`, "holders of totals, {{measure}}"},
					},
				},
			}},
			{"Scheduling", []panel{
				{
					title: "Calls", unit: units.RequestsPerSecond, wide: 8, says: "Of the scheduler, by result. All but ok leave it to go on alone.",
					queries: []query{{`sum by (verb, result) (rate(forewarm_extender_requests_total[$__rate_interval]))`, "{{verb}} {{result}}"}},
				},
				{
					title: "Time per call", unit: units.Seconds, wide: 8, says: "The scheduler waits for it with one pod at a time.",
					queries: percentiles("forewarm_extender_request_duration_seconds", "verb"),
				},
				{
					title: "Holds, repairs and other schedulers", unit: units.Short, wide: 8, says: "Pods that are expected on a node, what the audit has put right, pods that were touched so that they are tried again, placeholders that were deleted for pods that were not, and for bursts ahead of the scheduler, and how often another scheduler took over.",
					queries: []query{
						{`sum(forewarm_extender_tentative_holds)`, "holds"},
						{`sum by (kind) (forewarm_extender_repairs_total)`, "repaired, {{kind}}"},
						{`sum by (result) (forewarm_extender_pokes_total)`, "touched, {{result}}"},
						{`sum by (result) (forewarm_extender_placeholders_deleted_total)`, "placeholders deleted, {{result}}"},
						{`sum by (result) (forewarm_extender_placeholders_cleared_total)`, "placeholders cleared ahead, {{result}}"},
						{`sum(forewarm_extender_scheduler_changes_total)`, "schedulers changed"},
					},
				},
			}},
			people(),
			{"Processes", []panel{
				{
					title: "Memory", unit: units.BytesIEC, wide: 12, says: "Resident memory of each process of Forewarm.",
					queries: []query{{`process_resident_memory_bytes and on (job, instance) ` + ours, "{{job}} {{instance}}"}},
				},
				{
					title: "CPU", unit: units.Short, wide: 12, says: "Cores that each process uses.",
					queries: []query{{`rate(process_cpu_seconds_total[$__rate_interval]) and on (job, instance) ` + ours, "{{job}} {{instance}}"}},
				},
			}},
		},
	}
}

// people is about the console.
func people() row {
	return row{"Console", []panel{
		{
			title: "People", unit: units.Short, wide: 8, says: "Who is signed in to the console, and the pages that are told of changes.",
			queries: []query{
				{`sum(forewarm_console_sessions)`, "signed in"},
				{`sum(forewarm_console_live_pages)`, "live pages"},
			},
		},
		{
			title: "Sign-ins", unit: units.Short, wide: 8, says: "Attempts per hour, by result: many that are Unknown or Refused are somebody who tries tokens.",
			queries: []query{{`sum by (result) (rate(forewarm_console_sign_ins_total[$__rate_interval])) * 3600`, "{{result}}"}},
		},
		{
			title: "Plans approved and rejected", unit: units.Short, wide: 8, says: "In the console, over the time range.",
			queries: []query{{`sum by (action, result) (increase(forewarm_console_plan_writes_total[$__range]))`, "{{action}} {{result}}"}},
		},
	}}
}

// ours has a series per process of Forewarm.
const ours = `{__name__=~"forewarm_(webhook_decision|capacity_cycle)_duration_seconds_count|forewarm_extender_tentative_holds|forewarm_console_sessions"}`

// percentiles are the median and the 99th of a histogram, by a label or none.
func percentiles(histogram, by string) []query {
	labels, legend := "le", ""
	if by != "" {
		labels, legend = "le, "+by, " {{"+by+"}}"
	}
	of := func(quantile string) string {
		return `histogram_quantile(` + quantile + `, sum by (` + labels + `) (rate(` + histogram + `_bucket[$__rate_interval])))`
	}
	return []query{{of("0.5"), "p50" + legend}, {of("0.99"), "p99" + legend}}
}

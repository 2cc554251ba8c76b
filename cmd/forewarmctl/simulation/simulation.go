// Package simulation is the command that replays a trace on a simulated pool.
package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/simulate"
	"forewarm.dev/capacity/spec"
	"forewarm.dev/cmd/forewarmctl/output"
	"forewarm.dev/cmd/forewarmctl/progress"
)

// simulation is what the user asked for.
type simulation struct {
	trace, cluster, pool   string
	autoscaler             string
	prices                 string
	instanceType           string
	capacityType           string
	lead, scored, emptyFor time.Duration
	nodeSize, maxNodes     int
	seed                   uint64
	plot                   string
	format                 output.Format
}

// Command is forewarmctl simulate.
func Command() *cobra.Command {
	var s simulation
	c := &cobra.Command{
		Use:   "simulate --trace FILE --pool FILE",
		Short: "Replay a trace on a simulated pool: waits, idle and cost of Forewarm and of what there is without it",
		Long: `Replay a trace of jobs or a demand series on a simulated pool, event by event, through the same
plan that the reserver makes, and compare the autoscaler alone, a constant pool, static headroom,
a floor after Crane, Forewarm, and an oracle. Constant pool and headroom are set on what is before
the scored part. Nothing of a cluster is read or changed.

Karpenter's timing is modelled, or a stand-in has that of Cluster Autoscaler.

A trace is CSV with the columns timestamp, duration, num_gpus and cluster, a job per row; or a
demand series, as forewarmctl history export writes it, in units of the pool's resource. Either may
be gzipped. The pool is a WarmPool. Forecasts are those of
Auto, fitted anew each day and asked at each interval, of at least 5 minutes here.

What an arm costs is what its nodes are billed, at a price from a file such as the reserver reads, which
then counts instead of idleCostPerHour in sizing too; without a file, at what the pool's
idleCostPerHour comes to for a node.`,
		Example: `  forewarmctl simulate --trace jobs.csv.gz --pool manifests/samples/warmpool.yaml --lead 7m
  forewarmctl simulate --trace demand.csv --pool pool.yaml --autoscaler cluster-autoscaler --plot week.svg
  forewarmctl simulate --trace jobs.csv --pool pool.yaml --prices prices.yaml --capacity-type spot
  forewarmctl simulate --trace jobs.csv --pool pool.yaml --scored 48h -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c.Context(), c.OutOrStdout()) },
	}
	f := c.Flags()
	f.StringVar(&s.trace, "trace", "", "file of jobs or of a demand series")
	f.StringVar(&s.pool, "pool", "", "file with a WarmPool")
	f.StringVar(&s.cluster, "cluster", "", "cluster of a trace of jobs; empty means all jobs")
	f.StringVar(&s.autoscaler, "autoscaler", "karpenter", "karpenter, or cluster-autoscaler for a stand-in with its timing")
	f.DurationVar(&s.lead, "lead", 0, "lead time of nodes; needed where the pool's leadTime is Auto")
	f.DurationVar(&s.emptyFor, "consolidate-after", 10*time.Minute, "how long Karpenter keeps an empty node")
	f.DurationVar(&s.scored, "scored", 7*24*time.Hour, "how much of the end of the trace is scored")
	f.IntVar(&s.nodeSize, "node-size", 0, "units of the resource that a node has (default: those of the largest chunk)")
	f.IntVar(&s.maxNodes, "max-nodes", 0, "most nodes that the autoscaler buys; zero means any number")
	f.StringVar(&s.prices, "prices", "", "file of prices of nodes, as in reserver.prices.file")
	f.StringVar(&s.instanceType, "instance-type", "", "instance type of the nodes in that file (default: that of the pool's selector, or the only one)")
	f.StringVar(&s.capacityType, "capacity-type", "", "spot, on-demand or reserved (default: that of the pool's selector, else on-demand)")
	f.Uint64Var(&s.seed, "seed", 1, "seed of what is drawn")
	output.Add(c, &s.format)
	f.StringVar(&s.plot, "plot", "", "write a plot of demand, capacity and waiting pods under Forewarm to this file, .svg or .png")
	return c
}

func (s *simulation) run(ctx context.Context, out io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	pool, err := poolFrom(s.pool)
	if err != nil {
		return err
	}
	trace, err := traceFrom(s.trace, s.cluster)
	if err != nil {
		return fmt.Errorf("%s: %w", s.trace, err)
	}
	c, err := s.newCase(pool, trace)
	if err != nil {
		return err
	}
	node, err := s.priced(pool, c.Limits.Chunks)
	if err != nil {
		return err
	}
	if err := foresee(&c, func(chunk string, done, all int) {
		progress.At(ctx, "forecasting %s: %d of %d intervals", chunk, done, all)
	}); err != nil {
		return err
	}
	var rows []armRow
	for _, arm := range simulate.Arms() {
		progress.At(ctx, "playing %s", arm)
		row, err := s.play(c, arm, node)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return s.print(out, rows, node)
}

// play runs one arm, and plots Forewarm's where that is asked for.
func (s *simulation) play(c simulate.Case, arm simulate.Arm, node nodePrice) (armRow, error) {
	options, chosen := c.Of(arm)
	options.Record = arm == simulate.Forewarm && s.plot != ""
	outcome, err := simulate.Run(options)
	if err == nil && options.Record {
		err = drawTimeline(s.plot, c, outcome.Timeline)
	}
	row := rowOf(arm, outcome, chosen)
	row.bill(outcome, node, c.Pool.NodeGPUs)
	return row, err
}

func (s *simulation) check() error {
	switch {
	case s.trace == "" || s.pool == "":
		return errors.New("--trace and --pool name the files to read: give both")
	case !slices.Contains([]string{"karpenter", "cluster-autoscaler"}, s.autoscaler):
		return fmt.Errorf("--autoscaler %q: write karpenter or cluster-autoscaler", s.autoscaler)
	case !slices.Contains([]string{"", ".svg", ".png"}, filepath.Ext(s.plot)):
		return fmt.Errorf("--plot %q: give a file that ends in .svg or .png", s.plot)
	case s.scored < time.Hour:
		return fmt.Errorf("--scored %v: score an hour at least", s.scored)
	case min(s.lead, s.emptyFor) < 0 || min(s.nodeSize, s.maxNodes) < 0:
		return errors.New("--lead, --consolidate-after, --node-size and --max-nodes must not be below zero")
	}
	return s.checkOffer()
}

// poolFrom reads a WarmPool, and refuses fields that there are not.
func poolFrom(path string) (*v1alpha1.WarmPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var pool v1alpha1.WarmPool
	if err := yaml.UnmarshalStrict(text, &pool); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if pool.Kind != "WarmPool" || len(pool.Spec.Chunks) == 0 || pool.Spec.Demand.Resource == "" {
		return nil, fmt.Errorf("%s: kind is %q; it must be one WarmPool with spec.demand.resource and spec.chunks", path, pool.Kind)
	}
	for i, chunk := range pool.Spec.Chunks {
		if size := chunk.Requests[pool.Spec.Demand.Resource]; size.Value() < 1 {
			return nil, fmt.Errorf("%s: spec.chunks[%d].requests[%s] is missing: every chunk must request the resource", path, i, pool.Spec.Demand.Resource)
		}
	}
	return &pool, nil
}

// limitsOf are the limits of the pool with the lead time that is simulated.
func (s *simulation) limitsOf(pool *v1alpha1.WarmPool) (simulate.Options, error) {
	lead := s.lead
	if lead == 0 {
		var fixed bool
		if lead, fixed = pool.Spec.Sizing.LeadTime.Fixed(); !fixed {
			return simulate.Options{}, fmt.Errorf("spec.sizing.leadTime is %q: give --lead, such as 7m, for the simulation", pool.Spec.Sizing.LeadTime)
		}
	}
	limits, err := spec.Simulated(pool, lead)
	if err != nil {
		return simulate.Options{}, err
	}
	limits.Interval = max(limits.Interval, shortest)
	limits.Hold = max(limits.Hold, time.Second)
	o := simulate.Options{Limits: limits, Seed: s.seed, Pool: simulate.Pool{
		NodeGPUs: s.nodeSize, MaxNodes: s.maxNodes, Lead: simulate.Lead{P50: lead}, Autoscaler: simulate.Karpenter(s.emptyFor),
	}}
	if s.autoscaler == "cluster-autoscaler" {
		o.Pool.Autoscaler = simulate.ClusterAutoscaler()
	}
	for _, chunk := range limits.Chunks {
		size := int(chunk.Requests[pool.Spec.Demand.Resource])
		o.Pool.Chunks = append(o.Pool.Chunks, simulate.ChunkSize{Name: chunk.Name, GPUs: size})
		if s.nodeSize == 0 {
			o.Pool.NodeGPUs = max(o.Pool.NodeGPUs, size)
		}
	}
	for i, chunk := range o.Pool.Chunks {
		o.Limits.Chunks[i].PerNode = int64(o.Pool.NodeGPUs / chunk.GPUs)
		if chunk.GPUs > o.Pool.NodeGPUs {
			return o, fmt.Errorf("--node-size %d: chunk %s asks for %d and would fit no node", s.nodeSize, chunk.Name, chunk.GPUs)
		}
	}
	return o, nil
}

// armRow is one arm of the output. Times are seconds, shares are of one, costs are in the currency of the prices.
type armRow struct {
	Arm             simulate.Arm    `json:"arm"`
	Jobs            int             `json:"jobs"`
	WaitP50         float64         `json:"wait_p50_s"`
	WaitP95         float64         `json:"wait_p95_s"`
	WaitMax         float64         `json:"wait_max_s"`
	HitRate         float64         `json:"hit_rate"`
	IdleShare       float64         `json:"idle_share"`
	Hours           float64         `json:"offered_hours"`
	IdleHours       float64         `json:"idle_hours"`
	BilledNodeHours float64         `json:"billed_node_hours"`
	Cost            float64         `json:"cost"`
	IdleCost        float64         `json:"idle_cost"`
	Bought          int             `json:"nodes_bought"`
	MostNodes       int             `json:"most_nodes"`
	Takeovers       int             `json:"takeovers"`
	Policies        simulate.Chosen `json:"policy_intervals,omitempty"`
}

func rowOf(arm simulate.Arm, o simulate.Outcome, chosen simulate.Chosen) armRow {
	return armRow{
		Arm: arm, Jobs: len(o.Waits), Policies: chosen,
		WaitP50: o.Wait(0.5).Seconds(), WaitP95: o.Wait(0.95).Seconds(), WaitMax: o.Wait(1).Seconds(),
		HitRate: o.HitRate(), IdleShare: o.IdleShare(), Hours: o.GPUHours, IdleHours: o.IdleGPUHours(),
		BilledNodeHours: o.BilledNodeHours, Bought: o.Bought, MostNodes: o.MostNodes, Takeovers: o.Takeovers,
	}
}

func (s *simulation) print(out io.Writer, rows []armRow, node nodePrice) error {
	return s.format.Print(out, rows, func(p *output.Page) {
		table := output.NewRows("Arm", "Jobs", "Wait p50", "p95", "Max", "Found ready", "Idle ÷ demand", "Cost", "+Idle cost", "+Offered h", "+Idle h", "+Node h billed", "Bought", "Most", "Takeovers", "+Forecast used")
		for _, r := range rows {
			used := ""
			if all := r.Policies.Total(); all > 0 {
				used = fmt.Sprintf("%.0f %%", 100*float64(r.Policies["Forecast"])/float64(all))
			}
			table.Add(output.Plain, r.Arm, r.Jobs, seconds(r.WaitP50), seconds(r.WaitP95), seconds(r.WaitMax), fmt.Sprintf("%.1f %%", 100*r.HitRate), fmt.Sprintf("%.3f", r.IdleShare),
				hundredth(r.Cost), hundredth(r.IdleCost),
				tenth(r.Hours), tenth(r.IdleHours), tenth(r.BilledNodeHours), r.Bought, r.MostNodes, r.Takeovers, used)
		}
		p.Table(table, "")
		p.Line(output.Plain, "%s", node)
		if s.autoscaler == "cluster-autoscaler" {
			p.Line(output.Plain, "The autoscaler is a stand-in with Cluster Autoscaler's timing.")
		}
	})
}

func seconds(value float64) string { return fmt.Sprintf("%.0f s", value) }

func hundredth(value float64) string { return fmt.Sprintf("%.2f", value) }

func tenth(value float64) string { return fmt.Sprintf("%.1f", value) }

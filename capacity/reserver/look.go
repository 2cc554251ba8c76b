package reserver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/approval"
	"forewarm.dev/capacity/chooser"
	"forewarm.dev/capacity/coming"
	"forewarm.dev/capacity/declared"
	"forewarm.dev/capacity/placeholder"
	"forewarm.dev/capacity/policy"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/replay"
	"forewarm.dev/capacity/room"
	"forewarm.dev/capacity/spec"
	"forewarm.dev/capacity/supply"
	"forewarm.dev/capacity/zones"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/forecaster"
	"forewarm.dev/internal/demand"
	"forewarm.dev/internal/quantity"
)

// sight is what a plan for one pool is made of.
type sight struct {
	at        time.Time
	demand    capacity.Demand
	state     capacity.State
	limits    capacity.Limits
	forecasts []forecaster.Answer
	// peaks are the highest demands of the interval.
	peaks     []float64
	policies  []chooser.Answer
	nodes     []*corev1.Node
	zones     zones.Zones
	ceilings  []capacity.Ceiling
	verdicts  verdicts
	lead      capacity.LeadEstimate
	leadTimes capacity.LeadTimes
	idle      *v1alpha1.IdleStatus
	// prices has a row per chunk, nil where its spec says what it costs; unpriced is what could not be read.
	prices   []*v1alpha1.PriceStatus
	unpriced string
	// coming is what is known to start.
	coming coming.Future
	// supply is whether nodes come, and fallbacks are the pools that can be turned to.
	supply    supply.Tells
	fallbacks []capacity.Fallback
	said      supply.Said
	// standing are the CapacityPlans, and proposed is the one that waits for an approval.
	standing approval.Standing
	proposed *v1alpha1.CapacityPlan
	// input is what the plan was made of.
	input replay.Input
}

// look gathers the input of a plan: it records the demand, forecasts it, and counts what
// the pool has.
func (r *Reserver) look(ctx context.Context, w world, pool *v1alpha1.WarmPool, now time.Time) (sight, error) {
	seen := sight{at: now, coming: w.coming}
	var err error
	chunks, err := spec.Chunks(pool)
	if err != nil {
		return seen, err
	}
	if seen.nodes, seen.verdicts, err = judge(w, pool, chunks); err != nil {
		return seen, err
	}
	seen.lead, seen.leadTimes = placeholder.LeadTime(pool, w.placeholders[pool.Name], seen.nodes, now)
	seen.limits = spec.Limits(pool, chunks, seen.lead.Used, r.options.MaxChangesPerPlan)
	seen.limits.Frozen = seen.verdicts.frozen()
	seen.limits.Paused = r.gaveWay(pool, now)
	if seen.zones = zones.Of(pool, seen.nodes, w.nodePoolsOf(pool)); len(seen.zones.Names) > 0 {
		seen.limits.SpreadOver(seen.zones.Names, int64(pool.Spec.Nodes.Zones.MinPerZone))
	}
	r.setNodes(w, pool, &seen)
	if err := r.foresee(ctx, pool, &seen); err != nil {
		return seen, err
	}
	r.setKnown(w, pool, &seen)
	r.setSupply(ctx, w, pool, &seen)
	seen.ceilings = r.ceilings(w, pool, seen.nodes, now)
	seen.limits.NodesLeft = capacity.NodesLeft(seen.ceilings)
	if seen.idle, err = price.SetBudget(pool, w.placeholders[pool.Name], &seen.limits, now); err != nil {
		return seen, err
	}
	if err := r.setApproval(ctx, pool, &seen); err != nil {
		return seen, err
	}
	seen.state = r.stateOf(w, pool, seen.zones, now)
	seen.said.Mark(pool, w.placeholders[pool.Name], now, &seen.state)
	r.setRooms(w, pool, chunks, &seen)
	return seen, nil
}

// setRooms counts how many chunks free room takes: on nodes in use, on all, and in each zone that has a
// minimum.
func (r *Reserver) setRooms(w world, pool *v1alpha1.WarmPool, chunks []capacity.Chunk, seen *sight) {
	free := func(nodes []*corev1.Node) (all, inUse []quantity.Vector) {
		return room.Free(w.Snapshot, nodes, placeholder.Tolerations(pool), r.options.PlaceholderNamespace)
	}
	all, inUse := free(seen.nodes)
	for i, n := range capacity.FreeChunks(chunks, pool.Spec.Demand.Resource, inUse) {
		seen.state.Chunks[i].Free = n
	}
	for i, n := range capacity.FreeChunks(chunks, pool.Spec.Demand.Resource, all) {
		seen.state.Chunks[i].Room = n
	}
	if seen.limits.MinPerZone == 0 {
		return
	}
	for _, zone := range seen.limits.Zones {
		all, _ := free(seen.zones.In(zone, seen.nodes))
		for i, n := range capacity.FreeChunks(chunks, pool.Spec.Demand.Resource, all) {
			seen.state.Chunks[i].ZoneRoom = append(seen.state.Chunks[i].ZoneRoom, n)
		}
	}
}

// setApproval reads what has been approved, where something must be.
func (r *Reserver) setApproval(ctx context.Context, pool *v1alpha1.WarmPool, seen *sight) (err error) {
	if !approval.Needed(pool) {
		return nil
	}
	if seen.standing, err = r.options.Plans.Read(ctx, pool, seen.at); err == nil {
		seen.limits.Approval, err = seen.standing.Limit(pool)
	}
	return err
}

// foresee records the demand of the interval just passed, forecasts, and asks for the policies.
func (r *Reserver) foresee(ctx context.Context, pool *v1alpha1.WarmPool, seen *sight) error {
	horizon, settings := seen.limits.Horizon(), settingsOf(pool)
	at := seen.at.Truncate(pool.Spec.Forecast.Interval.Duration)
	events, err := declared.List(ctx, r.cached, pool.Name)
	if err != nil {
		return err
	}
	m := r.memoryOf(pool, seen.at)
	ended := at.After(m.sampled) // a pool in a hurry is looked at more than once in an interval
	m.sampled = at
	for i, chunk := range pool.Spec.Chunks {
		current, peak := r.tracker.take(key{pool.Name, chunk.Name}, ended)
		if err := r.options.Forecaster.Observe(ctx, settings, chunk.Name, at, peak); err != nil {
			// Recording is retried with the next sample, or an object cannot be read and is left
			// out: sizing goes on from what is known.
			r.metrics.errors.WithLabelValues("Record").Inc()
			r.log.Error(err, "Demand not recorded", "pool", pool.Name, "chunk", chunk.Name)
		}
		settings.Events = declared.Told(events, chunk.Name)
		f, err := r.options.Forecaster.Forecast(ctx, settings, chunk.Name, horizon, at)
		if err != nil {
			return fmt.Errorf("forecast chunk %s: %w", chunk.Name, err)
		}
		seen.forecasts, seen.peaks = append(seen.forecasts, f), append(seen.peaks, peak)
		history := func() forecast.Series { return r.options.Forecaster.History(settings, chunk.Name) }
		announced := declared.Of(events, chunk.Name, current, history, seen.at)
		judged := f.Forecast
		if declared.Running(announced, settings.Interval) { // that it comes was said by others than the forecast
			judged = forecast.Forecast{}
		}
		chosen, err := r.options.Chooser.Ask(chooser.Question{
			Key:   chooser.Key{Pool: pool.UID, Chunk: chunk.Name},
			By:    policy.Question{Chunk: seen.limits.Chunks[i], Limits: seen.limits, Kept: settings.History, Model: modelOf(pool), Seasons: settings.Seasons},
			Known: chooser.Known(pool, chunk.Name), Demand: peak, Forecast: judged,
			History: func() forecast.Series { return forecast.WithoutEvents(history(), settings.Events) },
		}, at)
		if err != nil {
			r.metrics.errors.WithLabelValues("Choose").Inc()
			r.log.Error(err, "Policy stays", "pool", pool.Name, "chunk", chunk.Name)
		}
		seen.policies = append(seen.policies, chosen)
		seen.demand.Chunks = append(seen.demand.Chunks, capacity.ChunkDemand{
			Now: current, Horizon: f.Horizon, Paths: f.Paths, Policy: chosen.Policy,
			Declared: announced,
		})
	}
	return nil
}

func settingsOf(pool *v1alpha1.WarmPool) forecaster.Pool {
	settings := forecaster.Pool{
		Name: pool.Name, UID: pool.UID,
		Interval: pool.Spec.Forecast.Interval.Duration,
		History:  pool.Spec.Forecast.History.Duration,
		Model:    forecast.Source(pool.Spec.Forecast.Model),
	}
	if every := pool.Spec.Forecast.RetrainEvery; every != nil {
		settings.RetrainEvery = every.Duration
	}
	for _, season := range pool.Spec.Forecast.Seasons {
		settings.Seasons = append(settings.Seasons, season.Duration)
	}
	return settings
}

// stateOf counts what the pool has of each chunk. A placeholder whose chunk is gone from the
// spec, or asks for something else or is of another tier by now, is outdated.
func (r *Reserver) stateOf(w world, pool *v1alpha1.WarmPool, in zones.Zones, now time.Time) capacity.State {
	state := capacity.State{Young: r.young(pool, now) || w.coming.Stale}
	current := map[string]bool{}
	for i := range pool.Spec.Chunks {
		chunk := &pool.Spec.Chunks[i]
		k := key{pool.Name, chunk.Name}
		row := capacity.ChunkState{Waiting: int64(w.waiting[k]), Interrupted: w.interrupted[k]}
		var held int64
		for _, pod := range w.placeholders[pool.Name] {
			if !ofChunk(pod, chunk) {
				continue
			}
			current[pod.Name] = true
			stage := w.stageOf(pool, pod, now)
			if stage == capacity.Pending || stage == capacity.Reserved {
				held++
			}
			row.Placeholders = append(row.Placeholders, capacity.Placeholder{
				Name: pod.Name, Stage: stage, Created: pod.CreationTimestamp.Time,
				Node: pod.Spec.NodeName, Zone: in.At(pool, pod), Expires: placeholder.Expires(pod),
				Companions: w.companions(pod, r.options.PlaceholderNamespace),
			})
		}
		row.Kept = r.kept(pool, chunk.Name, held, state.Young)
		state.Chunks = append(state.Chunks, row)
	}
	for _, pod := range w.placeholders[pool.Name] {
		if !current[pod.Name] {
			state.Outdated = append(state.Outdated, pod.Name)
		}
	}
	slices.Sort(state.Outdated)
	return state
}

// stageOf is how far a placeholder has come, as its node allows.
func (w world) stageOf(pool *v1alpha1.WarmPool, pod *corev1.Pod, now time.Time) capacity.Stage {
	stage, on := placeholder.StageOf(pod), w.Node(pod.Spec.NodeName)
	switch {
	case stage != capacity.Pending && stage != capacity.Reserved:
		return stage
	case w.leaving[pod.Spec.NodeName] || stage == capacity.Reserved && on != nil && demand.Broken(on, now):
		return capacity.Lost
	case placeholder.Overdue(pool, pod, now):
		return capacity.Overdue
	}
	return stage
}

// ofChunk tells whether a placeholder pod has the name, the tier and the shape of a chunk.
func ofChunk(pod *corev1.Pod, chunk *v1alpha1.Chunk) bool {
	return pod.Labels[v1alpha1.LabelChunk] == chunk.Name && len(pod.Spec.Containers) == 1 &&
		pod.Spec.PriorityClassName == v1alpha1.PlaceholderClass(chunk.Tier) &&
		maps.Equal(quantity.Of(pod.Spec.Containers[0].Resources.Requests), quantity.Of(chunk.Requests))
}

// verdicts are the conditions of a pool that do not depend on the plan.
type verdicts struct {
	// selectsNothing: no node and no node template match.
	selectsNothing bool
	// tooLarge names the chunks that fit no node of the pool.
	tooLarge []string
	// conflict names the older pool and one node that both select.
	conflictPool, conflictNode string
}

func (v verdicts) frozen() capacity.Reason {
	if v.conflictPool != "" {
		return capacity.ReasonConflict
	}
	return ""
}

func judge(w world, pool *v1alpha1.WarmPool, chunks []capacity.Chunk) ([]*corev1.Node, verdicts, error) {
	var v verdicts
	own, err := demand.Compile(pool)
	if err != nil {
		return nil, v, err
	}
	nodes := w.nodesOf(own)
	v.selectsNothing = len(nodes) == 0
	for _, template := range w.templates {
		v.selectsNothing = v.selectsNothing && !template.MayMatch(own.Nodes)
	}
	for _, chunk := range chunks {
		if len(nodes) > 0 && !fitsAny(chunk.Requests, nodes) {
			v.tooLarge = append(v.tooLarge, chunk.Name)
		}
	}
	v.conflictPool, v.conflictNode = w.conflict(pool, nodes)
	return nodes, v, nil
}

func fitsAny(requests quantity.Vector, nodes []*corev1.Node) bool {
	for _, node := range nodes {
		if requests.FitsIn(quantity.Of(node.Status.Allocatable)) {
			return true
		}
	}
	return false
}

// conflict finds an older pool that selects one of the nodes.
func (w world) conflict(pool *v1alpha1.WarmPool, nodes []*corev1.Node) (olderPool, node string) {
	for _, other := range w.pools {
		if other.Name == pool.Name {
			return "", ""
		}
		older, err := demand.Compile(other)
		if err != nil {
			continue // its own status says so
		}
		for _, n := range nodes {
			if older.Nodes.Matches(labels.Set(n.Labels)) {
				return other.Name, n.Name
			}
		}
	}
	return "", ""
}

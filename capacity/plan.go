package capacity

import (
	"cmp"
	"slices"
	"time"
)

// Plan decides what is wanted and which steps lead there. A frozen pool gets no step.
// Planning again after the steps were taken changes nothing.
func Plan(demand Demand, state State, limits Limits, now time.Time) Result {
	var result Result
	for i, chunk := range limits.Chunks {
		result.Chunks = append(result.Chunks, size(demand.Chunks[i], state.Chunks[i], chunk, limits))
	}
	shed(result.Chunks, demand, state, limits)
	nodes := int64(0)
	for i := range result.Chunks {
		result.Chunks[i].pin(state.Chunks[i], limits)
		nodes += boundByNodes(&result.Chunks[i], state.Chunks[i], less(limits.NodesLeft, nodes), ReasonMaxNodes)
	}
	divert(result.Chunks, state, limits)
	hold(result.Chunks, state, limits)
	asked := nodesFor(result.Chunks, state)
	approve(result.Chunks, state, limits)
	result.Nodes = nodesFor(result.Chunks, state)
	result.UnapprovedNodes = asked - result.Nodes
	ended := over(demand, state, limits)
	for i, chunk := range limits.Chunks {
		result.CostPerHour += float64(result.Chunks[i].stays(chunk, state.Chunks[i], ended)) * chunk.IdleCostPerHour
		result.UnapprovedCostPerHour += float64(result.Chunks[i].Unapproved) * chunk.IdleCostPerHour
	}
	if limits.Frozen == "" {
		result.Steps = steps(result.Chunks, demand, state, limits, now)
	}
	return result
}

// nodesFor is how many nodes plans ask for.
func nodesFor(plans []ChunkPlan, state State) int64 {
	nodes := int64(0)
	for i := range plans {
		nodes += boundByNodes(&plans[i], state.Chunks[i], nil, "")
	}
	return nodes
}

// steps lead from the placeholders that there are to what is wanted.
func steps(plans []ChunkPlan, demand Demand, state State, limits Limits, now time.Time) []Step {
	var creates, ungates, deletes []Step
	ended := over(demand, state, limits)
	for i, chunk := range limits.Chunks {
		stock, expiring := sortPlaceholders(state.Chunks[i].Placeholders).renew(plans[i].Wanted, limits, now)
		stock, needless := stock.protect(limits)
		deletes = append(append(deletes, drop(chunk, expiring, ReasonExpiring)...), drop(chunk, needless, ReasonSurplus)...)
		up, open := grow(stock, plans[i], chunk, spare(demand.Chunks[i], limits, plans[i].Tau)+plans[i].Unapproved)
		for k, zone := range plans[i].zones(expiring, limits) {
			if k < len(open) {
				open[k].Zone = zone
			}
		}
		if limits.Paused != "" {
			open = nil
		}
		creates, ungates = append(creates, up...), append(ungates, open...)
		deletes = append(deletes, shrink(stock, plans[i], chunk, state.Chunks[i], ended)...)
	}
	for _, name := range state.Outdated {
		deletes = append(deletes, Step{Action: Delete, Pod: name, Reason: ReasonOutdated})
	}
	return bounded(creates, ungates, deletes, limits.MaxChanges)
}

// less is a bound of which some is used up; nil stays nil.
func less(bound *int64, used int64) *int64 {
	if bound == nil {
		return nil
	}
	return new(max(*bound-used, 0))
}

// stock is the placeholders of one chunk by stage.
type stock struct {
	// gated is ordered oldest first, since age is what Cluster Autoscaler waits for.
	gated []Placeholder
	// held is the ungated ones, those to give back first in front.
	held []Placeholder
	// finished have ended, lost are on nodes that go, and overdue wait in zones that bring none.
	finished, lost, overdue []Placeholder
}

func sortPlaceholders(placeholders []Placeholder) stock {
	var s stock
	for _, p := range placeholders {
		switch p.Stage {
		case Gated:
			s.gated = append(s.gated, p)
		case Pending, Reserved:
			s.held = append(s.held, p)
		case Finished:
			s.finished = append(s.finished, p)
		case Lost:
			s.lost = append(s.lost, p)
		case Overdue:
			s.overdue = append(s.overdue, p)
		}
	}
	slices.SortFunc(s.gated, func(a, b Placeholder) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.held, func(a, b Placeholder) int {
		return cmp.Or(
			cmp.Compare(a.Stage, b.Stage), // pending ones hold nothing yet
			cmp.Compare(a.Companions, b.Companions),
			cmp.Compare(a.Node, b.Node), // one node whole, before a part of another
			b.Created.Compare(a.Created),
			cmp.Compare(a.Name, b.Name),
		)
	})
	return s
}

// renewBefore is how long before its deadline a placeholder is replaced: long enough for ten plans, of which
// each replaces a tenth.
func (l Limits) renewBefore() time.Duration { return max(time.Hour, 10*l.Interval) }

// renew takes out what ends soon, at most a tenth at a time, so that it is replaced where it is still wanted; nothing
// while none can be ungated in its place, or those that were to be are not yet.
func (s stock) renew(wanted int64, limits Limits, now time.Time) (stock, []Placeholder) {
	if limits.Paused != "" || int64(len(s.held)) < wanted {
		return s, nil
	}
	var expiring, rest []Placeholder
	by, most := now.Add(limits.renewBefore()), (len(s.held)+9)/10
	for _, p := range s.held {
		if len(expiring) < most && !p.Expires.IsZero() && !p.Expires.After(by) {
			expiring = append(expiring, p)
		} else {
			rest = append(rest, p)
		}
	}
	s.held = rest
	return s, expiring
}

// grow ungates up to the wanted number and tops the gated spare up.
func grow(s stock, plan ChunkPlan, chunk Chunk, spare int64) (creates, ungates []Step) {
	held, gated := int64(len(s.held)), int64(len(s.gated))
	open := max(plan.Wanted-held, 0)
	fromStock := min(open, gated)
	for _, p := range s.gated[:fromStock] {
		ungates = append(ungates, Step{Action: Ungate, Chunk: chunk.Name, Pod: p.Name, Reason: plan.Reason})
	}
	room := max(chunk.Max-held-gated-int64(len(s.overdue)), 0)
	fresh := min(open-fromStock, room)
	for range fresh {
		creates = append(creates, Step{Action: Create, Chunk: chunk.Name, Reason: plan.Reason})
		ungates = append(ungates, Step{Action: Ungate, Chunk: chunk.Name, Reason: plan.Reason})
	}
	for range min(max(spare-(gated-fromStock), 0), room-fresh) {
		creates = append(creates, Step{Action: Create, Chunk: chunk.Name, Reason: ReasonSpare})
	}
	return creates, ungates
}

// shrink removes placeholders on nodes that go, finished ones, those that wait for nodes which do not
// come, or which pods that wait will take, what exceeds the maximum, and a quarter of what nothing has wanted for the hold time, so that going down is
// slower than going up; whole nodes of it, where it is as much as one. Where the pool's work has
// ended, all of it goes at once.
func shrink(s stock, plan ChunkPlan, chunk Chunk, state ChunkState, ended bool) []Step {
	deletes := drop(chunk, s.lost, ReasonInterrupted)
	deletes = append(deletes, drop(chunk, s.finished, ReasonFinished)...)
	if plan.Diverted > 0 {
		none := unwantedPending(s.held, plan.Wanted)
		deletes = append(deletes, drop(chunk, s.held[:none], ReasonStockOut)...)
		s.held = s.held[none:]
	}
	bought := min(unwantedPending(s.held, plan.Wanted), max(state.Waiting, 0))
	deletes = append(deletes, drop(chunk, s.held[:bought], ReasonBought)...)
	s.held = s.held[bought:]
	held, gated := int64(len(s.held)), int64(len(s.gated))

	release := plan.release(held, chunk, state, ended)
	aboveMax := max(held-chunk.Max, 0)
	deletes = append(deletes, drop(chunk, s.held[:max(release, aboveMax)], releaseReason(aboveMax, ended))...)
	held -= max(release, aboveMax)

	surplusGated := min(max(held+gated+int64(len(s.overdue))-chunk.Max, 0), gated)
	return append(deletes, drop(chunk, s.gated[gated-surplusGated:], ReasonAboveMax)...)
}

func drop(chunk Chunk, placeholders []Placeholder, reason Reason) []Step {
	var deletes []Step
	for _, p := range placeholders {
		deletes = append(deletes, Step{Action: Delete, Chunk: chunk.Name, Pod: p.Name, Reason: reason})
	}
	return deletes
}

// unwantedPending is how many placeholders that wait for a node, and stand in front, are not wanted
// any more: the nodes on their way are for real pods that wait, or none are.
func unwantedPending(held []Placeholder, wanted int64) int64 {
	pending := slices.IndexFunc(held, func(p Placeholder) bool { return p.Stage != Pending })
	if pending < 0 {
		pending = len(held)
	}
	return max(min(int64(pending), int64(len(held))-wanted), 0)
}

// release is how many of those that are held are given back.
func (p ChunkPlan) release(held int64, chunk Chunk, state ChunkState, ended bool) int64 {
	kept := state.Kept
	if ended || p.Unkept {
		kept = 0 // nobody will come, or there is no money to keep it
	}
	unwanted := max(held-max(p.Wanted, kept), 0)
	if ended {
		return unwanted
	}
	release := (unwanted + 3) / 4
	if chunk.PerNode > 1 {
		release = min((release+chunk.PerNode-1)/chunk.PerNode*chunk.PerNode, unwanted)
	}
	return release
}

func releaseReason(aboveMax int64, ended bool) Reason {
	switch {
	case aboveMax > 0:
		return ReasonAboveMax
	case ended:
		return ReasonOver
	default:
		return ReasonSurplus
	}
}

// bounded joins the steps, each kind cut off at the most changes of one plan. A fresh
// placeholder's Ungate is kept only if its Create is.
func bounded(creates, ungates, deletes []Step, most int) []Step {
	creates = creates[:min(len(creates), most)]
	made := map[string]int{}
	for _, step := range creates {
		made[step.Chunk]++
	}
	steps := slices.Clone(deletes[:min(len(deletes), most)])
	steps = append(steps, creates...)
	opened := 0
	for _, step := range ungates {
		if step.Pod == "" {
			if made[step.Chunk] == 0 {
				continue
			}
			made[step.Chunk]--
		}
		if opened == most {
			break
		}
		opened++
		steps = append(steps, step)
	}
	return steps
}

package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"forewarm.dev/capacity"
)

// wish is what a plan wanted of each chunk.
type wish struct {
	at     time.Duration
	wanted []int64
}

// plan asks capacity.Plan what the reserver would ask it, takes the steps, and comes back on the next
// multiple of the interval.
func (w *world) plan() {
	if w.Expect != nil {
		expected, err := w.Expect(w.now, slices.Clone(w.demand))
		if err != nil {
			w.failed = err
			return
		}
		result := capacity.Plan(expected, w.state(), w.Limits, w.Trace.Start.Add(w.now))
		one := wish{at: w.now}
		for _, chunk := range result.Chunks {
			one.wanted = append(one.wanted, chunk.Wanted)
		}
		w.wishes = slices.DeleteFunc(append(w.wishes, one), func(old wish) bool { return old.at < w.now-w.Limits.HoldTime() })
		for _, step := range result.Steps {
			w.take(step)
		}
		w.dirty = true
	}
	if w.Record {
		w.record()
	}
	w.push(event{at: (w.now/w.Limits.Interval + 1) * w.Limits.Interval, kind: plan})
}

// state is what the pool has, as the reserver sees it.
func (w *world) state() capacity.State {
	state := capacity.State{Chunks: make([]capacity.ChunkState, len(w.Pool.Chunks)), Young: w.now-w.From-w.Begins < w.Limits.HoldTime()}
	w.countRooms(&state)
	for _, p := range w.warm {
		row := &state.Chunks[p.chunk]
		row.Placeholders = append(row.Placeholders, w.placeholder(p))
	}
	for _, p := range w.pending {
		if !p.gone && p.chunk >= 0 {
			state.Chunks[p.chunk].Waiting += int64(p.gpus / w.Pool.Chunks[p.chunk].GPUs)
		}
	}
	w.keepWanted(&state)
	return state
}

// keepWanted counts what was wanted within the hold time; all that are held while less than that has been seen.
func (w *world) keepWanted(state *capacity.State) {
	if state.Young {
		for _, p := range w.warm {
			if !p.gated {
				state.Chunks[p.chunk].Kept++
			}
		}
		return
	}
	for _, past := range w.wishes {
		for i, wanted := range past.wanted {
			state.Chunks[i].Kept = max(state.Chunks[i].Kept, wanted)
		}
	}
}

// placeholder is one of ours as the plan sees it.
func (w *world) placeholder(p *pod) capacity.Placeholder {
	seen := capacity.Placeholder{Name: p.name, Created: w.Trace.Start.Add(p.created), Stage: capacity.Pending}
	if p.gated {
		seen.Stage = capacity.Gated
	}
	if p.node == nil {
		return seen
	}
	seen.Stage, seen.Node = capacity.Reserved, p.node.name
	for _, other := range p.node.pods {
		switch {
		case other == p:
		case other.job != nil:
			seen.Companions += capacity.RealWeight
		default:
			seen.Companions++
		}
	}
	return seen
}

// countRooms counts free room in chunks, the largest first, as capacity.FreeChunks does.
func (w *world) countRooms(state *capacity.State) {
	order := make([]int, len(w.Pool.Chunks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(w.Pool.Chunks[b].GPUs, w.Pool.Chunks[a].GPUs) })
	for _, n := range w.nodes {
		room := w.Pool.NodeGPUs - n.used - n.held
		if !n.ready || room == 0 {
			continue
		}
		for _, i := range order {
			count := int64(room / w.Pool.Chunks[i].GPUs)
			room -= int(count) * w.Pool.Chunks[i].GPUs
			state.Chunks[i].Room += count
			if n.used > 0 {
				state.Chunks[i].Free += count
			}
		}
	}
}

// take does one step of a plan.
func (w *world) take(step capacity.Step) {
	switch step.Action {
	case capacity.Create:
		chunk := slices.IndexFunc(w.Pool.Chunks, func(c ChunkSize) bool { return c.Name == step.Chunk })
		w.named++
		w.warm = append(w.warm, &pod{
			chunk: chunk, gpus: w.Pool.Chunks[chunk].GPUs, created: w.now, gated: true, name: fmt.Sprintf("p-%09d", w.named),
		})
	case capacity.Ungate:
		for _, p := range w.warm {
			if p.gated && (p.name == step.Pod || step.Pod == "" && p.created == w.now && w.Pool.Chunks[p.chunk].Name == step.Chunk) {
				p.gated = false
				return
			}
		}
	case capacity.Delete:
		if i := slices.IndexFunc(w.warm, func(p *pod) bool { return p.name == step.Pod }); i >= 0 {
			w.remove(w.warm[i])
		}
	}
}

func (w *world) record() {
	m := Moment{At: w.now, Demand: w.used + w.wanting, Waiting: w.wanting, Capacity: w.offered, Coming: w.coming * w.Pool.NodeGPUs}
	for _, n := range w.nodes {
		m.Warmed += n.held
	}
	w.outcome.Timeline = append(w.outcome.Timeline, m)
}

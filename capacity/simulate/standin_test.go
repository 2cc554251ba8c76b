package simulate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"forewarm.dev/capacity"
)

// wholeLoop is how often Cluster Autoscaler looks. The laboratory saw each row once, and so at one unknown time of its loop.
const wholeLoop = 10 * time.Second

// scene is a row of the laboratory, which happens at a time of the stand-in's loop.
type scene struct {
	Options
	happens time.Duration
}

// laboratory is the stand-in with the timers that Cluster Autoscaler had there: 30 s unneeded, 30 s
// after buying, and nodes of 8 GPUs that take 11 s.
func laboratory(happens time.Duration) *scene {
	timers := ClusterAutoscaler()
	timers.EmptyFor, timers.AfterAdd = 30*time.Second, 30*time.Second
	return &scene{happens: happens, Options: Options{
		Trace: NewTrace(start, time.Hour, nil),
		Pool: Pool{
			NodeGPUs: 8, MaxNodes: 20, Chunks: []ChunkSize{{"node", 8}}, Lead: Lead{P50: 11 * time.Second}, Autoscaler: timers, Priority: -10,
			Deployment: Replicas{GPUs: 8}, Buffer: Replicas{GPUs: 8},
		},
		Limits: capacity.Limits{
			Chunks:   []capacity.Chunk{{Name: "node", Max: 20}},
			Interval: time.Second, LeadTime: 11 * time.Second, Hold: time.Second, MaxChanges: 20,
		},
		Record: true,
	}}
}

// steps are pods from the start on, and from when it happens.
func (s *scene) steps(before, then int) []Scale { return []Scale{{0, before}, {s.happens, then}} }

// arrive has jobs of whole nodes come when it happens.
func (s *scene) arrive(gpus ...int) {
	for _, n := range gpus {
		s.Trace.Jobs = append(s.Trace.Jobs, Job{At: s.happens, Run: time.Hour, GPUs: n})
	}
}

// ungate keeps a gated placeholder of ours from the start on, and opens it when it happens.
func (s *scene) ungate() {
	s.Pool.Deployment.Steps = nil
	s.Expect = func(at time.Duration, _ []float64) (capacity.Demand, error) {
		p := capacity.Policy{Kind: capacity.Reactive}
		if at >= s.happens {
			p = capacity.Policy{Kind: capacity.Static, Headroom: 1}
		}
		return capacity.Demand{Chunks: []capacity.ChunkDemand{{Policy: p}}}, nil
	}
}

// then is a number of nodes, there or asked for, and how long after it happened the laboratory saw it.
type then struct {
	after time.Duration
	nodes int
}

// TestTheStandInDoesWhatClusterAutoscalerDid holds the stand-in for Cluster Autoscaler to what the real
// one was seen to do, row by row (L1 to L12 of the laboratory, Cluster Autoscaler 1.36): whenever in a loop a row
// happens, the same nodes come, and what the laboratory saw lies between the soonest and the latest.
func TestTheStandInDoesWhatClusterAutoscalerDid(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(*scene)
		within time.Duration // two minutes if zero
		before int           // nodes
		want   []then
		// takeovers is how many placeholders gave way; bound, how many jobs had a node at once.
		takeovers, bound int
	}{
		"L1 three placeholders from no node: bought after the 30 s for GPUs": {
			set:  func(s *scene) { s.Pool.Deployment.Steps = s.steps(0, 3) },
			want: []then{{30 * time.Second, 3}},
		},
		"L2 two pods take placeholders at once, whose replacements buy two nodes": {
			set:    func(s *scene) { s.Pool.Deployment.Steps = s.steps(3, 3); s.arrive(8, 8) },
			before: 3, want: []then{{30 * time.Second, 5}}, takeovers: 2, bound: 2,
		},
		"L3 two placeholders fewer: two nodes go after the 30 s unneeded": {
			set:    func(s *scene) { s.Pool.Deployment.Steps = s.steps(3, 1) },
			before: 3, want: []then{{38 * time.Second, 1}},
		},
		"L4 the surge of a rolling update buys a node": {
			set:    func(s *scene) { s.Pool.Deployment.Steps = s.steps(3, 4) },
			before: 3, want: []then{{30 * time.Second, 4}},
		},
		"L5 with pod-scale-up-delay, what is given up within it buys nothing": {
			set: func(s *scene) {
				s.Pool.Autoscaler.PlaceholderAge = 90 * time.Second
				s.Pool.Deployment.Steps = append(s.steps(3, 3), Scale{s.happens + time.Minute, 1})
				s.arrive(8, 8)
			},
			before: 3, takeovers: 2, bound: 2,
		},
		"L6 one chunk more of a CapacityBuffer buys a node without the 30 s": {
			set:    func(s *scene) { s.Pool.Buffer.Steps = s.steps(3, 4) },
			before: 3, want: []then{{9 * time.Second, 4}},
		},
		"L7 pods take a CapacityBuffer's room without preemption, and it is refilled": {
			set:    func(s *scene) { s.Pool.Buffer.Steps = s.steps(4, 4); s.arrive(8, 8) },
			before: 4, want: []then{{2 * time.Second, 6}}, bound: 2,
		},
		"L8 a CapacityBuffer of eight stops at the five of the CapacityQuota": {
			set:  func(s *scene) { s.Pool.Buffer.Steps, s.Pool.MaxNodes = s.steps(0, 8), 5 },
			want: []then{{9 * time.Second, 5}},
		},
		"L9 priority -11 is below the cutoff": {
			set: func(s *scene) { s.Pool.Deployment.Steps, s.Pool.Priority = s.steps(0, 1), -11 },
		},
		"L9 a placeholder without GPUs buys its node once its gate goes": {
			set:  func(s *scene) { s.Pool.Autoscaler.PodAge = 2 * time.Second; s.ungate() },
			want: []then{{2 * time.Second, 1}},
		},
		"L10 a gate hides the 30 s for GPUs": {
			set:  (*scene).ungate,
			want: []then{{7 * time.Second, 1}},
		},
		"L11 a denied node puts the whole group in backoff for five minutes": {
			set: func(s *scene) {
				s.Pool.StockOuts = []Span{{0, s.happens + time.Minute}}
				s.arrive(8)
				s.Trace.Jobs = append(s.Trace.Jobs, Job{At: s.happens + 2*time.Minute, Run: time.Hour, GPUs: 8})
			},
			within: 7 * time.Minute, want: []then{{30*time.Second + 5*time.Minute, 2}},
		},
		"L12 an atomic ProvisioningRequest gets its three nodes at once": {
			set:  func(s *scene) { s.arrive(24); s.Trace.Jobs[0].Atomic = true },
			want: []then{{6 * time.Second, 3}},
		},
		"L12 one that is larger than the pool gets none": {
			set: func(s *scene) { s.arrive(240); s.Trace.Jobs[0].Atomic = true },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var soonest, latest []then
			for phase := time.Duration(0); phase < wholeLoop; phase += time.Second {
				s := laboratory(10*time.Minute + phase)
				c.set(s)
				s.Score, s.Until = s.happens, s.happens+max(c.within, 2*time.Minute)
				got := run(t, s.Options)
				before, seen := s.changesOf(got.Timeline)
				if phase == 0 {
					soonest, latest = seen, slices.Clone(seen)
				}
				same := slices.EqualFunc(c.want, seen, func(lab, ours then) bool { return lab.nodes == ours.nodes })
				if before != c.before || !same {
					t.Fatalf("%d nodes, and then %v; the laboratory had %d and %v", before, seen, c.before, c.want)
				}
				for i, ours := range seen {
					soonest[i].after, latest[i].after = min(soonest[i].after, ours.after), max(latest[i].after, ours.after)
				}
				bound := 0
				for _, wait := range got.Waits {
					if wait == 0 {
						bound++
					}
				}
				if got.Takeovers != c.takeovers || bound != c.bound {
					t.Errorf("%d takeovers, %d jobs bound at once; want %d and %d", got.Takeovers, bound, c.takeovers, c.bound)
				}
			}
			for i, lab := range c.want {
				if lab.after < soonest[i].after || lab.after > latest[i].after {
					t.Errorf("%v at the soonest and %v at the latest; the laboratory had %v", soonest[i], latest[i], lab)
				}
			}
		})
	}
}

// changesOf are the nodes, there or asked for, when it happened, and each change after.
func (s *scene) changesOf(timeline []Moment) (before int, changes []then) {
	last := 0
	for _, m := range timeline {
		nodes := (m.Capacity + m.Coming) / 8
		switch {
		case m.At < s.happens:
			before = nodes
		case nodes != last:
			changes = append(changes, then{m.At - s.happens, nodes})
		}
		last = nodes
	}
	return before, changes
}

func (x then) String() string { return fmt.Sprintf("%d after %v", x.nodes, x.after) }

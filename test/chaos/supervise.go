package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"

	"forewarm.dev/test/chaos/invariant"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/demo/stack"
)

// endsName is the invariant that no process ends by itself for other reasons than those of mayEnd: what it
// says last that has lost its Lease, and where it finds no API server when it is started again.
const endsName = "no-process-ends-by-itself"

var mayEnd = []string{"leader election lost", "reach the API server"}

// backOff is how long after its end a process is started again.
const backOff = time.Second

// supervisor starts what has ended again, as a kubelet does, but for what a fault keeps down.
type supervisor struct {
	cluster *cluster.Cluster
	stack   *stack.Stack
	journal *journal

	mu    sync.Mutex
	down  map[string]bool
	ended map[string]time.Time
	// killed are those that a fault has killed, and ends what others last said that ended by themselves.
	killed map[string]bool
	ends   map[string][]string
	memory map[string]int64
	lives  []invariant.Life
	jumps  int
	cycles cycles
}

// cycles are the reserver's, as its leader counted them.
type cycles struct {
	Count uint64 `json:"n"`
	// Mean is in seconds; Within is the bucket that the longest of them was in, -1 where it took longer.
	Mean   float64 `json:"meanSeconds"`
	Within float64 `json:"withinSeconds"`
}

// cyclesOf reads what a reserver has counted.
func cyclesOf(families map[string]*dto.MetricFamily) cycles {
	var c cycles
	for _, m := range families["forewarm_capacity_cycle_duration_seconds"].GetMetric() {
		h := m.GetHistogram()
		if c.Count = h.GetSampleCount(); c.Count == 0 {
			continue
		}
		c.Mean = h.GetSampleSum() / float64(c.Count)
		for _, b := range h.GetBucket() {
			if c.Within = b.GetUpperBound(); b.GetCumulativeCount() == c.Count {
				break
			}
		}
		if math.IsInf(c.Within, 1) {
			c.Within = -1 // JSON has no infinity
		}
	}
	return c
}

// countCycles keeps those of the leader that has made most.
func (s *supervisor) countCycles(ctx context.Context) {
	leader, err := s.leader(ctx, stack.Reserver)
	if err != nil {
		return // nobody leads right now
	}
	families, err := leader.Metrics(ctx)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := cyclesOf(families); now.Count >= s.cycles.Count {
		s.cycles = now
	}
}

// components are the processes of the control plane.
func (s *supervisor) components() []string {
	return slices.DeleteFunc([]string{assets.Etcd, assets.APIServer, assets.Scheduler, assets.ControllerManager, assets.KWOK, assets.Karpenter},
		func(name string) bool { return s.process(name) == nil })
}

func newSupervisor(c *cluster.Cluster, s *stack.Stack, j *journal) *supervisor {
	return &supervisor{
		cluster: c, stack: s, journal: j, down: map[string]bool{}, ended: map[string]time.Time{}, killed: map[string]bool{},
		ends: map[string][]string{}, memory: map[string]int64{}, lives: []invariant.Life{{Began: time.Now()}},
	}
}

// process is the last run of a process by its name.
func (s *supervisor) process(name string) *cluster.Process { return s.cluster.ProcessOf(name) }

// names are all processes.
func (s *supervisor) names() []string {
	names := s.components()
	for _, r := range s.stack.Replicas {
		names = append(names, r.Name)
	}
	return names
}

// kill ends processes at once, and keeps them down until release.
func (s *supervisor) kill(names ...string) {
	s.measure()
	s.mu.Lock()
	for _, name := range names {
		s.down[name], s.killed[name] = true, true
	}
	s.mu.Unlock()
	for _, name := range names {
		s.process(name).Kill()
	}
}

func (s *supervisor) release(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		delete(s.down, name)
	}
}

// supervise goes on until ctx ends, or until something cannot be started again.
func (s *supervisor) supervise(ctx context.Context, failed chan<- error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, name := range s.names() {
			if err := s.revive(name, time.Now()); err != nil {
				failed <- err
				return
			}
		}
	}
}

// revive starts a process again once it has been down for long enough.
func (s *supervisor) revive(name string, now time.Time) error {
	select {
	case <-s.process(name).Done():
	default:
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	since, noticed := s.ended[name]
	if !noticed {
		s.ended[name] = now
		if !s.killed[name] {
			s.ends[name] = append(s.ends[name], lastLine(s.process(name).Log()))
		}
		return nil
	}
	if s.down[name] || now.Sub(since) < backOff {
		return nil
	}
	delete(s.ended, name)
	delete(s.killed, name)
	for _, r := range s.stack.Replicas {
		if r.Name == name {
			return s.stack.Run(r)
		}
	}
	if name == assets.APIServer {
		s.lives = append(s.lives, invariant.Life{Began: now})
	}
	return s.cluster.Restart(name)
}

// lastLine is the last line of a log, cut short.
func lastLine(log string) string {
	log = strings.TrimSpace(log)
	return fmt.Sprintf("%.300s", log[strings.LastIndexByte(log, '\n')+1:])
}

// measure keeps the most memory that each process of ours has had, in bytes.
func (s *supervisor) measure() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.stack.Replicas {
		if process := s.process(r.Name); process != nil {
			s.memory[r.Kind] = max(s.memory[r.Kind], peak(process.PID()))
		}
	}
}

// peak is the most memory that a process has had, in bytes; zero where it cannot be read.
func peak(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for row := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(row, "VmHWM:"); ok {
			kilobytes, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}

// count asks the API server how many reviews it has let through without an answer.
func (s *supervisor) count(ctx context.Context) error {
	s.mu.Lock()
	life := len(s.lives) - 1
	s.mu.Unlock()
	asked := time.Now()
	value, err := s.metric(ctx, assets.APIServer, "apiserver_admission_webhook_fail_open_count{", "forewarm.dev")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lives)-1 == life { // it has not been killed meanwhile
		s.lives[life].Last = invariant.Count{At: asked, Value: value}
	}
	return nil
}

// metric is the sum of a component's metric over the rows that begin with this and hold that.
func (s *supervisor) metric(ctx context.Context, component, begins, holds string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cluster.EndpointOf(component).Metrics, nil)
	if err != nil {
		return 0, err
	}
	response, err := s.cluster.HTTPClient().Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("metrics of %s: %s", component, response.Status)
	}
	sum := 0.0
	rows := bufio.NewScanner(response.Body)
	rows.Buffer(nil, 1<<20)
	for rows.Scan() {
		row := rows.Text()
		if !strings.HasPrefix(row, begins) || !strings.Contains(row, holds) {
			continue
		}
		value, err := strconv.ParseFloat(row[strings.LastIndexByte(row, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metrics of %s: %w", component, err)
		}
		sum += value
	}
	return sum, rows.Err()
}

// leader is the replica of a kind that leads.
func (s *supervisor) leader(ctx context.Context, kind string) (*stack.Replica, error) {
	var failed error
	for _, r := range s.stack.Replicas {
		if r.Kind != kind {
			continue
		}
		families, err := r.Metrics(ctx)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		for _, m := range families["leader_election_master_status"].GetMetric() {
			if m.GetGauge().GetValue() == 1 {
				return r, nil
			}
		}
	}
	return nil, errors.Join(fmt.Errorf("no %s leads", kind), failed)
}

// jumped counts a clock that has been seen to jump.
func (s *supervisor) jumped() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jumps++
}

// unasked are ends of our processes that no fault brought about, save of those that may: who has lost its
// Lease has to end, since another one leads, and who finds no API server is started again.
func (s *supervisor) unasked() []invariant.Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []invariant.Violation
	for _, r := range s.stack.Replicas {
		for _, last := range s.ends[r.Name] {
			if !slices.ContainsFunc(mayEnd, func(says string) bool { return strings.Contains(last, says) }) {
				found = append(found, invariant.Violation{Invariant: endsName, At: time.Now(), Says: fmt.Sprintf("%s ended by itself: %s", r.Name, last)})
			}
		}
	}
	return found
}

// panics are those that the logs of our processes tell of.
func (s *supervisor) panics() []invariant.Violation {
	var found []invariant.Violation
	for _, r := range s.stack.Replicas {
		log := s.cluster.LogOf(r.Name)
		for _, sign := range []string{"\npanic: ", "\nfatal error: ", `"Review panicked"`, `"Observed a panic"`} {
			if at := strings.Index("\n"+log, sign); at >= 0 {
				found = append(found, invariant.Violation{Invariant: "no-process-panics", At: time.Now(), Says: fmt.Sprintf("%s: %.500s", r.Name, log[at:])})
			}
		}
	}
	return found
}

package main

import (
	"slices"
	"sync"
	"time"

	"forewarm.dev/test/chaos/schedule"
	"forewarm.dev/test/cluster/assets"
	"forewarm.dev/test/demo/stack"
)

// blinds says whether an act keeps the scheduler from asking the extender or from doing what it was
// answered, or the extender from knowing what stands: scheduling then goes on as it would without Forewarm.
func blinds(a schedule.Act) bool {
	return a.Target == stack.Extender || a.Target == assets.Scheduler || a.Target == network
}

// watches is how long after the network works again a process of ours may still wait before it watches
// again: client-go backs off up to half a minute.
const watches = 30 * time.Second

// lasts is how long after a step the extender may still not know what stands.
func lasts(step schedule.Step) time.Duration {
	if slices.ContainsFunc(step.Acts, func(a schedule.Act) bool { return a.Target == network }) {
		return watches
	}
	return 0
}

// spans are times that began and, but for the last one, ended.
type spans struct {
	mu  sync.Mutex
	all []span
}

type span struct{ from, to time.Time }

func (s *spans) begin(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, span{from: at})
}

func (s *spans) end(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[len(s.all)-1].to = at
}

// held says whether a time is in one of them.
func (s *spans) held(at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(s span) bool { return !at.Before(s.from) && (s.to.IsZero() || !at.After(s.to)) })
}

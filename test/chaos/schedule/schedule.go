// Package schedule chooses, from a seed, which faults a run of chaos injects, in which order, and for
// how long. It knows no clock and nothing of what the faults do.
package schedule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Fault is something that can be done to a target, which lasts.
type Fault struct {
	// Name is what is done, and Target what it is done to; a part of it may follow behind a dash.
	Name, Target string
	// Least and Most bound how long it lasts.
	Least, Most time.Duration
}

// String is the fault's name and target.
func (f Fault) String() string { return f.Name + " " + f.Target }

// about is what the target is a part of: two faults about the same are not injected together.
func (f Fault) about() string {
	whole, _, _ := strings.Cut(f.Target, "/")
	return whole
}

// Act is a fault that lasts so long.
type Act struct {
	Fault
	For time.Duration
}

// Step is one or two acts that begin together, after a rest.
type Step struct {
	Rest time.Duration
	Acts []Act
}

// String tells the acts of a step.
func (s Step) String() string {
	parts := make([]string, 0, len(s.Acts))
	for _, a := range s.Acts {
		parts = append(parts, fmt.Sprintf("%s for %s", a, a.For))
	}
	return strings.Join(parts, ", with ")
}

const (
	// restLeast and restMost bound the rest before a step.
	restLeast, restMost = 2 * time.Second, 6 * time.Second
	// together is one in how many steps has two acts.
	together = 4
)

// Schedule is an endless sequence of steps. The same seed and faults make the same one.
type Schedule struct {
	random *rand.Rand
	faults []Fault
	bag    []Fault
}

// New makes a schedule of at least one fault.
func New(seed uint64, faults []Fault) *Schedule {
	return &Schedule{random: rand.New(rand.NewPCG(seed, 0x63)), faults: faults}
}

// Next is the next step. Each fault is drawn once before any is drawn again.
func (s *Schedule) Next() Step {
	step := Step{Rest: s.between(restLeast, restMost), Acts: []Act{s.act(s.draw(""))}}
	if s.random.IntN(together) == 0 {
		about := step.Acts[0].about()
		if second := s.draw(about); second.about() != about {
			step.Acts = append(step.Acts, s.act(second))
		}
	}
	return step
}

// draw takes a fault out of the bag, about something else than this if there is one.
func (s *Schedule) draw(about string) Fault {
	if len(s.bag) == 0 {
		s.bag = append(s.bag, s.faults...)
		s.random.Shuffle(len(s.bag), func(i, j int) { s.bag[i], s.bag[j] = s.bag[j], s.bag[i] })
	}
	for i, f := range s.bag {
		if f.about() != about {
			s.bag = append(s.bag[:i], s.bag[i+1:]...)
			return f
		}
	}
	return s.bag[0] // it stays there: the caller has no use for it
}

func (s *Schedule) act(f Fault) Act { return Act{Fault: f, For: s.between(f.Least, f.Most)} }

// between is a time of whole tenths of a second.
func (s *Schedule) between(least, most time.Duration) time.Duration {
	const grain = 100 * time.Millisecond
	if most <= least {
		return least
	}
	return least + grain*time.Duration(s.random.Int64N(int64((most-least)/grain)+1))
}

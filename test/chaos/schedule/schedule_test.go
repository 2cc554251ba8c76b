package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func faults() []Fault {
	var all []Fault
	for _, target := range []string{"webhook/leader", "webhook/all", "reserver/leader", "extender", "api"} {
		all = append(all, Fault{Name: "kill", Target: target, Most: time.Second}, Fault{Name: "freeze", Target: target, Least: time.Second, Most: 3 * time.Second})
	}
	return all
}

func steps(seed uint64, n int) []Step {
	s := New(seed, faults())
	var steps []Step
	for range n {
		steps = append(steps, s.Next())
	}
	return steps
}

func TestTheSeedDecides(t *testing.T) {
	if diff := cmp.Diff(steps(1, 100), steps(1, 100)); diff != "" {
		t.Errorf("the same seed:\n%s", diff)
	}
	if slices.EqualFunc(steps(1, 20), steps(2, 20), func(a, b Step) bool { return a.String() == b.String() }) {
		t.Error("two seeds made the same schedule")
	}
}

// TestEveryFaultIsDrawn: each once before any is drawn again, never two about the same at a time, and
// each as long as it may last.
func TestEveryFaultIsDrawn(t *testing.T) {
	for seed := range uint64(50) {
		var drawn []string
		for _, step := range steps(seed, 40) {
			if step.Rest < restLeast || step.Rest > restMost {
				t.Errorf("seed %d: rest %s", seed, step.Rest)
			}
			for _, a := range step.Acts {
				drawn = append(drawn, a.String())
				if a.For < a.Least || a.For > a.Most {
					t.Errorf("seed %d: %s lasts %s", seed, a.Fault, a.For)
				}
			}
			if len(step.Acts) > 2 || len(step.Acts) == 2 && step.Acts[0].about() == step.Acts[1].about() {
				t.Errorf("seed %d: together: %s", seed, step)
			}
		}
		all := len(faults())
		for i := 0; i+all <= len(drawn); i += all {
			round := slices.Clone(drawn[i : i+all])
			slices.Sort(round)
			if len(slices.Compact(round)) != all {
				t.Fatalf("seed %d: round %d has a fault twice: %v", seed, i/all, drawn[i:i+all])
			}
		}
	}
}

func ExampleSchedule() {
	s := New(7, []Fault{{Name: "kill", Target: "extender", Least: time.Second, Most: 2 * time.Second}})
	fmt.Println(s.Next())
	fmt.Println(s.Next())
	// Output:
	// kill extender for 1.1s
	// kill extender for 1.5s
}

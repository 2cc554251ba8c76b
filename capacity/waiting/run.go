package waiting

import (
	"fmt"
	"slices"
	"time"
)

// Class says how long a pod that waits will use what it waits for.
type Class string

// Classes of demand.
const (
	// ShortBatch ends by itself, and soon.
	ShortBatch Class = "short-batch"
	// SustainedService stays.
	SustainedService Class = "sustained-service"
)

// Run is what is known of how long a pod will run.
type Run struct {
	// Class is empty where nothing is known.
	Class Class
	// Usual is the median of earlier runs; zero where there are too few.
	Usual time.Duration
}

const (
	// enoughRuns are as many as count for more than who owns the pod.
	enoughRuns = 3
	// short is the longest usual run of a short batch: what runs for longer keeps a node for several hold times, and
	// for many lead times.
	short = time.Hour
)

// RunOf is what earlier runs tell of a pod, in any order, and where they are too few its owner does.
func RunOf(owner Class, earlier []time.Duration) Run {
	if len(earlier) < enoughRuns {
		return Run{Class: owner}
	}
	usual := slices.Sorted(slices.Values(earlier))[(len(earlier)-1)/2]
	if usual > short {
		return Run{Class: SustainedService, Usual: usual}
	}
	return Run{Class: ShortBatch, Usual: usual}
}

// Says tells in words what a pod is that is expected to start so much later; empty where nothing is known.
func (r Run) Says(later time.Duration) string {
	switch {
	case r.Class == "":
		return ""
	case r.Usual == 0:
		return "class " + string(r.Class)
	case r.Class == ShortBatch && later > r.Usual:
		return fmt.Sprintf("class %s, usually done in %s, which is sooner than it is expected to start: another pool may serve it better", r.Class, r.Usual.Round(time.Second))
	default:
		return fmt.Sprintf("class %s, usually runs for %s", r.Class, r.Usual.Round(time.Second))
	}
}

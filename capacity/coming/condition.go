package coming

import (
	"fmt"
	"time"

	"forewarm.dev/api/v1alpha1"
)

// longestWhy is how much of an error a condition has.
const longestWhy = 512

// Condition is what condition FutureUnreadable of each pool says: its name, whether, why, and in words.
func (f Future) Condition() (name string, is bool, reason, message string) {
	if f.unread == "" {
		return v1alpha1.ConditionFutureUnreadable, false, v1alpha1.ReasonFutureRead, ""
	}
	meanwhile := "nothing that is known to start counts until it can be read again"
	if f.Stale {
		meanwhile = fmt.Sprintf("what was known at %s counts until %s, and nothing is given back meanwhile", stamp(f.asOf), stamp(f.asOf.Add(lasts)))
	}
	return v1alpha1.ConditionFutureUnreadable, true, v1alpha1.ReasonFutureSourceFailed, f.unread[:min(len(f.unread), longestWhy)] + ": " + meanwhile
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

package invariant

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Request is what an audit log says of one that was answered.
type Request struct {
	// ID is the audit's, which a client may choose.
	ID string
	// Code is the HTTP status.
	Code int
	// Completed is when it was answered.
	Completed time.Time
	// Annotations are those of admission.
	Annotations map[string]string
}

// Count is what a process has counted at a time.
type Count struct {
	At    time.Time
	Value float64
}

// Life is one run of an API server.
type Life struct {
	Began time.Time
	// Last is how many reviews it had let through without an answer when it was last asked; the zero
	// time if it never was.
	Last Count
}

// OpenName is the name of the invariant that Unseen and Uncounted hold.
const OpenName = "no-request-failed-open-without-a-metric"

// domain is what all entries of ours end in.
const domain = "forewarm.dev"

// FailedOpen says whether a request was let through since no review of ours was answered.
func (r Request) FailedOpen() bool {
	for k, v := range r.Annotations {
		if strings.HasPrefix(k, "failed-open.") && strings.HasSuffix(v, domain) {
			return true
		}
	}
	return false
}

// Reviewed says whether an entry of ours answered.
func (r Request) Reviewed() bool {
	for k := range r.Annotations {
		if entry, _, ok := strings.Cut(k, "/"); ok && strings.HasSuffix(entry, domain) {
			return true
		}
	}
	return false
}

// Unseen finds requests that grew something under a ceiling, by the prefix of their ID, and that were
// let through neither with a review of ours nor as one which failed open.
func Unseen(requests []Request, prefix string) []Violation {
	var unseen []Violation
	for _, r := range requests {
		if strings.HasPrefix(r.ID, prefix) && r.Code >= 200 && r.Code < 300 && !r.Reviewed() && !r.FailedOpen() {
			unseen = append(unseen, open(r.Completed, "request %s was let through with no review and without having failed open", r.ID))
		}
	}
	return unseen
}

// Uncounted finds the lives of API servers in which more requests failed open than were counted: each
// request that had been answered when the count was read must be in it.
func Uncounted(requests []Request, lives []Life) []Violation {
	var uncounted []Violation
	for i, life := range lives {
		if life.Last.At.IsZero() {
			continue
		}
		failed := 0
		for _, r := range requests {
			within := r.Completed.After(life.Began) && (i+1 == len(lives) || r.Completed.Before(lives[i+1].Began))
			if within && r.Completed.Before(life.Last.At) && r.FailedOpen() {
				failed++
			}
		}
		if float64(failed) > life.Last.Value {
			uncounted = append(uncounted, open(life.Last.At, "%d requests failed open in the API server's life from %s on, its metric says %v",
				failed, life.Began.Format(time.TimeOnly), life.Last.Value))
		}
	}
	return slices.Clip(uncounted)
}

func open(at time.Time, format string, args ...any) Violation {
	return Violation{Invariant: OpenName, At: at, Says: fmt.Sprintf(format, args...)}
}

package capacity

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Ceiling is a highest number of nodes that binds a pool.
type Ceiling struct {
	// On is the object that sets it, for messages, and Value what it says; empty for none.
	On, Value string
	// Mode is what it does, as it is written: warn and audit only tell, everything else binds.
	Mode string
	// Past is how many more nodes the pool may have whatever the ceiling says, by an override; nil for none.
	Past *int64
	// Limit is the number in force: where Value cannot be read, the last that could, nil for none.
	Limit *int64
	// Unread is true where Value cannot be read.
	Unread bool
	// Standing are the nodes that there are, and Asked those that others wait for, other pools and real pods.
	Standing, Asked int64
}

// Read is the ceiling as its value says, with the last limit where that cannot be read: digits, as
// the admission webhook reads them.
func (c Ceiling) Read(last *int64) Ceiling {
	c.Limit, c.Unread = nil, false
	if c.Value == "" {
		return c
	}
	n, err := strconv.ParseUint(c.Value, 10, 31)
	if c.Unread = err != nil; c.Unread {
		c.Limit = last
		return c
	}
	c.Limit = new(int64(n))
	return c
}

// Unreadable says of a value that cannot be read what holds meanwhile; empty for one that can.
func (c Ceiling) Unreadable() string {
	switch {
	case !c.Unread:
		return ""
	case c.Limit == nil:
		return fmt.Sprintf("%s: %q is no whole number from 0 to 2147483647; it is ignored until it is corrected", c.On, c.Value)
	default:
		return fmt.Sprintf("%s: %q is no whole number from 0 to 2147483647; the last good value, %d, stays in force until it is corrected", c.On, c.Value, *c.Limit)
	}
}

// Binds tells whether it holds anybody to a number.
func (c Ceiling) Binds() bool { return c.Limit != nil && c.Mode != "warn" && c.Mode != "audit" }

// Override is the number of nodes that a value such as "20 until 2026-12-01T00:00:00Z: load test" allows, as the
// admission webhook reads it; nil for one that has ended or cannot be read.
func Override(value string, now time.Time) *int64 {
	number, rest, _ := strings.Cut(value, " until ")
	when, why, _ := strings.Cut(rest, ": ")
	most, err := strconv.ParseUint(number, 10, 31)
	if err != nil || strings.TrimSpace(why) == "" {
		return nil
	}
	until, err := time.Parse(time.RFC3339, when)
	if err != nil || !now.Before(until) {
		return nil
	}
	return new(int64(most))
}

// Over is how many more nodes stand than are allowed.
func (c Ceiling) Over() int64 {
	if c.Limit == nil || c.Past != nil && *c.Past >= 0 {
		return 0
	}
	return max(c.Standing-*c.Limit, 0)
}

// NodesLeft is how many more nodes all ceilings leave, nil for any number.
func NodesLeft(ceilings []Ceiling) *int64 {
	var left *int64
	for _, c := range ceilings {
		if !c.Binds() {
			continue
		}
		n := max(*c.Limit-c.Standing-c.Asked, 0)
		if c.Past != nil {
			n = max(n, *c.Past)
		}
		if left == nil || n < *left {
			left = &n
		}
	}
	return left
}

// Exceeded says which ceilings more nodes stand above than they allow, empty for none.
func Exceeded(ceilings []Ceiling) string {
	var ways []string
	for _, c := range ceilings {
		if c.Over() > 0 {
			ways = append(ways, fmt.Sprintf("%d nodes stand, at most %d allowed by %s", c.Standing, *c.Limit, c.On))
		}
	}
	return strings.Join(ways, "; ")
}

package showback

import "time"

// patience is how long a pod may take to bind to what a placeholder has left for it: the scheduler's
// longest backoff. What is bound there later had found free room as anywhere.
const patience = 10 * time.Second

// place is a node of a pool.
type place struct{ pool, node string }

// room is what placeholders have left on a node, until a time.
type room struct {
	amount float64
	until  time.Time
}

// rooms are those that have been left lately.
type rooms map[place]room

// open adds what a placeholder leaves.
func (r rooms) open(at place, amount float64, now time.Time) {
	left := r[at]
	if now.After(left.until) {
		left.amount = 0
	}
	r[at] = room{left.amount + amount, now.Add(patience)}
}

// take tells whether a pod that asks for an amount takes any of what was left. A pod that takes the
// last of it and free room beside it would have waited without, too.
func (r rooms) take(at place, amount float64, now time.Time) bool {
	left, ok := r[at]
	if !ok || left.amount <= 0 || now.After(left.until) {
		return false
	}
	left.amount -= amount
	r[at] = left
	return true
}

func (r rooms) forget(now time.Time) {
	for at, left := range r {
		if now.After(left.until) {
			delete(r, at)
		}
	}
}

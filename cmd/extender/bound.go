package main

import "net/http"

// inFlight is how many calls are read and answered at once: twice as many as a scheduler makes. A body may
// have 8 MiB.
const inFlight = 32

// bounded has no more than so many requests answered at once; others wait for their turn, and nobody is
// turned away.
func bounded(next http.Handler, most int) http.Handler {
	turns := make(chan struct{}, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done(): // nobody waits for the answer any more
		}
	})
}

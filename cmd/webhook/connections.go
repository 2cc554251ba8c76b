package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// keepAlive is how long a connection may rest. API servers let go of theirs after 90 s: a
	// server that does so first may close one at the moment at which a review is written to it,
	// and a POST that has been written is not tried again.
	keepAlive = 2 * time.Minute
	// letGo is how long after a drain API servers have let go of every connection.
	letGo = 95 * time.Second
)

// connections are those whose client alone says when they end. HTTP/2 is not among them: its
// server tells the client to leave.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]bool
}

// track is a server's ConnState.
func (c *connections) track(connection net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if c.open == nil {
			c.open = map[net.Conn]bool{}
		}
		c.open[connection] = true
	case http.StateClosed, http.StateHijacked:
		delete(c.open, connection)
	}
}

// wait returns when there are none, or when ctx ends.
func (c *connections) wait(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for c.count() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for connection := range c.open {
		secured, ok := connection.(*tls.Conn)
		if !ok || secured.ConnectionState().NegotiatedProtocol != "h2" {
			n++
		}
	}
	return n
}

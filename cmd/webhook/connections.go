package main

import (
	"cmp"
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
	// maxConnections are open at once. Of each API server some 25 rest, and no more are of use than reviews are
	// answered at once, so this is many times what API servers have.
	maxConnections = 4096
)

// connections are those that are open. Beyond the most that may be, each new one closes another, of whoever has most
// that rest: nobody is turned away, so that a crowd which only connects does not keep API servers out.
type connections struct {
	// most may be open; 0 for any number.
	most int

	mu   sync.Mutex
	open map[net.Conn]*held
	made int
}

// held is what is known of one.
type held struct {
	// number is its place in the order in which they were made or last came to rest.
	number int
	// address is the client's host.
	address string
	// rests is true while no request is answered on it, also while the header of one is read; known is true once a
	// request was let in of which the client's certificate says that it is an API server's.
	rests, known bool
}

// track is a server's ConnState.
func (c *connections) track(connection net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made++
	switch state {
	case http.StateNew:
		if c.open == nil {
			c.open = map[net.Conn]*held{}
		}
		host, _, _ := net.SplitHostPort(connection.RemoteAddr().String())
		c.open[connection] = &held{number: c.made, address: host, rests: true}
		if c.most > 0 && len(c.open) > c.most {
			c.evict(connection)
		}
	case http.StateActive:
		if o := c.open[connection]; o != nil {
			o.rests = false
		}
	case http.StateIdle:
		if o := c.open[connection]; o != nil {
			o.rests, o.number = true, c.made
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.open, connection)
	}
}

// evict closes one connection: of those that rest and are not known to be an API server's, else of those that rest,
// else of those in use, the one that has been so longest at the address with the most. What is in use is not closed for
// one more of the same address: then that is.
func (c *connections) evict(newest net.Conn) {
	for _, among := range []func(*held) bool{
		func(o *held) bool { return o.rests && !o.known },
		func(o *held) bool { return o.rests },
		func(*held) bool { return true },
	} {
		victim := c.oldest(newest, among)
		if victim == nil {
			continue
		}
		if o := c.open[victim]; !o.rests && o.address == c.open[newest].address {
			victim = newest
		}
		c.close(victim)
		return
	}
}

// oldest is that among some at the address with the most of them, nil where there is none beside the newest.
func (c *connections) oldest(newest net.Conn, among func(*held) bool) net.Conn {
	counts := map[string]int{}
	for connection, o := range c.open {
		if connection != newest && among(o) {
			counts[o.address]++
		}
	}
	var found net.Conn
	for connection, o := range c.open {
		if connection == newest || !among(o) {
			continue
		}
		if found != nil {
			than := c.open[found]
			if by := cmp.Compare(counts[o.address], counts[than.address]); by < 0 || by == 0 && o.number > than.number {
				continue
			}
		}
		found = connection
	}
	return found
}

// close ends a connection at once: a TLS connection says goodbye first, for which it may wait.
func (c *connections) close(connection net.Conn) {
	delete(c.open, connection)
	if secured, ok := connection.(*tls.Conn); ok {
		connection = secured.NetConn()
	}
	_ = connection.Close()
}

// connectionKey is where the connection of a request stands in its context.
type connectionKey struct{}

// hold is a server's ConnContext.
func hold(ctx context.Context, connection net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connection)
}

// knows is told of a request that was let in by its certificate.
func (c *connections) knows(r *http.Request) {
	connection, _ := r.Context().Value(connectionKey{}).(net.Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.open[connection]; o != nil {
		o.known = true
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

// count is the number of those whose client alone says when they end. HTTP/2 is not among them: its server tells the
// client to leave.
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

package main

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestConnections: a connection that rests is waited for until its client lets go of it, save
// one of HTTP/2.
func TestConnections(t *testing.T) {
	for name, c := range map[string]struct {
		http2 bool
		want  int
	}{"HTTP/1.1": {false, 1}, "HTTP/2": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			var open connections
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			server.Config.ConnState = open.track
			server.EnableHTTP2 = c.http2
			server.StartTLS()
			defer server.Close()
			response, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if got := open.count(); got != c.want {
				t.Errorf("%d connections, want %d", got, c.want)
			}
			if c.want > 0 {
				short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				open.wait(short)
				if short.Err() == nil {
					t.Error("the wait ended with a connection open")
				}
			}
			server.Client().CloseIdleConnections()
			long, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			open.wait(long)
			if long.Err() != nil {
				t.Error("the wait did not end when the connection did")
			}
		})
	}
}

// TestACrowdKeepsNobodyOut: while somebody opens one connection after the other, and rests on them, with or without
// having asked, no more than the most are open, and who asks by HTTP/1.1 elsewhere is always answered, on many
// connections at once and on those that have rested.
func TestACrowdKeepsNobodyOut(t *testing.T) {
	const most, idle = 200, 25 // of API servers some 25 rest
	for name, asks := range map[string]bool{"connects": false, "asks once": true} {
		t.Run(name, func(t *testing.T) {
			open := connections{most: most}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
			}))
			server.Config.ConnState, server.Config.ConnContext = open.track, hold
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			defer server.Close()
			ctx, stop := context.WithCancel(t.Context())
			var crowd sync.WaitGroup
			opened := make(chan struct{}, 1<<20)
			crowd.Go(func() { rest(ctx, server.Listener.Addr().String(), asks, opened) })
			defer crowd.Wait()
			defer stop()
			for range most + 100 { // the place is full from here on
				<-opened
			}
			api := server.Client()
			api.Transport.(*http.Transport).MaxIdleConnsPerHost = idle
			for round := range 10 {
				var reviews sync.WaitGroup
				for range idle {
					reviews.Go(func() {
						response, err := api.Post(server.URL, "application/json", strings.NewReader("{}"))
						if err != nil {
							t.Errorf("round %d: %v", round, err)
							return
						}
						_ = response.Body.Close()
					})
				}
				reviews.Wait()
				<-opened
			}
			if got := open.count(); got > most {
				t.Errorf("%d connections are open, want at most %d", got, most)
			}
			stop()
			crowd.Wait()
		})
	}
}

// rest opens connections from another address and keeps them, until ctx ends.
func rest(ctx context.Context, address string, asks bool, opened chan<- struct{}) {
	var kept []net.Conn
	defer func() {
		for _, connection := range kept {
			_ = connection.Close()
		}
	}()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for ctx.Err() == nil && len(kept) < 2000 {
		connection, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			continue
		}
		if asks {
			connection = tls.Client(connection, &tls.Config{InsecureSkipVerify: true})
			_, _ = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: forewarm\r\n\r\n")
		}
		kept = append(kept, connection)
		opened <- struct{}{}
	}
}

// TestWhoMakesRoom: of whoever has most that rest, the one that has rested longest; never one that an API server is
// known to have as long as there is another; and what is in use only for another address.
func TestWhoMakesRoom(t *testing.T) {
	type is struct {
		address      string
		rests, known bool
	}
	crowd, api := is{"10.0.0.9", true, false}, is{"10.0.0.1", true, false}
	cases := map[string]struct {
		open   []is
		newest is
		want   int // of open; -1 for the newest
	}{
		"the crowd's oldest":             {[]is{api, crowd, crowd}, api, 1},
		"not what is in use":             {[]is{{"10.0.0.9", false, false}, api, crowd, crowd}, api, 2},
		"the larger, though API servers": {[]is{crowd, api, api}, crowd, 1},
		"not those that are known":       {[]is{{"10.0.0.1", true, true}, {"10.0.0.1", true, true}, crowd}, crowd, 2},
		"known ones before those in use": {[]is{{"10.0.0.9", false, false}, {"10.0.0.1", true, true}}, crowd, 1},
		"in use, for another address":    {[]is{{"10.0.0.9", false, false}, {"10.0.0.9", false, false}}, api, 0},
		"nothing in use for its own":     {[]is{{"10.0.0.9", false, false}, {"10.0.0.9", false, false}}, crowd, -1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conns := make([]net.Conn, len(c.open)+1)
			open := connections{open: map[net.Conn]*held{}}
			for i, o := range append(c.open, c.newest) {
				one, _ := net.Pipe()
				conns[i] = one
				open.open[one] = &held{number: i, address: o.address, rests: o.rests, known: o.known}
			}
			newest := len(c.open)
			open.evict(conns[newest])
			if c.want < 0 {
				c.want = newest
			}
			for i, connection := range conns {
				if _, there := open.open[connection]; there == (i == c.want) {
					t.Errorf("connection %d is open: %t", i, there)
				}
			}
		})
	}
}

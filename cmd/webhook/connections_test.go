package main

import (
	"context"
	"net/http"
	"net/http/httptest"
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

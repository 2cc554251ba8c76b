package main

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestMoreCallsThanAreAnsweredAtOnceWait: each is answered in the end.
func TestMoreCallsThanAreAnsweredAtOnceWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, answered atomic.Int64
		h := bounded(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(100 * time.Millisecond) // of the bubble
			answered.Add(1)
			w.WriteHeader(http.StatusOK)
		}), inFlight)
		var calls sync.WaitGroup
		for range 5 * inFlight {
			calls.Go(func() {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/filter", nil))
			})
		}
		calls.Wait()
		if answered.Load() != 5*inFlight || most.Load() != inFlight {
			t.Errorf("%d of %d calls were answered, %d at once; want %d at once", answered.Load(), 5*inFlight, most.Load(), inFlight)
		}
	})
}

package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// unavailableError says that a server could not answer now.
type unavailableError struct {
	status string
	// says is the start of the answer.
	says string
	// after is how long the server asks to be left alone; zero if it does not say.
	after time.Duration
}

// Error implements error.
func (e *unavailableError) Error() string { return e.status + " " + e.says }

// refusals turns the answers of a server that is busy, or not there behind its proxy, into
// unavailableError, with what it says.
type refusals struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r refusals) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return response, nil
	}
	defer response.Body.Close()
	start, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
	failed := &unavailableError{status: response.Status, says: brief(string(start))}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		failed.after = time.Duration(seconds) * time.Second
	}
	return nil, failed
}

// brief is the start of a text, in one line.
func brief(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

const (
	// tries bounds the attempts of one query.
	tries = 4
	// firstWait doubles from one attempt to the next.
	firstWait = 250 * time.Millisecond
	// longestWait is the most that a server's own wish is followed.
	longestWait = 10 * time.Second
)

// patiently acts until it succeeds, or fails for a reason that another attempt will not
// change: the server has understood and said no.
func patiently(ctx context.Context, act func() error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := act()
		if err == nil || try == tries || ctx.Err() != nil {
			return err
		}
		if _, answered := errors.AsType[*promv1.Error](err); answered {
			return err
		}
		pause := wait/2 + rand.N(wait) // so that many clients do not come back at once
		if busy, isBusy := errors.AsType[*unavailableError](err); isBusy {
			pause = max(pause, min(busy.after, longestWait))
		}
		wait *= 2
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}

// breaker keeps a server that could not answer from being asked by every series in turn,
// which would hold up the loop: for a while, all are told what the first was told.
type breaker struct {
	mutex sync.Mutex
	until time.Time
	pause time.Duration
	cause error
}

const shortestPause, longestPause = 5 * time.Second, 2 * time.Minute

func (b *breaker) check(now time.Time) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if now.Before(b.until) {
		return fmt.Errorf("not asked again before %s: %w", b.until.UTC().Format(time.RFC3339), b.cause)
	}
	return nil
}

func (b *breaker) trip(now time.Time, cause error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if now.Before(b.until) {
		return // another query tripped it meanwhile
	}
	b.pause = min(max(2*b.pause, shortestPause), longestPause)
	b.until, b.cause = now.Add(b.pause), cause
}

func (b *breaker) close() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.until, b.pause, b.cause = time.Time{}, 0, nil
}

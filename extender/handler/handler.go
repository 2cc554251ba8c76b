// Package handler speaks the scheduler's extender protocol (k8s.io/kube-scheduler/extender/v1)
// and answers from an index that informers keep, without a request to anybody.
package handler

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
)

// maxBody is the largest request that is read: 5,000 names, or a thousand whole nodes.
const maxBody = 8 << 20

// Options are what a handler needs.
type Options struct {
	// Index answers.
	Index *Index
	// Synced tells whether the index has seen everything once; until then all nodes pass.
	Synced func() bool
	// Deadline is how long an answer may take before all nodes pass.
	Deadline time.Duration
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	// Log is the logger.
	Log logr.Logger
}

type handler struct {
	Options
	metrics *metrics
}

// New serves /filter, /prioritize and /preempt.
func New(o Options) http.Handler {
	h := &handler{Options: o, metrics: newMetrics(o.Registerer)}
	mux := http.NewServeMux()
	mux.Handle("/filter", h.verb("filter", call(h.filter, passAll)))
	mux.Handle("/prioritize", h.verb("prioritize", call(h.prioritize, zeroScores)))
	mux.Handle("/preempt", h.verb("preempt", call(h.preempt, keepCandidates)))
	return mux
}

// badRequest is a request that makes no sense; its text goes to the scheduler's log.
type badRequest struct {
	status int
	err    error
}

func (b badRequest) Error() string { return b.err.Error() }

// answer is a decoded request's two possible answers: the decision, and what passes
// everything through when no decision can be had in time.
type answer struct {
	decide func() any
	pass   func() any
}

// call decodes a request for a verb. It is generic over the verb's argument.
func call[A any](decide func(*A) any, pass func(*A) any) func([]byte) (answer, error) {
	return func(body []byte) (answer, error) {
		var args A
		if err := json.Unmarshal(body, &args); err != nil {
			return answer{}, badRequest{http.StatusBadRequest, fmt.Errorf("the body is not a request of the extender protocol: %w", err)}
		}
		if err := check(&args); err != nil {
			return answer{}, badRequest{http.StatusBadRequest, err}
		}
		return answer{func() any { return decide(&args) }, func() any { return pass(&args) }}, nil
	}
}

// check refuses requests that lack what every answer needs.
func check(args any) error {
	switch a := args.(type) {
	case *extenderv1.ExtenderArgs:
		if a.Pod == nil {
			return errors.New("field Pod is missing")
		}
		if (a.Nodes == nil) == (a.NodeNames == nil) {
			return errors.New("exactly one of Nodes and NodeNames must be given")
		}
	case *extenderv1.ExtenderPreemptionArgs:
		if a.Pod == nil {
			return errors.New("field Pod is missing")
		}
		if (a.NodeNameToVictims == nil) == (a.NodeNameToMetaVictims == nil) {
			return errors.New("exactly one of NodeNameToVictims and NodeNameToMetaVictims must be given")
		}
	}
	return nil
}

// verb wraps a call with the limits, the deadline and the metrics that all verbs share.
func (h *handler) verb(name string, decode func([]byte) (answer, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		started := time.Now()
		result := "ok"
		defer func() {
			h.metrics.requests.WithLabelValues(name, result).Inc()
			h.metrics.duration.WithLabelValues(name).Observe(time.Since(started).Seconds())
		}()
		body, err := read(w, request)
		var a answer
		if err == nil {
			a, err = decode(body)
		}
		if err != nil {
			result = "refused"
			status := http.StatusBadRequest
			if bad, ok := errors.AsType[badRequest](err); ok {
				status = bad.status
			}
			http.Error(w, err.Error(), status)
			return
		}
		var reply any
		reply, result = h.decide(name, a, h.Deadline-time.Since(started))
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(reply); err != nil {
			result = "unsent"
			h.Log.V(1).Info("Answer not sent", "verb", name, "error", err.Error())
		}
	})
}

// read checks method and type and reads a bounded body.
func read(w http.ResponseWriter, request *http.Request) ([]byte, error) {
	if request.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, badRequest{http.StatusMethodNotAllowed, fmt.Errorf("method %s: send POST", request.Method)}
	}
	if media, _, err := mime.ParseMediaType(request.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, badRequest{http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: send application/json", request.Header.Get("Content-Type"))}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, badRequest{http.StatusRequestEntityTooLarge, fmt.Errorf("the body exceeds %d bytes: set nodeCacheCapable to true", tooLarge.Limit)}
		}
		return nil, badRequest{http.StatusBadRequest, fmt.Errorf("read the body: %w", err)}
	}
	return body, nil
}

// decide takes the decision within the time left. What it cannot decide it passes through,
// since the scheduler knows how to go on without us.
func (h *handler) decide(verb string, a answer, left time.Duration) (reply any, result string) {
	if !h.Synced() {
		return a.pass(), "unsynced"
	}
	done := make(chan any, 1)
	go func() {
		defer func() {
			if problem := recover(); problem != nil {
				h.Log.Error(fmt.Errorf("%v", problem), "Decision failed, everything passes", "verb", verb)
				done <- nil
			}
		}()
		done <- a.decide()
	}()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case reply = <-done:
		if reply == nil {
			return a.pass(), "failed"
		}
		return reply, "ok"
	case <-timer.C:
		return a.pass(), "late"
	}
}

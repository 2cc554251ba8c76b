// Package handler speaks the scheduler's extender protocol (k8s.io/kube-scheduler/extender/v1)
// and answers from an index that informers keep, without a request to anybody.
package handler

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"forewarm.dev/extender/metrics"
	"forewarm.dev/extender/wire"
)

// maxBody is the largest request that is read: 5,000 names, or a thousand whole nodes.
const maxBody = 8 << 20

// keptBody is the largest buffer that is kept for the next request.
const keptBody = 1 << 20

// Options are what a handler needs.
type Options struct {
	// Index answers.
	Index *Index
	// Synced tells whether the index has seen everything once; until then nothing is decided.
	Synced func() bool
	// Deadline is how long an answer may take before it is given up.
	Deadline time.Duration
	// FailClosed answers 503 to what cannot be decided, instead of passing everything through:
	// the scheduler's "ignorable" then says what becomes of the pod.
	FailClosed bool
	// Metrics takes the metrics.
	Metrics *metrics.Metrics
	// Log is the logger.
	Log logr.Logger
}

type handler struct{ Options }

// New serves /filter, /prioritize and /preempt.
func New(o Options) http.Handler {
	h := &handler{Options: o}
	twice := &wire.Twice{Decode: o.Index.names.Decode}
	mux := http.NewServeMux()
	mux.Handle("/filter", h.verb("filter", call(twice.Nodes, h.filter, passAll)))
	mux.Handle("/prioritize", h.verb("prioritize", call(twice.Nodes, h.prioritize, noScores)))
	mux.Handle("/preempt", h.verb("preempt", call(wire.DecodeVictims, h.preempt, keepCandidates)))
	return mux
}

// reply appends the answer's body.
type reply func([]byte) ([]byte, error)

// badRequest is a request that makes no sense; its text goes to the scheduler's log.
type badRequest struct {
	status int
	err    error
}

func (b badRequest) Error() string { return b.err.Error() }

// answer is a decoded request's two possible answers: the decision, and what passes
// everything through when no decision can be had in time.
type answer struct{ decide, pass func() reply }

// call decodes a request for a verb. It is generic over the verb's argument.
func call[A any](decode func([]byte) (*A, error), decide, pass func(*A) reply) func([]byte) (answer, error) {
	return func(body []byte) (answer, error) {
		args, err := decode(body)
		if err != nil {
			return answer{}, badRequest{http.StatusBadRequest, err}
		}
		return answer{func() reply { return decide(args) }, func() reply { return pass(args) }}, nil
	}
}

// buffers are those of bodies, read and written.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func giveBack(b *bytes.Buffer) {
	if b.Cap() <= keptBody {
		b.Reset()
		buffers.Put(b)
	}
}

// verb wraps a call with the limits, the deadline and the metrics that all verbs share.
func (h *handler) verb(name string, decode func([]byte) (answer, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		started := time.Now()
		result := "ok"
		defer func() { h.Metrics.Observe(request.Context(), name, result, time.Since(started)) }()
		in := buffers.Get().(*bytes.Buffer)
		defer giveBack(in)
		err := read(w, request, in)
		var a answer
		if err == nil {
			a, err = decode(in.Bytes())
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
		var r reply
		r, result = h.decide(name, a, h.Deadline-time.Since(started))
		if r == nil {
			http.Error(w, "no decision: "+result, http.StatusServiceUnavailable)
			return
		}
		if err := send(w, r); err != nil {
			result = "unsent"
			h.Log.V(1).Info("Answer not sent", "verb", name, "error", err.Error())
		}
	})
}

// send writes an answer in one piece, so that it carries its length.
func send(w http.ResponseWriter, r reply) error {
	out := buffers.Get().(*bytes.Buffer)
	defer giveBack(out)
	body, err := r(out.AvailableBuffer())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return err
	}
	out.Write(body) // in place where it fitted, else it grows for the next
	w.Header()["Content-Type"] = jsonType
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, err = w.Write(body)
	return err
}

var jsonType = []string{"application/json"}

// read checks method and type and reads a bounded body.
func read(w http.ResponseWriter, request *http.Request, into *bytes.Buffer) error {
	if request.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return badRequest{http.StatusMethodNotAllowed, fmt.Errorf("method %s: send POST", request.Method)}
	}
	if media, _, err := mime.ParseMediaType(request.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return badRequest{http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: send application/json", request.Header.Get("Content-Type"))}
	}
	if n := request.ContentLength; n > 0 && n <= maxBody {
		into.Grow(int(n) + bytes.MinRead)
	}
	_, err := into.ReadFrom(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return badRequest{http.StatusRequestEntityTooLarge, fmt.Errorf("the body exceeds %d bytes: set nodeCacheCapable to true", tooLarge.Limit)}
		}
		return badRequest{http.StatusBadRequest, fmt.Errorf("read the body: %w", err)}
	}
	if into.Len() == 0 {
		return badRequest{http.StatusBadRequest, fmt.Errorf("the body is empty: %w", io.ErrUnexpectedEOF)}
	}
	return nil
}

// decide takes the decision within the time left. What it cannot decide it passes through,
// since the scheduler knows how to go on without us, or leaves to the scheduler by no reply.
func (h *handler) decide(verb string, a answer, left time.Duration) (r reply, result string) {
	undecided := func(result string) (reply, string) {
		if h.FailClosed {
			return nil, result
		}
		return a.pass(), result
	}
	if !h.Synced() {
		return undecided("unsynced")
	}
	if h.Index.behind() {
		return undecided("behind")
	}
	done := make(chan reply, 1)
	go func() {
		defer func() {
			if problem := recover(); problem != nil {
				h.Log.Error(fmt.Errorf("%v", problem), "Decision failed", "verb", verb)
				done <- nil
			}
		}()
		done <- a.decide()
	}()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case r = <-done:
		if r == nil {
			return undecided("failed")
		}
		return r, "ok"
	case <-timer.C:
		return undecided("late")
	}
}

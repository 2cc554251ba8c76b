// Package handler serves admission reviews over HTTP: it turns a review, the caches and,
// where a cache is behind, the API server into a [webhook.Request], and the decision into
// a response. Reviews have no side effect, except claims on totals, which a dry run leaves out.
//
// A denial is HTTP 200 with allowed: false. Whatever goes wrong inside is HTTP 500, so
// that failurePolicy decides: an internal error reported as a denial would refuse the
// write even under failurePolicy Ignore.
package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/utils/clock"

	"forewarm.dev/internal/tracing"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/ledger"
	"forewarm.dev/webhook/parts"
	"forewarm.dev/webhook/sources"
	"forewarm.dev/webhook/total"
)

const (
	// maxBody holds an object and its old version. etcd takes no more than 2 MiB of one, of
	// which JSON may make six bytes from each. What can be stored can be reviewed: else its mere
	// size would lead past a ceiling, since failurePolicy lets pass what is turned away.
	maxBody = 25 << 20
	// usualBody is what nearly all reviews are within; of larger ones maxLarge are held at once,
	// and others wait. So reviews never hold more than maxInFlight MiB and maxLarge times maxBody.
	usualBody = 1 << 20
	maxLarge  = 4
	// keptBody is the largest buffer that is kept for the next review.
	keptBody = 128 << 10
	// maxInFlight reviews run at once; more are turned away at once, since a queue would
	// only be answered after the API server has given up.
	maxInFlight = 256
	// deadline is below the two seconds that the API server waits.
	deadline = 1800 * time.Millisecond
)

// Options are what all handlers need.
type Options struct {
	Namespaces *sources.Namespaces
	Parents    *sources.Parents
	Owners     *sources.Owners
	Access     *sources.Access
	LastGood   *sources.LastGood
	Pools      *sources.Pools
	// Claims finds what pods claim by DRA; nil where nothing is to be found.
	Claims Claims
	// MarkClaims has pods that get their GPUs by claims alone marked for the extender.
	MarkClaims bool
	// Book has the ledgers of totals.
	Book *ledger.Book
	// Ledgers are those as they are known here, by which autoscalers are clamped; nil where none are.
	Ledgers Ledgers
	// Raised, if any, is told of raises.
	Raised Raised
	// Kinds are the kinds whose counts are reviewed.
	Kinds []webhook.Kind
	// Autoscalers are the users whose writes of /scale are clamped.
	Autoscalers []string
	Registerer  prometheus.Registerer
	Log         logr.Logger
	Clock       clock.PassiveClock
}

// Claims finds what claim sources ask for.
type Claims interface {
	Of(ctx context.Context, namespace string, refs []webhook.ClaimRef) (webhook.Claims, error)
}

// Ledgers finds ledgers of totals.
type Ledgers interface {
	Of(ctx context.Context, h ledger.Holder) (l total.Ledger, known bool, err error)
}

// Handlers are what is served, each on a path of its own.
type Handlers struct{ Ceilings, Totals, Clamps, Pods http.Handler }

func (o Options) converter() converter {
	return converter{o.Namespaces, o.Parents, o.Owners, o.LastGood, o.Pools, o.Claims, o.Ledgers, sources.Index(o.Kinds), o.Autoscalers, o.MarkClaims, o.Clock}
}

// New makes the handlers.
func New(o Options) Handlers {
	c := o.converter()
	m := newMetrics(o.Registerer, c.kinds)
	shared := server{owners: o.Owners, access: o.Access, book: o.Book, metrics: m, log: o.Log, clock: o.Clock, slots: make(chan struct{}, maxInFlight), large: make(chan struct{}, maxLarge), bodies: &sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	forCeilings, forTotals, forClamps, forPods := shared, shared, shared, shared
	forCeilings.convert, forCeilings.chain, forCeilings.raised = c.ceilings, webhook.Ceilings(), o.Raised
	forTotals.convert, forTotals.chain = c.totals, webhook.Ceilings()
	forClamps.convert, forClamps.chain = c.clamps, webhook.Clamps()
	forPods.convert, forPods.chain = c.pods, webhook.Pods()
	return Handlers{Ceilings: forCeilings, Totals: forTotals, Clamps: forClamps, Pods: forPods}
}

// server answers the reviews of one chain.
type server struct {
	convert func(context.Context, *admissionv1.AdmissionRequest) (converted, error)
	chain   webhook.Chain
	owners  *sources.Owners
	access  *sources.Access
	book    *ledger.Book
	raised  Raised
	metrics metrics
	log     logr.Logger
	clock   clock.PassiveClock
	slots   chan struct{}
	large   chan struct{}
	// bodies are buffers of reviews that have been answered.
	bodies *sync.Pool
}

// refusal is an HTTP status other than 200, with its reason in the metrics.
type refusal struct {
	status int
	reason string
	err    error
}

func (r refusal) Error() string { return r.err.Error() }

// ServeHTTP answers one review: 1 admit, 2 read, 3 decide, 4 answer.
func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := s.clock.Now()
	verdict, reason := "Error", ""
	defer func() {
		if cause := recover(); cause != nil {
			reason = "Panic"
			s.log.Error(fmt.Errorf("%v", cause), "Review panicked", "stack", string(debug.Stack()))
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
		s.metrics.observe(verdict, reason, s.clock.Since(started))
		trace(r.Context(), verdict, reason)
	}()
	leave, ok := s.enter(r)
	if !ok {
		reason = "Overloaded"
		http.Error(w, "too many reviews at once", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	answer, decision, err := s.review(w, r)
	if err != nil {
		refused, ok := errors.AsType[refusal](err)
		if !ok {
			refused = refusal{http.StatusInternalServerError, "InternalError", err}
			s.log.Error(err, "Review failed")
		}
		reason = refused.reason
		http.Error(w, refused.Error(), refused.status)
		return
	}
	verdict, reason = string(decision.Verdict), string(decision.Reason)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // the API server has gone away if this fails
}

// enter takes a slot, and for a large body one of the few for those too.
func (s server) enter(r *http.Request) (leave func(), ok bool) {
	select {
	case s.slots <- struct{}{}:
	default:
		return nil, false
	}
	free := func() { <-s.slots }
	if r.ContentLength >= 0 && r.ContentLength <= usualBody {
		return free, true
	}
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	select {
	case s.large <- struct{}{}:
		return func() { <-s.large; free() }, true
	case <-ctx.Done():
		free()
		return nil, false
	}
}

// review makes the whole answer before a byte of it is sent. Nothing of the body is used behind
// that.
func (s server) review(w http.ResponseWriter, r *http.Request) ([]byte, webhook.Decision, error) {
	body := s.bodies.Get().(*bytes.Buffer)
	defer func() {
		if body.Cap() <= keptBody {
			s.bodies.Put(body)
		}
	}()
	request, err := read(w, r, body)
	if err != nil {
		return nil, webhook.Decision{}, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	c, err := s.convert(ctx, request)
	if err != nil {
		return nil, webhook.Decision{}, err
	}
	traceObject(ctx, c)
	decision, err := s.decide(ctx, c)
	if err != nil {
		return nil, webhook.Decision{}, err
	}
	if decision.Verdict == webhook.Allow && c.claims() {
		if decision, err = s.claim(ctx, c, decision); err != nil {
			return nil, webhook.Decision{}, err
		}
	}
	if decision.Verdict == webhook.Allow {
		s.tell(ctx, request, c)
	}
	s.metrics.held(request, decision)
	if log := s.log.V(1); log.Enabled() {
		log.Info("Review decided", "object", c.request.Object.String(), "user", request.UserInfo.Username,
			"verdict", decision.Verdict, "reason", decision.Reason, "message", decision.Message)
	}
	response, err := respond(request.UID, decision)
	if err != nil {
		return nil, decision, err
	}
	answer, err := encode(response)
	return answer, decision, err
}

// decide reviews, and where that ends in less than what is asked for, or would in another mode, asks the object's
// controller, how many replicas there are, and what the writer may do: only then, so that the
// usual review reads nothing from the API server.
func (s server) decide(ctx context.Context, c converted) (webhook.Decision, error) {
	ctx, step := tracing.Step(ctx, "decide")
	defer step.End()
	decision := s.chain.Review(c.request)
	if decision.HoldsBack() || decision.Reason == webhook.ReasonAboveCeiling {
		learned, err := s.learn(ctx, &c)
		if err != nil {
			return decision, err
		}
		if learned {
			decision = s.chain.Review(c.request)
		}
	}
	c.request.May = map[webhook.Verb]bool{}
	for decision.Needs != "" && !c.request.May[decision.Needs] {
		may, err := s.access.May(ctx, c.user, decision.Needs, c.request.Object)
		if err != nil {
			return decision, err
		}
		if !may {
			break
		}
		c.request.May[decision.Needs] = true
		decision = s.chain.Review(c.request)
	}
	decision.Warnings = append(decision.Warnings, c.warnings...)
	return decision, nil
}

// learn reads what may let a growth through after all, and says whether there is any.
func (s server) learn(ctx context.Context, c *converted) (bool, error) {
	r := &c.request
	owner, err := s.owner(ctx, *c)
	if err != nil {
		return false, err
	}
	r.Owner = owner
	if c.target != nil {
		standing, err := s.owners.Standing(ctx, *c.target, r.Workload)
		if err != nil {
			return false, err
		}
		r.Standing = max(r.Standing, standing)
	}
	return r.Owner != nil || r.Standing > 0, nil
}

// read takes the request out of the body, of which its objects stay parts, and refuses what is no
// AdmissionReview v1.
func read(w http.ResponseWriter, r *http.Request, body *bytes.Buffer) (*admissionv1.AdmissionRequest, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, refusal{http.StatusMethodNotAllowed, "BadRequest", errors.New("reviews are POSTed")}
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, refusal{http.StatusUnsupportedMediaType, "BadRequest", errors.New("Content-Type must be application/json")}
	}
	body.Reset()
	body.Grow(int(min(max(r.ContentLength, 0), keptBody/2)) + bytes.MinRead) // spares copies; a larger promise has to be kept first
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, refusal{http.StatusRequestEntityTooLarge, "TooLarge", fmt.Errorf("body exceeds %d bytes", maxBody)}
	}
	if err != nil {
		return nil, refusal{http.StatusBadRequest, "BadRequest", fmt.Errorf("read body: %w", err)}
	}
	review, err := parts.Review(body.Bytes())
	if err != nil {
		return nil, refusal{http.StatusBadRequest, "BadRequest", fmt.Errorf("decode AdmissionReview: %w", err)}
	}
	if review.Kind != "AdmissionReview" || review.APIVersion != "admission.k8s.io/v1" || review.Request == nil {
		return nil, refusal{http.StatusBadRequest, "BadRequest", errors.New("body must be an AdmissionReview of admission.k8s.io/v1 with a request")}
	}
	return review.Request, nil
}

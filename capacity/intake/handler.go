package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsjson "sigs.k8s.io/json"

	"forewarm.dev/api/v1alpha1"
)

// Path is where calls are posted to.
const Path = "/v1/demandevents"

const (
	// largest is how much of a body is read.
	largest = 16 << 10
	// mostStanding is how many DemandEvents of calls may stand that have not ended.
	mostStanding = 100
	// kept is for how long those that have ended are kept, as long as histories are: forecasts take out of
	// these what an event did. mostEnded are kept at most, and each for freshFor after it was made, in which
	// its call could be sent again; mostFresh more may be there because of that.
	kept, mostEnded, freshFor, mostFresh = 28 * 24 * time.Hour, 200, time.Hour, 100
	// patience bounds one call.
	patience = 10 * time.Second
)

// Options are what a Handler needs.
type Options struct {
	// Live reads from the API server, Writer writes.
	Live   client.Reader
	Writer client.Client
	// SecretFile holds secrets, one a line. It is read with each call.
	SecretFile string
	Registerer prometheus.Registerer
	Clock      clock.PassiveClock
	Log        logr.Logger
}

// Handler answers calls.
type Handler struct {
	options Options
	calls   *prometheus.CounterVec
	// busy bounds the calls that are answered at a time, of those that are signed: who holds no secret takes
	// nobody's turn.
	busy chan struct{}

	mu sync.Mutex
	// made are the events that calls have made, and when: who deletes one has not asked for it again.
	made map[string]time.Time
}

// New makes a Handler.
func New(o Options) *Handler {
	h := &Handler{options: o, busy: make(chan struct{}, 8), made: map[string]time.Time{}, calls: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "forewarm_capacity_calls_total", Help: "Calls that declare demand, by the status of the answer.",
	}, []string{"code"})}
	o.Registerer.MustRegister(h.calls)
	for _, code := range []int{http.StatusCreated, http.StatusUnauthorized} {
		h.calls.WithLabelValues(fmt.Sprint(code)) // counts from zero
	}
	return h
}

// refusal is an answer that declares nothing.
type refusal struct {
	code int
	says string
}

func (r refusal) Error() string { return r.says }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	code, answer := http.StatusCreated, map[string]string{}
	name, err := h.take(w, r)
	if err == nil {
		answer["name"] = name
	} else {
		code = http.StatusInternalServerError
		if refused, ok := errors.AsType[refusal](err); ok {
			code = refused.code
		} else {
			h.options.Log.Error(err, "Declared demand not taken")
			err = errors.New("the call could not be answered: see the reserver's log, and try again")
		}
		answer["error"] = err.Error()
	}
	h.calls.WithLabelValues(fmt.Sprint(code)).Inc()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // who has gone is told nothing
}

// take makes a DemandEvent of a call: 1 read, 2 verify, 3 decode, 4 create.
func (h *Handler) take(w http.ResponseWriter, r *http.Request) (name string, err error) {
	switch {
	case r.URL.Path != Path:
		return "", refusal{http.StatusNotFound, "post to " + Path}
	case r.Method != http.MethodPost:
		return "", refusal{http.StatusMethodNotAllowed, "post to " + Path}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", largest)}
	case err != nil:
		return "", refusal{http.StatusBadRequest, "the body could not be read"}
	}
	data, err := os.ReadFile(h.options.SecretFile)
	if err != nil {
		return "", fmt.Errorf("read reserver.calls.secretFile: %w", err)
	}
	secrets, err := secretsOf(data)
	if err != nil {
		return "", fmt.Errorf("%s (reserver.calls.secretFile): %w", h.options.SecretFile, err)
	}
	timestamp := r.Header.Get(HeaderTimestamp)
	if err := verify(secrets, timestamp, r.Header.Get(HeaderSignature), body, h.options.Clock.Now()); err != nil {
		return "", refusal{http.StatusUnauthorized, err.Error()}
	}
	select {
	case h.busy <- struct{}{}:
		defer func() { <-h.busy }()
	default:
		return "", refusal{http.StatusServiceUnavailable, "too many calls at a time: try again"}
	}
	spec, err := decode(body)
	if err != nil {
		return "", refusal{http.StatusBadRequest, err.Error()}
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	return h.create(ctx, nameOf(timestamp, body), spec)
}

// decode is strict: the body is the spec of a DemandEvent.
func decode(body []byte) (spec v1alpha1.DemandEventSpec, err error) {
	problems, err := sigsjson.UnmarshalStrict(body, &spec)
	if err := errors.Join(append(problems, err)...); err != nil {
		return spec, fmt.Errorf("the body is not the spec of a DemandEvent: %w", err)
	}
	return spec, nil
}

// create makes the event, once, where there is room for one.
func (h *Handler) create(ctx context.Context, name string, spec v1alpha1.DemandEventSpec) (string, error) {
	if h.wasMade(name) {
		return "", again(name)
	}
	err := h.options.Writer.Get(ctx, client.ObjectKey{Name: spec.Pool}, &v1alpha1.WarmPool{})
	switch {
	case apierrors.IsNotFound(err):
		return "", refusal{http.StatusUnprocessableEntity, fmt.Sprintf("pool: there is no WarmPool %q", spec.Pool)}
	case err != nil:
		return "", fmt.Errorf("get WarmPool %s: %w", spec.Pool, err)
	}
	if err := h.makeRoom(ctx); err != nil {
		return "", err
	}
	event := &v1alpha1.DemandEvent{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1alpha1.LabelCalled: "true"}}, Spec: spec}
	err = h.options.Writer.Create(ctx, event)
	switch {
	case err == nil:
		h.remember(name)
		h.options.Log.Info("Demand declared by a call", "name", name, "pool", spec.Pool)
		return name, nil
	case apierrors.IsAlreadyExists(err):
		return "", again(name)
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err):
		return "", refusal{http.StatusUnprocessableEntity, strings.TrimPrefix(err.Error(), "DemandEvent.forewarm.dev ")}
	default:
		return "", fmt.Errorf("create DemandEvent %s: %w", name, err)
	}
}

func again(name string) refusal {
	return refusal{http.StatusConflict, fmt.Sprintf("DemandEvent %s was made of this very call already; sign again to declare it once more", name)}
}

func (h *Handler) wasMade(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, was := h.made[name]
	return was
}

// remember keeps a name for as long as its call could be sent again.
func (h *Handler) remember(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.options.Clock.Now()
	maps.DeleteFunc(h.made, func(_ string, at time.Time) bool { return now.Sub(at) > 2*window })
	h.made[name] = now
}

// makeRoom sweeps, and refuses one more event where too many are left.
func (h *Handler) makeRoom(ctx context.Context) error {
	standing, ended, err := h.sweep(ctx)
	switch {
	case err != nil:
		return err
	case standing >= mostStanding:
		return refusal{http.StatusTooManyRequests, fmt.Sprintf("%d DemandEvents of calls have not ended: delete some of them first", standing)}
	case ended >= mostEnded+mostFresh:
		return refusal{http.StatusTooManyRequests, fmt.Sprintf("%d DemandEvents of calls have ended, many of them made lately: try again in an hour", ended)}
	}
	return nil
}

// sweep deletes events of calls that ended long ago, or before many others, and counts those that have not ended,
// and those that have and stay.
func (h *Handler) sweep(ctx context.Context) (standing, stay int, err error) {
	var list v1alpha1.DemandEventList
	if err := h.options.Live.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelCalled: "true"}); err != nil {
		return 0, 0, fmt.Errorf("list DemandEvents: %w", err)
	}
	now, endOf := h.options.Clock.Now(), func(e v1alpha1.DemandEvent) time.Time { return e.Spec.Start.Add(e.Spec.Duration.Duration) }
	ended := slices.DeleteFunc(list.Items, func(e v1alpha1.DemandEvent) bool { return endOf(e).After(now) })
	standing = len(list.Items) - len(ended)
	slices.SortFunc(ended, func(a, b v1alpha1.DemandEvent) int { return endOf(b).Compare(endOf(a)) })
	for i := range ended {
		event := &ended[i]
		old := i >= mostEnded || endOf(*event).Before(now.Add(-kept))
		if !old || !event.CreationTimestamp.Before(&metav1.Time{Time: now.Add(-freshFor)}) {
			stay++
			continue
		}
		if err := h.options.Writer.Delete(ctx, event); client.IgnoreNotFound(err) != nil {
			return 0, 0, fmt.Errorf("delete DemandEvent %s: %w", event.Name, err)
		}
	}
	return standing, stay, nil
}

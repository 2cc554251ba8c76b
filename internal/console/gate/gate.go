// Package gate lets people into the console: the cluster says by TokenReview who a token is of, and by
// SubjectAccessReview what he may see and do. What he reads or writes of his own beyond that goes with his
// own token, so that the console needs no right of his.
package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/clock"
)

// Reasons for which nobody is let in.
var (
	// ErrUnknown says that the cluster does not know the token, or no more.
	ErrUnknown = errors.New("the cluster does not accept this token: make a new one with kubectl create token")
	// ErrBusy says that too many have tried to sign in within the last seconds.
	ErrBusy = errors.New("too many have tried to sign in just now: try again in a few seconds")
	// ErrFull says that there are as many sessions as there may be.
	ErrFull = errors.New("as many people are signed in as there may be: try again later, or raise console.maxSessions")
)

const (
	// longest is how long a token may be; those with many groups have some kilobytes.
	longest = 32 << 10
	// perSecond and burst bound how often the cluster is asked about tokens of people who sign in.
	perSecond, burst = 5, 20
)

// Options are what a Gate needs.
type Options struct {
	// Authenticator knows the tokens of the cluster, and Authorizer the rights of their owners.
	Authenticator authenticator.Request
	Authorizer    authorizer.Authorizer
	// Idle ends a session in which nobody has done anything for that long, Lifetime ends every one.
	Idle, Lifetime time.Duration
	// Most is how many sessions there may be.
	Most       int
	Registerer prometheus.Registerer
	Clock      clock.PassiveClock
}

// Gate knows who is signed in.
type Gate struct {
	options  Options
	sessions *sessions
	tries    *rate.Limiter
	signIns  *prometheus.CounterVec
}

// New makes a Gate.
func New(o Options) *Gate {
	g := &Gate{
		options: o, sessions: newSessions(o.Idle, o.Lifetime, o.Most, o.Clock), tries: rate.NewLimiter(perSecond, burst),
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "forewarm_console_sign_ins_total",
			Help: "Attempts to sign in to the console, by result: SignedIn, Unknown, Refused or Failed.",
		}, []string{"result"}),
	}
	for _, result := range []string{"SignedIn", "Unknown", "Refused", "Failed"} {
		g.signIns.WithLabelValues(result)
	}
	o.Registerer.MustRegister(g.signIns, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "forewarm_console_sessions", Help: "People who are signed in to the console.",
	}, func() float64 { return float64(g.sessions.count()) }))
	return g
}

// Enter signs the owner of a token in, and returns the id of his session, for his cookie.
func (g *Gate) Enter(ctx context.Context, token Token) (string, error) {
	id, err := g.enter(ctx, token)
	result := "SignedIn"
	switch {
	case err == nil:
	case errors.Is(err, ErrUnknown):
		result = "Unknown"
	case errors.Is(err, ErrBusy), errors.Is(err, ErrFull):
		result = "Refused"
	default:
		result = "Failed"
	}
	g.signIns.WithLabelValues(result).Inc()
	return id, err
}

func (g *Gate) enter(ctx context.Context, token Token) (string, error) {
	if !g.tries.AllowN(g.options.Clock.Now(), 1) {
		return "", ErrBusy
	}
	who, err := g.review(ctx, token)
	if err != nil {
		return "", err
	}
	return g.sessions.open(token, who)
}

// Leave ends the session of an id.
func (g *Gate) Leave(id string) { g.sessions.end(id) }

// Find is the session of an id, if the cluster still accepts its token; ErrUnknown where there is none. By
// active somebody does something, which keeps the session from ending idle.
func (g *Gate) Find(ctx context.Context, id string, active bool) (*Session, error) {
	session := g.sessions.find(id, active)
	if session == nil {
		return nil, ErrUnknown
	}
	who, err := g.review(ctx, session.Token)
	if err == nil && !same(who, session.User) {
		err = ErrUnknown
	}
	if errors.Is(err, ErrUnknown) {
		g.sessions.end(id)
	}
	if err != nil {
		return nil, err
	}
	return session, nil
}

// same says whether somebody still is who he was, with the groups that his rights come from.
func same(a, b user.Info) bool {
	return a.GetName() == b.GetName() && a.GetUID() == b.GetUID() && slices.Equal(slices.Sorted(slices.Values(a.GetGroups())), slices.Sorted(slices.Values(b.GetGroups())))
}

// review asks the cluster who a token is of.
func (g *Gate) review(ctx context.Context, token Token) (user.Info, error) {
	if token == "" || len(token) > longest || strings.ContainsAny(string(token), " \t\r\n,") {
		return nil, ErrUnknown
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, known, err := g.options.Authenticator.AuthenticateRequest(request)
	switch {
	case known && response.User != nil:
		return response.User, nil
	case unanswered(err):
		return nil, fmt.Errorf("ask the API server about the token: %w", err)
	default:
		return nil, ErrUnknown
	}
}

// unanswered says whether an error is about the question, and not the answer that a token is not accepted,
// which comes as a bare text.
func unanswered(err error) bool {
	if all, is := err.(utilerrors.Aggregate); is { //nolint:errorlint // an aggregate is not unwrapped by errors.As
		return slices.ContainsFunc(all.Errors(), unanswered)
	}
	var network net.Error
	var status apierrors.APIStatus
	return errors.As(err, &network) || errors.As(err, &status) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// Ask is something that somebody wants to see or do.
type Ask struct {
	Verb, Group, Version, Resource string
	// Namespace and Name are empty for all.
	Namespace, Name string
}

// May says whether the owner of a session has a right, as the cluster's authorization says.
func (g *Gate) May(ctx context.Context, session *Session, ask Ask) (bool, error) {
	decision, _, err := g.options.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: session.User, Verb: ask.Verb, APIGroup: ask.Group, APIVersion: ask.Version, Resource: ask.Resource,
		Namespace: ask.Namespace, Name: ask.Name, ResourceRequest: true,
	})
	if err != nil && decision != authorizer.DecisionAllow {
		return false, fmt.Errorf("ask the API server whether %s may %s %s: %w", session.User.GetName(), ask.Verb, ask.Resource, err)
	}
	return decision == authorizer.DecisionAllow, nil
}

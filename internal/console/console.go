// Package console shows Forewarm to people, in their browser: pools with what was asked of them and what is
// expected, plans that wait for an approval, ceilings, decisions, and why a pod waits. Pages are made here,
// need no script, and renew themselves where there is one.
//
// What is Forewarm's own is read by the console, and shown to those of whom the cluster says that they may
// read it. Everything else is read, and all is written, with the token of the person who looks.
package console

import (
	"context"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/forecast"
	"forewarm.dev/forecast/history"
	"forewarm.dev/internal/console/gate"
	"forewarm.dev/internal/console/live"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

//go:embed assets templates
var files embed.FS

// Options are what a Console needs.
type Options struct {
	Gate *gate.Gate
	Hub  *live.Hub
	// Objects reads WarmPools, CapacityPlans and Decisions.
	Objects client.Reader
	// Demand reads what was recorded.
	Demand Demand
	// Connect reaches the API server in the name of the owner of a token.
	Connect func(gate.Token) (Own, error)
	// Kinds are those that are held to ceilings.
	Kinds []webhook.Kind
	// PlaceholderNamespace has the placeholder pods.
	PlaceholderNamespace string
	Registerer           prometheus.Registerer
	Clock                clock.PassiveClock
	Log                  logr.Logger
}

// Demand is where recorded demand is kept.
type Demand interface {
	Load(ctx context.Context, key history.Key, since time.Time, step time.Duration) (forecast.Series, error)
}

// Own is what somebody reaches the API server with in his own name.
type Own struct {
	Client    client.Client
	Explainer *audit.Explainer
}

// Console answers requests of browsers.
type Console struct {
	options  Options
	pages    map[string]*template.Template
	outlooks outlooks
	written  *prometheus.CounterVec
	mux      *http.ServeMux
	// done ends what pages listen to.
	done <-chan struct{}
}

// New makes a Console that tells pages of changes until ctx ends.
func New(ctx context.Context, o Options) (*Console, error) {
	pages, err := parse()
	if err != nil {
		return nil, err
	}
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		return nil, err
	}
	c := &Console{options: o, pages: pages, mux: http.NewServeMux(), done: ctx.Done(), outlooks: newOutlooks(o.Demand, o.Clock)}
	c.written = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "forewarm_console_plan_writes_total",
		Help: "CapacityPlans approved and rejected in the console, by action (approve, reject) and result (Done, Failed).",
	}, []string{"action", "result"})
	for _, action := range []string{"approve", "reject"} {
		for _, result := range []string{"Done", "Failed"} {
			c.written.WithLabelValues(action, result)
		}
	}
	o.Registerer.MustRegister(c.written)
	c.routes(assets)
	return c, nil
}

func (c *Console) routes(assets fs.FS) {
	c.mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(assets)))
	c.mux.HandleFunc("GET /signin", c.askToSignIn)
	c.mux.HandleFunc("POST /signin", c.signIn)
	c.mux.HandleFunc("GET /live", c.live)
	for pattern, show := range map[string]show{
		"GET /{$}":                    c.home,
		"GET /pools":                  c.allPools,
		"GET /pools/{pool}":           c.onePool,
		"GET /plans":                  c.allPlans,
		"GET /ceilings":               c.ceilings,
		"GET /explain":                c.explain,
		"GET /decisions":              c.allDecisions,
		"GET /decisions/{decision}":   c.oneDecision,
		"GET /pods":                   c.allPods,
		"GET /pods/{namespace}/{pod}": c.onePod,
		"GET /":                       c.nothing,
		"POST /signout":               c.signOut,
		"POST /plans/{plan}/approve":  c.approve,
		"POST /plans/{plan}/reject":   c.reject,
	} {
		c.mux.Handle(pattern, c.visitors(show))
	}
}

// ServeHTTP answers a request.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	defer c.recovered(w, r)
	c.guarded(c.mux).ServeHTTP(w, r)
}

package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"forewarm.dev/internal/console/live"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

const (
	// nearPercent is from which share of a ceiling something stands near it.
	nearPercent = 80
	// auditing bounds how long one look at all ceilings takes, and audited how long it is shown.
	auditing, audited = 25 * time.Second, 15 * time.Second
	// mostHeld is how many rows each table has.
	mostHeld = 200
	// keptAudit is by what a session keeps its last look.
	keptAudit = "audit"
)

// heldView is something that is held to a ceiling.
type heldView struct {
	Object      string
	Asks, Limit int64
	// Unapproved are instance types that it allows against its ceiling.
	Unapproved string
	By, Mode   string
}

// ceilingsPage is what stands near and above ceilings.
type ceilingsPage struct {
	Namespace   string
	Above, Near []heldView
	// Hidden is how many more there are, Held how many have a ceiling.
	Hidden, Held int
	// Unseen says what could not be looked at.
	Unseen []string
	At     time.Time
}

// look is the last that somebody has taken, one at a time.
type look struct {
	mu    sync.Mutex
	shown ceilingsPage
}

func (c *Console) ceilings(v *visit) (page, error) {
	own, err := v.own()
	if err != nil {
		return page{}, err
	}
	namespace := strings.TrimSpace(v.request.URL.Query().Get("namespace"))
	kept, _ := v.session.Kept.LoadOrStore(keptAudit, &look{})
	last := kept.(*look) //nolint:forcetypeassert // nothing else is stored there
	last.mu.Lock()
	defer last.mu.Unlock()
	if now := c.options.Clock.Now(); last.shown.Namespace != namespace || now.Sub(last.shown.At) > audited {
		ctx, cancel := context.WithTimeout(v.request.Context(), auditing)
		defer cancel()
		shown, err := c.audit(ctx, own.Explainer, namespace)
		if err != nil {
			return page{}, err
		}
		shown.At = now.UTC()
		last.shown = shown
	}
	return page{Title: "Ceilings", template: "ceilings", Topics: []string{live.Clock}, Content: last.shown}, nil
}

// audit looks at everything that has a ceiling, by the code of forewarmctl audit.
func (c *Console) audit(ctx context.Context, explainer *audit.Explainer, namespace string) (ceilingsPage, error) {
	shown := ceilingsPage{Namespace: namespace}
	for _, kind := range c.options.Kinds {
		if kind.Cluster && namespace != "" {
			continue
		}
		err := explainer.Each(ctx, kind, namespace, func(_ *unstructured.Unstructured, e audit.Explanation) { shown.add(e) }, func() {})
		if shown.missed(kind.Name, err) != nil {
			return shown, err
		}
	}
	err := c.auditSums(ctx, explainer, &shown)
	shown.cut()
	return shown, err
}

// auditSums looks at totals, and at Nodes.
func (c *Console) auditSums(ctx context.Context, explainer *audit.Explainer, shown *ceilingsPage) error {
	namespace := shown.Namespace
	err := explainer.Totals(ctx, func(u audit.Used) {
		if on := u.Total.On; namespace == "" || on.Kind == "Namespace" && on.Name == namespace {
			shown.sort(u.Bound, heldView{Object: on.String(), Asks: u.Amount, Limit: u.Limit, By: u.Total.Annotation, Mode: string(cmp.Or(u.Mode, webhook.Enforce))})
		}
	})
	if err = shown.missed("totals", err); err != nil || namespace != "" {
		return err
	}
	nodes, counted, err := explainer.Nodes(ctx, func() {})
	shown.sort(err == nil && counted && nodes.Bound, heldView{Object: "Nodes", Asks: nodes.Amount, Limit: nodes.Limit, By: setBy(nodes.Total)})
	return shown.missed("Nodes", err)
}

// missed notes what could not be looked at; other errors are handed back.
func (p *ceilingsPage) missed(what string, err error) error {
	switch {
	case apierrors.IsForbidden(err):
		p.Unseen = append(p.Unseen, what+": "+err.Error())
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		p.Unseen = append(p.Unseen, fmt.Sprintf("%s, or some of them: looking took longer than %v; choose a namespace, or use forewarmctl audit", what, auditing))
		return nil
	default:
		return err
	}
}

// add sorts an object in, by its number and by its instance types.
func (p *ceilingsPage) add(e audit.Explanation) {
	mode := string(cmp.Or(e.Request.Mode, webhook.Enforce))
	p.sort(e.Bound, heldView{Object: e.Request.Object.String(), Asks: e.Highest(), Limit: e.Limit, By: setBy(e.By), Mode: mode})
	if len(e.Unapproved) > 0 {
		p.Above = append(p.Above, heldView{Object: e.Request.Object.String(), Unapproved: strings.Join(e.Unapproved, ", "), By: setBy(e.ApprovedBy), Mode: mode})
	}
}

func setBy(s webhook.Setting) string { return s.Annotation + " on " + s.On.String() }

func (p *ceilingsPage) sort(bound bool, held heldView) {
	if !bound {
		return
	}
	p.Held++
	switch {
	case held.Asks > held.Limit:
		p.Above = append(p.Above, held)
	case held.Asks > 0 && 100*held.Asks >= nearPercent*held.Limit:
		p.Near = append(p.Near, held)
	}
}

// cut leaves the rows that are furthest above, or nearest.
func (p *ceilingsPage) cut() {
	for _, rows := range []*[]heldView{&p.Above, &p.Near} {
		slices.SortStableFunc(*rows, func(a, b heldView) int { return cmp.Compare(b.filled(), a.filled()) })
		kept := min(len(*rows), mostHeld)
		p.Hidden += len(*rows) - kept
		*rows = (*rows)[:kept]
	}
}

// filled is how much of the ceiling is used, as a share.
func (h heldView) filled() float64 {
	if h.Limit == 0 {
		return math.Inf(1)
	}
	return float64(h.Asks) / float64(h.Limit)
}

// explainPage is what holds for one object.
type explainPage struct {
	// Object, Namespace and Replicas are what was asked about.
	Object, Namespace, Replicas string
	// Explained is nil while nothing was asked.
	Explained *audit.Explanation
	// Settings are the annotations that bear on it.
	Settings []webhook.Setting
	By       string
	Asked    bool
}

// explain tells what holds for an object, by the code of forewarmctl explain.
func (c *Console) explain(v *visit) (page, error) {
	query := v.request.URL.Query()
	shown := explainPage{Object: strings.TrimSpace(query.Get("object")), Namespace: cmp.Or(strings.TrimSpace(query.Get("namespace")), "default"), Replicas: strings.TrimSpace(query.Get("replicas"))}
	if shown.Object == "" {
		return page{Title: "Explain a ceiling", template: "explain", Content: shown}, nil
	}
	explained, err := shown.ask(v)
	if err != nil {
		return page{}, err
	}
	shown.Explained, shown.Settings = &explained, explained.Settings()
	if explained.Bound {
		shown.By = setBy(explained.By)
	}
	return page{Title: "Ceiling of " + explained.Request.Object.String(), template: "explain", Topics: []string{live.Clock}, Content: shown}, nil
}

// ask finds the object and asks about it, with the visitor's own rights.
func (p *explainPage) ask(v *visit) (audit.Explanation, error) {
	resource, name, found := strings.Cut(p.Object, "/")
	if !found || resource == "" || name == "" {
		return audit.Explanation{}, &problem{http.StatusBadRequest, "This names no object", fmt.Sprintf("%q is not of the form RESOURCE/NAME: write for example deployment/web.", p.Object)}
	}
	ask, err := askOf(p.Replicas)
	if err != nil {
		return audit.Explanation{}, err
	}
	p.Asked = ask != nil
	own, err := v.own()
	if err != nil {
		return audit.Explanation{}, err
	}
	ctx, cancel := context.WithTimeout(v.request.Context(), auditing)
	defer cancel()
	gvr, o, err := own.Explainer.Find(ctx, resource, p.Namespace, name)
	if err != nil {
		return audit.Explanation{}, found404(err)
	}
	return own.Explainer.ExplainTotals(ctx, gvr, o, ask)
}

// found404 tells of an object that is not found, and leaves errors of the API server as they are.
func found404(err error) error {
	if apierrors.ReasonForError(err) != "" {
		return err
	}
	return &problem{http.StatusNotFound, "There is no such object", err.Error()}
}

// askOf is the number that is asked about, nil for none.
func askOf(replicas string) (*audit.Ask, error) {
	if replicas == "" {
		return nil, nil
	}
	to, err := strconv.ParseInt(replicas, 10, 32)
	if err != nil || to < 0 {
		return nil, &problem{http.StatusBadRequest, "This is no number of replicas", fmt.Sprintf("Replicas %q: write a number from 0 to %d.", replicas, math.MaxInt32)}
	}
	return &audit.Ask{To: to}, nil
}

package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/handler"
)

const (
	// auditEvery is the pause between two rounds of the auditor.
	auditEvery = 15 * time.Second
	// auditShare is how many times as long as it worked the auditor rests after each page, so
	// that it takes a twentieth of a core, however many objects there are, and not much more of
	// the API server's. After a whole round in which no ceiling has changed, it rests auditLater
	// times as long: what it would find then was written past the webhook.
	auditShare = 19
	auditLater = 199
)

// Auditor tells of objects that stand above their ceiling: from before it came, or written while
// no webhook answered. It changes nothing.
type Auditor struct {
	explainer *Explainer
	table     []webhook.Kind
	options   AuditorOptions
	above     *prometheus.GaugeVec
	// told are what the events of objects said.
	told map[types.UID]string
	// unread are the kinds of which it was said that they may not be listed.
	unread map[string]bool
	// unreadable are the values that cannot be read.
	unreadable func() map[*metav1.PartialObjectMetadata][]webhook.Setting
	// changes counts the changes of ceilings, and looked is its value when the last whole round
	// began, −1 before there was one.
	changes func() int64
	looked  int64
}

// AuditorOptions are what an Auditor needs beside what the handlers do.
type AuditorOptions struct {
	Events events.EventRecorder
	// Excluded are the namespaces that are left alone.
	Excluded []string
	// Leading says whether this replica is the one that tells.
	Leading func() bool
	Log     logr.Logger
}

// NewAuditor makes an auditor, which reads annotations as the handlers do.
func NewAuditor(o handler.Options, a AuditorOptions) *Auditor {
	o.Parents = o.Parents.Behind()
	above := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "forewarm_webhook_above_ceiling_objects",
		Help: "Objects that stand above their ceiling, as the leading replica saw last.",
	}, []string{"measure"})
	o.Registerer.MustRegister(above)
	return &Auditor{
		explainer: newExplainer(o),
		table:     o.Kinds, options: a, above: above, told: map[types.UID]string{}, unread: map[string]bool{},
		unreadable: o.LastGood.Unreadable, changes: o.LastGood.Changes, looked: -1,
	}
}

// NeedLeaderElection is false: Leading tells.
func (a *Auditor) NeedLeaderElection() bool { return false }

// Start looks again and again until ctx ends.
func (a *Auditor) Start(ctx context.Context) error {
	for {
		if a.options.Leading() {
			a.round(ctx)
		} else {
			clear(a.told)
			a.looked = -1
			a.report(nil)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(auditEvery):
		}
	}
}

// rest is how long to pause after a page that took so long.
func (a *Auditor) rest(worked time.Duration) time.Duration {
	share := time.Duration(auditShare)
	if a.changes() == a.looked {
		share = auditLater
	}
	return min(share*worked, auditEvery)
}

// pace returns what is called after each page, and then rests.
func (a *Auditor) pace(ctx context.Context) func() {
	worked := time.Now()
	return func() {
		select {
		case <-ctx.Done():
		case <-time.After(a.rest(time.Since(worked))):
		}
		worked = time.Now()
	}
}

// round looks at every kind once.
func (a *Auditor) round(ctx context.Context) {
	began := a.changes()
	seen, counts := map[types.UID]bool{}, map[webhook.Measure]int{}
	whole := true
	for _, kind := range a.table {
		err := a.explainer.Above(ctx, kind, "", func(o *unstructured.Unstructured, e Explanation) {
			if slices.Contains(a.options.Excluded, o.GetNamespace()) {
				return
			}
			counts[kind.Measure]++
			seen[o.GetUID()] = true
			a.tell(o, e)
		}, a.pace(ctx))
		if err != nil && ctx.Err() == nil {
			whole = whole && apierrors.IsForbidden(err) // the same the next time
			a.unlisted(kind, err)
		}
	}
	a.tellUnreadable(seen)
	a.nodes(ctx, seen, counts)
	a.report(counts)
	if !whole {
		return
	}
	a.looked = began
	for uid := range a.told {
		if !seen[uid] {
			delete(a.told, uid)
		}
	}
}

// nodes tells of more Nodes than kube-system allows.
func (a *Auditor) nodes(ctx context.Context, seen map[types.UID]bool, counts map[webhook.Measure]int) {
	used, counted, err := a.explainer.Nodes(ctx, a.pace(ctx))
	if err != nil {
		a.options.Log.V(1).Info("Nodes are not counted this time", "reason", err.Error())
	}
	if err != nil || !counted || !used.Exceeds() {
		return
	}
	counts[webhook.Nodes]++
	seen[used.Carrier.UID] = true
	by := used.Total
	a.say(used.Carrier, used.Carrier.UID, by.On, fmt.Sprintf("%d Nodes stand, at most %d allowed by annotation %s=%q on %s; they may stay, and go", used.Amount, used.Limit, by.Annotation, by.Value, by.On))
}

// report sets the metric; a replica that does not lead knows of nothing.
func (a *Auditor) report(counts map[webhook.Measure]int) {
	for _, measure := range []webhook.Measure{webhook.Replicas, webhook.Nodes} {
		a.above.WithLabelValues(string(measure)).Set(float64(counts[measure]))
	}
}

// tell tells of an object.
func (a *Auditor) tell(o *unstructured.Unstructured, e Explanation) {
	a.say(o, o.GetUID(), e.Request.Object, e.stands()+"; it may stay and shrink, and not grow")
}

// say sends an event where there is something new to say.
func (a *Auditor) say(o runtime.Object, uid types.UID, of webhook.Object, says string) {
	if a.told[uid] == says {
		return
	}
	a.told[uid] = says
	a.options.Log.Info("An object stands above its ceiling", "object", of.String(), "says", says)
	a.options.Events.Eventf(o, nil, corev1.EventTypeWarning, v1alpha1.ReasonStandsAboveCeiling, "Audit", "%s", says)
}

// tellUnreadable sends an event for each object with values that cannot be read.
func (a *Auditor) tellUnreadable(seen map[types.UID]bool) {
	for o, settings := range a.unreadable() {
		var ways []string
		for _, s := range settings {
			ways = append(ways, webhook.Unreadable(s))
		}
		says, key := strings.Join(ways, "; "), "unreadable "+o.UID // beside what is told of its count
		seen[key] = true
		if a.told[key] == says {
			continue
		}
		a.told[key] = says
		a.options.Log.Info("A ceiling cannot be read", "object", o.Kind+" "+client.ObjectKeyFromObject(o).String(), "says", says)
		a.options.Events.Eventf(o, nil, corev1.EventTypeWarning, v1alpha1.ReasonCeilingUnreadable, "Audit", "%s", says)
	}
}

// stands says in what way an object is above what holds for it.
func (e Explanation) stands() string {
	var ways []string
	if e.Exceeds() {
		ways = append(ways, fmt.Sprintf("asks for %d %s, at most %d allowed by annotation %s=%q on %s", e.Highest(), e.Request.Measure, e.Limit, e.By.Annotation, e.By.Value, e.By.On))
	}
	if len(e.Unapproved) > 0 {
		ways = append(ways, fmt.Sprintf("allows instance types %s, not approved by annotation %s=%q on %s", strings.Join(e.Unapproved, ", "), e.ApprovedBy.Annotation, e.ApprovedBy.Value, e.ApprovedBy.On))
	}
	return strings.Join(ways, "; ")
}

// unlisted says once of each kind that it cannot be looked at.
func (a *Auditor) unlisted(kind webhook.Kind, err error) {
	if name := kind.Resource + "." + kind.Group; apierrors.IsForbidden(err) && !a.unread[name] {
		a.unread[name] = true
		a.options.Log.Info("Objects of a kind are not looked at; let the ClusterRole forewarm-webhook-parents list it", "resource", name)
	} else if !apierrors.IsForbidden(err) {
		a.options.Log.V(1).Info("Objects of a kind are not looked at this time", "resource", name, "reason", err.Error())
	}
}

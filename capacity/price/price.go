// Package price knows what a node costs per hour, from its own annotation, a file and OpenCost, and so what
// idle capacity costs.
package price

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"forewarm.dev/api/v1alpha1"
)

// Offer is what a cloud sells.
type Offer struct {
	InstanceType string
	// CapacityType is spot, on-demand or reserved; empty for a price that counts for each that has none of
	// its own.
	CapacityType string
}

// Capacity types.
const (
	Spot     = "spot"
	OnDemand = "on-demand"
	Reserved = "reserved"
)

// Names of the sources, as status tells them.
const (
	fromAnnotation = "Annotation"
	fromFile       = "File"
	fromOpenCost   = "OpenCost"
)

// Offers are prices per node-hour.
type Offers map[Offer]float64

// Of is the price of an offer, the most exact one.
func (o Offers) Of(offer Offer) (perHour float64, known bool) {
	if perHour, known = o[offer]; known {
		return perHour, true
	}
	perHour, known = o[Offer{InstanceType: offer.InstanceType}]
	return perHour, known
}

// table is what a source knows: prices per node-hour, of nodes by name, and of offers.
type table struct {
	nodes  map[string]float64
	offers Offers
}

// of is the price of a node, the most exact one.
func (t table) of(name string, o Offer) (perHour float64, known bool) {
	if perHour, known = t.nodes[name]; known {
		return perHour, true
	}
	return t.offers.Of(o)
}

// source is where prices are read, the last good ones kept.
type source struct {
	name  string
	every time.Duration
	read  func(context.Context) (table, error)

	asked time.Time
	// known is false until it could be read once.
	known bool
	table table
	err   error
}

// The file is read often, since that costs nothing. OpenCost computes its answer from an hour of metrics.
const (
	fileEvery     = 15 * time.Second
	openCostEvery = 5 * time.Minute
)

// Options are what Prices needs.
type Options struct {
	// File is the path of a file of prices; empty for none.
	File string
	// OpenCost asks an OpenCost server; nil for none.
	OpenCost *OpenCost
	// Registerer takes the metrics.
	Registerer prometheus.Registerer
	Clock      clock.WithTicker
	Log        logr.Logger
}

// Prices knows prices of nodes, those of the first source that has any.
type Prices struct {
	options Options
	errors  *prometheus.CounterVec

	mu      sync.Mutex
	sources []*source
}

// New makes Prices. Annotations of nodes come first, then the file, then OpenCost.
func New(o Options) *Prices {
	p := &Prices{options: o, errors: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "forewarm_capacity_price_errors_total", Help: "Failures to read prices of nodes, by source.",
	}, []string{"source"})}
	o.Registerer.MustRegister(p.errors)
	if o.File != "" {
		p.sources = append(p.sources, &source{name: fromFile, every: fileEvery, read: func(context.Context) (table, error) { return tableFrom(o.File) }})
	}
	if o.OpenCost != nil {
		p.sources = append(p.sources, &source{name: fromOpenCost, every: openCostEvery, read: o.OpenCost.prices})
	}
	for _, name := range []string{fromFile, fromOpenCost} {
		p.errors.WithLabelValues(name) // counts from zero
	}
	return p
}

// NeedLeaderElection says that only the leader, which plans, reads prices.
func (p *Prices) NeedLeaderElection() bool { return true }

// Start reads prices until ctx ends.
func (p *Prices) Start(ctx context.Context) error {
	ticker := p.options.Clock.NewTicker(fileEvery)
	defer ticker.Stop()
	for {
		p.refresh(ctx, p.options.Clock.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// refresh asks the sources that are due. What cannot be read leaves what was read before.
func (p *Prices) refresh(ctx context.Context, now time.Time) {
	for _, s := range p.sources {
		if now.Sub(s.asked) < s.every {
			continue
		}
		s.asked = now
		read, err := s.read(ctx)
		p.mu.Lock()
		before := s.err
		if s.err = err; err == nil {
			s.table, s.known = read, true
		}
		p.mu.Unlock()
		switch {
		case err != nil && ctx.Err() == nil:
			p.errors.WithLabelValues(s.name).Inc()
			if before == nil || before.Error() != err.Error() {
				p.options.Log.Error(err, "Prices not read, the last ones stay", "source", s.name)
			}
		case err == nil && before != nil:
			p.options.Log.Info("Prices read again", "source", s.name)
		}
	}
}

// problem is what could not be read; nil if all could.
func (p *Prices) problem() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all error
	for _, s := range p.sources {
		all = errors.Join(all, s.err)
	}
	return all
}

// unread tells whether a source has not been read yet, so that a price may be missing which it knows.
func (p *Prices) unread() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.sources, func(s *source) bool { return !s.known })
}

// has tells whether a price from a source of this name may still hold.
func (p *Prices) has(name string) bool {
	return name == fromAnnotation || slices.ContainsFunc(p.sources, func(s *source) bool { return s.name == name })
}

// of is what a node costs per hour, and who says so. An annotation that cannot be read is an error, beside
// what others know.
func (p *Prices) of(node *corev1.Node) (perHour float64, from string, err error) {
	if text, is := node.Annotations[v1alpha1.AnnotationPricePerHour]; is {
		if perHour, err = amount(text); err == nil {
			return perHour, fromAnnotation, nil
		}
		err = fmt.Errorf("node %s: annotation %s: %w", node.Name, v1alpha1.AnnotationPricePerHour, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sources {
		if perHour, known := s.table.of(node.Name, OfferOf(node.Labels)); known {
			return perHour, s.name, err
		}
	}
	return 0, "", err
}

// capacityTypes are the labels of nodes that tell their capacity type, whatever the case of the value.
var capacityTypes = []struct{ label, value, is string }{
	{"karpenter.sh/capacity-type", Spot, Spot},
	{"karpenter.sh/capacity-type", Reserved, Reserved},
	{"eks.amazonaws.com/capacityType", "SPOT", Spot},
	{"eks.amazonaws.com/capacityType", "CAPACITY_BLOCK", Reserved},
	{"cloud.google.com/gke-spot", "true", Spot},
	{"cloud.google.com/gke-preemptible", "true", Spot},
	{"kubernetes.azure.com/scalesetpriority", "spot", Spot},
}

// OfferOf is what a node with such labels was bought as; one that says nothing is on demand.
func OfferOf(labels map[string]string) Offer {
	o := Offer{InstanceType: labels[corev1.LabelInstanceTypeStable], CapacityType: OnDemand}
	for _, c := range capacityTypes {
		if strings.EqualFold(labels[c.label], c.value) {
			o.CapacityType = c.is
			break
		}
	}
	return o
}

// mostPerHour is what a node may cost in any currency. Status has room for no longer numbers.
const mostPerHour = 1e9

// believed tells a price from what is none, such as what is no number.
func believed(perHour float64) bool { return perHour >= 0 && perHour <= mostPerHour }

// amount reads a price.
func amount(text string) (float64, error) {
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !believed(value) {
		return 0, fmt.Errorf("%.40q is no price: write a decimal number such as 32.77", text)
	}
	return value, nil
}

// largest is how much of a file, or of an answer, is read.
const largest = 64 << 20

// tableFrom is what the file of the configuration says.
func tableFrom(path string) (table, error) {
	offers, err := ReadFile(path)
	if errors.As(err, new(*os.PathError)) {
		err = fmt.Errorf("read prices (reserver.prices.file): %w", err)
	}
	return table{offers: offers}, err
}

// ReadFile reads a file of prices, all of it or nothing.
func ReadFile(path string) (Offers, error) {
	about, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if about.Size() > largest {
		return nil, fmt.Errorf("prices in %s: it has %d bytes: leave no more than %d", path, about.Size(), largest)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	offers, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("prices in %s: %w", path, err)
	}
	return offers, nil
}

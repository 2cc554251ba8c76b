package showback

import (
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity/price"
)

const (
	// nobody owns what is idle before anybody has asked for it, and what Namespaces without the owner's
	// label ask for; others are the owners beyond the bound. No Namespace and no label value begins
	// with an underscore.
	nobody = "_nobody"
	others = "_others"
	// halfLife is after how long an owner's demand weighs half: who uses a pool by day pays for its
	// nights and, less and less, for its weekends.
	halfLife = 24 * time.Hour
)

// account is what is known of a pool.
type account struct {
	resource corev1.ResourceName
	lead     time.Duration
	chunks   map[string]chunk
	// held are the placeholders that hold capacity, by chunk, and asks what owners ask for, as of
	// the last look.
	held map[string]float64
	asks map[string]float64
	// weights are what each owner has asked for of late.
	weights map[string]float64
	// names are the owners that have a name of their own in metrics.
	names map[string]bool
	most  int
}

// chunk is what an hour of a chunk costs, and how much of the pool's resource it is.
type chunk struct{ perHour, size float64 }

func newAccount(most int) *account {
	return &account{most: most, weights: map[string]float64{}, names: map[string]bool{}}
}

// see takes over a pool as it is now, and forgets what was held.
func (a *account) see(pool *v1alpha1.WarmPool) {
	a.resource, a.lead = pool.Spec.Demand.Resource, 0
	if pool.Status.LeadTime != nil {
		a.lead = pool.Status.LeadTime.Used.Duration
	}
	a.chunks, a.held, a.asks = map[string]chunk{}, map[string]float64{}, map[string]float64{}
	for i := range pool.Spec.Chunks {
		c := &pool.Spec.Chunks[i]
		size := c.Requests[a.resource]
		a.chunks[c.Name] = chunk{perHour: price.OfChunk(pool, c), size: size.AsApproximateFloat64()}
	}
}

// known is the name under which an owner is told of. Names are given to those who come first and
// never taken back, so that counters only grow.
func (a *account) known(owner string) string {
	switch {
	case owner == "":
		return nobody
	case a.names[owner]:
		return owner
	case len(a.names) >= a.most:
		return others
	}
	a.names[owner] = true
	return owner
}

// pass counts the time that has passed since the last look.
func (a *account) pass(m metrics, pool string, passed time.Duration) {
	if passed == 0 {
		return
	}
	for owner := range a.weights {
		if a.weights[owner] *= math.Exp2(-passed.Hours() / halfLife.Hours()); a.weights[owner] < 1e-9 {
			delete(a.weights, owner)
		}
	}
	for owner, amount := range a.asks {
		a.weights[a.known(owner)] += amount * passed.Hours()
	}
	cost, amount := 0.0, 0.0
	for name, n := range a.held {
		m.chunks.WithLabelValues(pool, name).Add(n * passed.Seconds())
		cost += n * a.chunks[name].perHour * passed.Hours()
		amount += n * a.chunks[name].size * passed.Seconds()
	}
	for owner, share := range a.shares() {
		m.cost.WithLabelValues(pool, owner).Add(share * cost)
		m.resource.WithLabelValues(pool, owner, string(a.resource)).Add(share * amount)
	}
}

// shares are the parts of what is idle that each owner is told of. They add up to 1.
func (a *account) shares() map[string]float64 {
	sum := 0.0
	for _, weight := range a.weights {
		sum += weight
	}
	if sum == 0 {
		return map[string]float64{nobody: 1}
	}
	shares := map[string]float64{}
	for owner, weight := range a.weights {
		shares[owner] = weight / sum
	}
	return shares
}

// begin lets counters begin at zero, so that a rate sees the first of what they count.
func (a *account) begin(m metrics, pool string) {
	for name := range a.chunks {
		m.chunks.WithLabelValues(pool, name)
	}
	for owner := range a.asks {
		owner = a.known(owner)
		m.cost.WithLabelValues(pool, owner)
		m.resource.WithLabelValues(pool, owner, string(a.resource))
		m.avoided.WithLabelValues(pool, owner)
		m.spared.WithLabelValues(pool, owner)
	}
}

package simulation

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/price"
	"forewarm.dev/capacity/simulate"
)

// nodePrice is what a node costs per hour, and what it is.
type nodePrice struct {
	perHour float64
	// of is the offer; empty where the spec of the pool says what idling costs.
	of price.Offer
}

// checkOffer looks at the flags that choose a price.
func (s *simulation) checkOffer() error {
	if s.prices == "" && (s.instanceType != "" || s.capacityType != "") {
		return errors.New("--instance-type and --capacity-type choose among --prices: give that too")
	}
	if !slices.Contains([]string{"", price.Spot, price.OnDemand, price.Reserved}, s.capacityType) {
		return fmt.Errorf("--capacity-type %q: write spot, on-demand or reserved", s.capacityType)
	}
	return nil
}

// priced has the chunks of a pool cost what the prices say, as the reserver does: each the share that it takes
// of an empty node. Without a file of prices the spec counts, and a node costs what the chunks cost
// that fill it, the dearest way.
func (s *simulation) priced(pool *v1alpha1.WarmPool, chunks []capacity.Chunk) (nodePrice, error) {
	var node nodePrice
	if s.prices == "" {
		for _, chunk := range chunks {
			node.perHour = max(node.perHour, chunk.IdleCostPerHour*float64(chunk.PerNode))
		}
		return node, nil
	}
	offers, err := price.ReadFile(s.prices)
	if err != nil {
		return node, err
	}
	if node.of, err = s.offerOf(pool, offers); err != nil {
		return node, err
	}
	var known bool
	if node.perHour, known = offers.Of(node.of); !known {
		return node, fmt.Errorf("%s has no price of %s, %s: give --instance-type and --capacity-type of one that it has", s.prices, node.of.InstanceType, node.of.CapacityType)
	}
	for i := range chunks {
		chunks[i].IdleCostPerHour = node.perHour / float64(chunks[i].PerNode)
	}
	return node, nil
}

// offerOf is what the flags say, else what the pool's selector does; and where neither names an instance type,
// the only one in the file.
func (s *simulation) offerOf(pool *v1alpha1.WarmPool, offers price.Offers) (price.Offer, error) {
	offer := price.OfferOf(pool.Spec.Nodes.Selector.MatchLabels)
	if s.instanceType != "" {
		offer.InstanceType = s.instanceType
	}
	if s.capacityType != "" {
		offer.CapacityType = s.capacityType
	}
	if offer.InstanceType != "" {
		return offer, nil
	}
	types := map[string]bool{}
	for o := range offers {
		types[o.InstanceType] = true
	}
	if len(types) != 1 {
		return offer, fmt.Errorf("%s has prices of %d instance types, and the pool's selector names none: give --instance-type", s.prices, len(types))
	}
	offer.InstanceType = slices.Collect(maps.Keys(types))[0]
	return offer, nil
}

// String says what was reckoned with.
func (p nodePrice) String() string {
	if p.of.InstanceType == "" {
		return fmt.Sprintf("A node costs %.2f per hour, by idleCostPerHour of the pool.", p.perHour)
	}
	return fmt.Sprintf("A node costs %.2f per hour: %s, %s.", p.perHour, p.of.InstanceType, p.of.CapacityType)
}

// bill adds what an arm costs: its nodes as long as they are billed, and the part of their time that no job used.
func (r *armRow) bill(o simulate.Outcome, node nodePrice, nodeSize int) {
	r.Cost = o.BilledNodeHours * node.perHour
	r.IdleCost = o.IdleGPUHours() / float64(nodeSize) * node.perHour
}

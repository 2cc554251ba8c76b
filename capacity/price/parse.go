package price

import (
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// list is a file of prices.
type list struct {
	Prices []entry `json:"prices"`
}

// entry is the price of one offer.
type entry struct {
	// InstanceType is the value of the label node.kubernetes.io/instance-type.
	InstanceType string `json:"instanceType"`
	// CapacityType is spot, on-demand or reserved; empty for all that have no entry of their own.
	CapacityType string `json:"capacityType,omitempty"`
	// PerHour is what one node costs per hour, as a decimal number in the currency of waitCostPerHour.
	PerHour string `json:"perHour"`
}

// parse reads a file of prices, as YAML or JSON. Its errors name the field and what to write instead.
func parse(data []byte) (Offers, error) {
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, err
	}
	var read list
	problems, err := json.UnmarshalStrict(asJSON, &read)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	if len(read.Prices) == 0 {
		return nil, errors.New(`prices: has none: write for example prices: [{instanceType: p4d.24xlarge, capacityType: spot, perHour: "12.10"}]`)
	}
	offers := Offers{}
	for i, e := range read.Prices {
		at := fmt.Sprintf("prices[%d]", i)
		if e.InstanceType == "" {
			return nil, fmt.Errorf("%s.instanceType: is empty: write what nodes carry as label node.kubernetes.io/instance-type", at)
		}
		if e.CapacityType != "" && !slices.Contains([]string{Spot, OnDemand, Reserved}, e.CapacityType) {
			return nil, fmt.Errorf("%s.capacityType: %q is none: write spot, on-demand or reserved, or leave it out for all", at, e.CapacityType)
		}
		o := Offer{e.InstanceType, e.CapacityType}
		if _, twice := offers[o]; twice {
			return nil, fmt.Errorf("%s: %s %s has a price already: remove one of them", at, e.InstanceType, e.CapacityType)
		}
		if offers[o], err = amount(e.PerHour); err != nil {
			return nil, fmt.Errorf("%s.perHour: %w", at, err)
		}
	}
	return offers, nil
}

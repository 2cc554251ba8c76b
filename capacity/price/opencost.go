package price

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// OpenCost asks an OpenCost server, or Kubecost, what nodes have cost.
type OpenCost struct {
	// URL is the root of the API, such as http://opencost.opencost:9003.
	URL string
	// Client carries the requests, credentials included.
	Client *http.Client
	// Timeout bounds one request.
	Timeout time.Duration
}

// asset is what is read of one asset of /assets. Costs are those of the window, discounts taken off, and
// minutes how much of it the node was there.
type asset struct {
	Type        string  `json:"type"`
	NodeType    string  `json:"nodeType"`
	Minutes     float64 `json:"minutes"`
	TotalCost   float64 `json:"totalCost"`
	Preemptible float64 `json:"preemptible"`
	Properties  struct {
		Name string `json:"name"`
	} `json:"properties"`
}

// enough is how long a node must have been seen: rates of shorter times are those of one sample.
const enough = 5.0

// prices are those of the last hour: of each node by its name, and of each instance type, spot apart, the
// mean over the time that its nodes were there.
func (c *OpenCost) prices(ctx context.Context) (table, error) {
	assets, err := c.assets(ctx)
	if err != nil {
		return table{}, fmt.Errorf("ask OpenCost at %s (reserver.prices.openCost): %w", c.URL, err)
	}
	t := table{nodes: map[string]float64{}, offers: map[Offer]float64{}}
	minutes := map[Offer]float64{}
	for _, a := range assets {
		perHour := a.TotalCost / a.Minutes * 60
		if a.Type != "Node" || a.Minutes < enough || a.TotalCost <= 0 || !believed(perHour) {
			continue
		}
		if a.Properties.Name != "" {
			t.nodes[a.Properties.Name] = perHour
		}
		o := Offer{a.NodeType, OnDemand}
		if a.Preemptible > 0.5 {
			o.CapacityType = Spot
		}
		if a.NodeType != "" {
			minutes[o] += a.Minutes
			t.offers[o] += a.TotalCost
		}
	}
	for o := range t.offers {
		t.offers[o] *= 60 / minutes[o]
	}
	return t, nil
}

// assets asks for what nodes have cost in the last hour.
func (c *OpenCost) assets(ctx context.Context) ([]asset, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	query := url.Values{"window": {"1h"}, "filter": {`assetType:"node"`}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.URL, "/")+"/assets?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, largest+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > largest:
		return nil, fmt.Errorf("the answer has more than %d bytes", largest)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it answers %s: %s", response.Status, bytes.TrimSpace(body[:min(len(body), 200)]))
	}
	return decode(body)
}

// decode reads an answer: OpenCost has one set of assets, Kubecost a list of sets.
func decode(body []byte) ([]asset, error) {
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("its answer is no JSON: %w", err)
	}
	var sets []map[string]asset
	data := bytes.TrimSpace(answer.Data)
	var err error
	if bytes.HasPrefix(data, []byte("[")) {
		err = json.Unmarshal(data, &sets)
	} else {
		sets = make([]map[string]asset, 1)
		err = json.Unmarshal(data, &sets[0])
	}
	if err != nil {
		return nil, fmt.Errorf("data of its answer are no assets: %w", err)
	}
	var assets []asset
	for _, set := range sets {
		for _, a := range set {
			assets = append(assets, a)
		}
	}
	return assets, nil
}

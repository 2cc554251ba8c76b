package series

import (
	"fmt"
	"os"
	"time"

	"sigs.k8s.io/yaml"

	"forewarm.dev/forecast"
)

// eventRow is an event as it is written in a file.
type eventRow struct {
	Name string    `json:"name"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Factor is by how much demand is multiplied; without it, it is learned.
	Factor *float64 `json:"factor,omitempty"`
	Freeze bool     `json:"freeze,omitempty"`
}

// readEvents reads a list of events, in YAML or JSON; none without a path.
func readEvents(path string) ([]forecast.Event, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--events: %w", err)
	}
	var rows []eventRow
	if err := yaml.UnmarshalStrict(text, &rows); err != nil {
		return nil, fmt.Errorf("--events %s: %w: write a list of name, from, to, and factor or freeze: true", path, err)
	}
	var events []forecast.Event
	for i, row := range rows {
		e := forecast.Event{Name: row.Name, From: row.From, To: row.To, Freeze: row.Freeze}
		switch {
		case row.Name == "":
			return nil, fmt.Errorf("--events %s: [%d].name is empty: give events that are alike the same name", path, i)
		case row.Factor != nil && row.Freeze:
			return nil, fmt.Errorf("--events %s: [%d] has a factor and is a freeze: write one of both", path, i)
		case row.Factor != nil && *row.Factor <= 0:
			return nil, fmt.Errorf("--events %s: [%d].factor is %v: write a number above zero, or none to have it learned", path, i, *row.Factor)
		case row.Factor != nil:
			e.Factor = *row.Factor
		}
		events = append(events, e)
	}
	return events, nil
}

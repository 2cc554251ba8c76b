package chart

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const pageHeader = `# The chart's values

How to install is in [docs/install.md](../../docs/install.md). This page is written by ` + "`make generate`" + ` from the comments of [values.yaml](values.yaml) and from [values.schema.json](values.schema.json), against which Helm checks what you write.

| value | may be | default | what it does |
|---|---|---|---|
`

// rules are what the page says of values.schema.json.
type rules struct {
	Type       string           `json:"type"`
	Enum       []string         `json:"enum"`
	Minimum    *int             `json:"minimum"`
	Maximum    *int             `json:"maximum"`
	Properties map[string]rules `json:"properties"`
	Items      *rules           `json:"items"`
}

// may says what may be written.
func (s rules) may() string {
	switch {
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, ", ")
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("%d to %d", *s.Minimum, *s.Maximum)
	case s.Type == "boolean":
		return "true, false"
	case s.Type == "array" && s.Items != nil:
		return "list of " + s.Items.Type + "s"
	default:
		return s.Type
	}
}

// page tells of every value, in the order of values.yaml. A value without a comment or a schema is an error.
func page(folder string) (string, error) {
	var root rules
	data, err := os.ReadFile(filepath.Join(folder, "values.schema.json"))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(data, &root); err != nil {
		return "", fmt.Errorf("values.schema.json: %w", err)
	}
	var document yaml.Node
	if data, err = os.ReadFile(filepath.Join(folder, "values.yaml")); err != nil {
		return "", err
	}
	if err := yaml.Unmarshal(data, &document); err != nil {
		return "", fmt.Errorf("values.yaml: %w", err)
	}
	var rows strings.Builder
	rows.WriteString(pageHeader)
	err = describe(&rows, "", document.Content[0], root)
	return rows.String(), err
}

// describe writes a row for each value below node, whose path is prefix.
func describe(rows *strings.Builder, prefix string, node *yaml.Node, s rules) error {
	var failed error
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		path := prefix + key.Value
		below, known := s.Properties[key.Value]
		switch {
		case !known:
			failed = errors.Join(failed, fmt.Errorf("values.schema.json does not know %s", path))
		case prefix == "":
			failed = errors.Join(failed, describe(rows, path+".", value, below))
		case key.HeadComment == "":
			failed = errors.Join(failed, fmt.Errorf("values.yaml says nothing about %s", path))
		default:
			set, err := inline(value)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			fmt.Fprintf(rows, "| `%s` | %s | `%s` | %s |\n", path, below.may(), set, said(key.HeadComment))
		}
	}
	return failed
}

// said is a comment as a sentence of a table.
func said(comment string) string {
	lines := strings.Split(comment, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(strings.TrimPrefix(line, "#"))
	}
	return strings.ReplaceAll(strings.Join(lines, " "), "|", `\|`)
}

// inline is a value as JSON in one line.
func inline(node *yaml.Node) (string, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return "", err
	}
	text, err := json.Marshal(value)
	return string(text), err
}

// Package output prints what a command shows: for people as tables and lines, by kubectl's own
// table printer and in colour on a terminal, and for programs whole, as YAML or JSON.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// Formats that every command knows which shows something.
const (
	Table = "table"
	Wide  = "wide"
	YAML  = "yaml"
	JSON  = "json"
)

// flag is the name of the flag that chooses the format.
const flag = "output"

// Formats are those, the default first.
func Formats() []string { return []string{Table, Wide, YAML, JSON} }

// Format is the value of -o.
type Format struct {
	name  string
	known []string
}

// Add gives a command the flag -o, with further formats of its own.
func Add(c *cobra.Command, f *Format, more ...string) {
	f.name, f.known = Table, append(Formats(), more...)
	c.Flags().VarP(f, flag, "o", "output format: "+f.choice())
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(f.known, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

// Of are the formats that a command knows, none where it shows nothing.
func Of(c *cobra.Command) []string {
	added := c.Flags().Lookup(flag)
	if added == nil {
		return nil
	}
	format, ok := added.Value.(*Format)
	if !ok {
		return nil
	}
	return format.known
}

func (f *Format) choice() string {
	last := len(f.known) - 1
	return strings.Join(f.known[:last], ", ") + " or " + f.known[last]
}

// Set refuses what is no format.
func (f *Format) Set(name string) error {
	if !slices.Contains(f.known, name) {
		return fmt.Errorf("write %s", f.choice())
	}
	f.name = name
	return nil
}

// String is the format that was chosen.
func (f *Format) String() string { return f.name }

// Type is what the help calls it.
func (f *Format) Type() string { return "format" }

// Print writes the page that text fills, or whole for a program. An API object must carry its kind.
func (f *Format) Print(out io.Writer, whole any, text func(*Page)) error {
	switch f.name {
	case YAML:
		if object, ok := whole.(runtime.Object); ok {
			return managed(&printers.YAMLPrinter{}).PrintObj(object, out)
		}
		data, err := yaml.Marshal(whole)
		if err == nil {
			_, err = out.Write(data)
		}
		return err
	case JSON:
		if object, ok := whole.(runtime.Object); ok {
			return managed(&printers.JSONPrinter{}).PrintObj(object, out)
		}
		lines := json.NewEncoder(out)
		lines.SetIndent("", "    ") // as kubectl does
		return lines.Encode(whole)
	default:
		page := &Page{Wide: f.name == Wide, colours: coloured(out)}
		text(page)
		return page.flush(out)
	}
}

// managed leaves out who owns which field, as kubectl does.
func managed(printer printers.ResourcePrinter) printers.ResourcePrinter {
	return &printers.OmitManagedFieldsPrinter{Delegate: printer}
}

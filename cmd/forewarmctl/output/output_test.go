package output

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

// page is a page with a wide column and a line that needs a person.
func page(p *Page) {
	table := NewRows("Name", "+Digest", "Count")
	table.Add(Plain, "a", "d1", 1)
	table.Add(Bad, "long name", "d2", 22)
	p.Table(table, "nothing")
	p.Table(NewRows("Name"), "nothing")
	p.Line(Notable, "look\nat it")
}

func TestFormats(t *testing.T) {
	pool := &v1alpha1.WarmPoolList{Items: []v1alpha1.WarmPool{{ObjectMeta: metav1.ObjectMeta{Name: "a100", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "me"}}}}}}
	pool.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WarmPoolList"))
	tests := map[string]struct {
		format string
		whole  any
		want   string
	}{
		"table":        {Table, nil, "NAME        COUNT\na           1\nlong name   22\nnothing\nlook\nat it\n"},
		"wide":         {Wide, nil, "NAME        DIGEST   COUNT\na           d1       1\nlong name   d2       22\nnothing\nlook\nat it\n"},
		"yaml":         {YAML, map[string]int{"b": 2, "a": 1}, "a: 1\nb: 2\n"},
		"json":         {JSON, []int{1}, "[\n    1\n]\n"},
		"objects":      {YAML, pool, "apiVersion: forewarm.dev/v1alpha1\nitems:\n- metadata:\n    name: a100\n"},
		"objects JSON": {JSON, pool, `"kind": "WarmPoolList"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var format Format
			c := &cobra.Command{Use: "show"}
			Add(c, &format)
			if err := c.ParseFlags([]string{"-o", tt.format}); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := format.Print(&out, tt.whole, page); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), tt.want) || strings.Contains(out.String(), "managedFields") {
				t.Errorf("printed\n%s\nwant\n%s", out.String(), tt.want)
			}
		})
	}
}

// TestColours: a terminal shows what needs a person in colour, and columns stay in line.
func TestColours(t *testing.T) {
	p := &Page{colours: true}
	page(p)
	want := "NAME        COUNT\na           1\n\x1b[31mlong name   22\x1b[0m\nnothing\n\x1b[33mlook\x1b[0m\n\x1b[33mat it\x1b[0m\n"
	if got := p.text.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	if coloured(&bytes.Buffer{}) {
		t.Error("a buffer is no terminal")
	}
}

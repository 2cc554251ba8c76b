package console

import (
	"cmp"
	"fmt"
	"html/template"
	"path"
	"slices"
	"strings"
	"time"
)

// functions are what templates may call.
var functions = template.FuncMap{
	"when":   when,
	"short":  short,
	"or0":    func(text string) string { return cmp.Or(text, "?") },
	"join":   strings.Join,
	"within": strings.HasPrefix,
	"yes":    yes,
	"dict":   dict,
}

// when is a time as an element of a page; empty for none.
func when(at any) template.HTML {
	var t time.Time
	switch at := at.(type) {
	case time.Time:
		t = at
	case interface{ UTC() time.Time }:
		t = at.UTC()
	}
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, t.Format(time.RFC3339), t.Format("2006-01-02 15:04:05 UTC"))) //nolint:gosec // a time has nothing to escape
}

// dict is a map of names and values, for templates that take several.
func dict(pairs ...any) (map[string]any, error) {
	out := map[string]any{}
	for pair := range slices.Chunk(pairs, 2) {
		name, ok := pair[0].(string)
		if !ok || len(pair) < 2 {
			return nil, fmt.Errorf("dict wants names and values, not %v", pair)
		}
		out[name] = pair[1]
	}
	return out, nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// parse reads the templates: each page with the layout and the parts.
func parse() (map[string]*template.Template, error) {
	names, err := files.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, entry := range names {
		name := strings.TrimSuffix(entry.Name(), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := template.New(name).Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts.html", path.Join("templates", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", name, err)
		}
		pages[name] = page
	}
	return pages, nil
}

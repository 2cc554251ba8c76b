package reference

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/internal/config"
)

const settingsHead = `# Reference: the configuration file

Written by ` + "`make generate`" + ` from the types of [internal/config](../internal/config). One file for all processes, given with ` + "`--config`" + `; each reads the section with its name, and needs none of it: what is left out has the default. Unknown and repeated fields are refused, with their path. What cluster users change is in WarmPools and annotations instead ([kinds and fields](reference.md)).

` + "```yaml\napiVersion: %s\nkind: %s\nreserver: {maxChangesPerPlan: 50}\n```" + `

In the chart each section is the value ` + "`webhook.config`, `extender.config`, `reserver.config` or `console.config`" + `. Durations are written as 30s, 5m or 1h30m. An object without a default is absent unless it is written.
`

// Settings is the page of the configuration file. folder has the source of package config, whose comments say
// what a field means; a field of which none says anything is an error.
func Settings(folder string) (string, error) {
	said, err := comments(folder)
	if err != nil {
		return "", err
	}
	var page strings.Builder
	fmt.Fprintf(&page, settingsHead, config.APIVersion, config.Kind)
	whole := reflect.ValueOf(config.Default())
	for i := range whole.NumField() {
		name := jsonName(whole.Type().Field(i))
		if whole.Field(i).Kind() != reflect.Struct {
			continue // apiVersion and kind
		}
		fmt.Fprintf(&page, "\n## %s\n\n| field | type | default | meaning |\n|---|---|---|---|\n", name)
		if err := settings(&page, name, whole.Field(i), said); err != nil {
			return "", err
		}
	}
	return page.String(), nil
}

// settings writes a row for each field below a path.
func settings(page *strings.Builder, path string, value reflect.Value, said map[string]string) error {
	for i := range value.NumField() {
		field, below := value.Type().Field(i), value.Field(i)
		if field.Anonymous {
			if err := settings(page, path, below, said); err != nil {
				return err
			}
			continue
		}
		meaning := said[value.Type().Name()+"."+field.Name]
		if meaning == "" {
			return fmt.Errorf("field %s of %s has no comment, and none before it names it", field.Name, value.Type())
		}
		name := path + "." + jsonName(field)
		standard, err := set(below)
		if err != nil {
			return fmt.Errorf("the default of %s: %w", name, err)
		}
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", name, written(field.Type), standard, text(meaning))
		if inner, ok := object(field.Type); ok {
			if below.Kind() != reflect.Struct {
				below = reflect.Zero(inner)
			}
			if strings.HasPrefix(written(field.Type), "list") {
				name += "[]"
			}
			if err := settings(page, name, below, said); err != nil {
				return err
			}
		}
	}
	return nil
}

// object is the struct of ours that a field holds, points to, or lists.
func object(t reflect.Type) (reflect.Type, bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t, t.Kind() == reflect.Struct && t != reflect.TypeFor[metav1.Duration]()
}

// set is a default as JSON; empty for what is absent, and for an object, whose fields say theirs.
func set(value reflect.Value) (string, error) {
	if _, is := object(value.Type()); is || value.IsZero() && value.Kind() != reflect.Bool && value.Kind() != reflect.Int {
		return "", nil
	}
	data, err := json.Marshal(value.Interface())
	return "`" + strings.ReplaceAll(string(data), "|", `\|`) + "`", err
}

// written is what one writes for a type.
func written(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[metav1.Duration]():
		return "duration"
	case t.Kind() == reflect.Pointer:
		return written(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + written(t.Elem())
	case t.Kind() == reflect.Struct:
		return "object"
	case t.Kind() == reflect.Bool:
		return "true, false"
	case t.Kind() == reflect.String:
		return "text"
	default:
		return "number"
	}
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

// comments are what the source says of each field, by TYPE.FIELD. A comment may be about the fields behind
// its own, if it names them.
func comments(folder string) (map[string]string, error) {
	files := token.NewFileSet()
	//nolint:staticcheck // One folder of plain files needs no module to be loaded.
	packages, err := parser.ParseDir(files, folder, func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("read the source of the configuration: %w", err)
	}
	said := map[string]string{}
	for _, p := range packages {
		ast.Inspect(p, func(n ast.Node) bool {
			if declared, ok := n.(*ast.TypeSpec); ok {
				if fields, ok := declared.Type.(*ast.StructType); ok {
					commentsOf(said, declared.Name.Name, fields)
				}
			}
			return true
		})
	}
	if len(said) == 0 {
		return nil, fmt.Errorf("no types in %s: say the folder of package config", folder)
	}
	return said, nil
}

func commentsOf(said map[string]string, of string, fields *ast.StructType) {
	last := ""
	for _, field := range fields.Fields.List {
		if own := field.Doc.Text(); own != "" {
			last = own
		}
		for _, name := range field.Names {
			if field.Doc.Text() != "" || strings.Contains(last, name.Name) {
				said[of+"."+name.Name] = last
			}
		}
	}
}

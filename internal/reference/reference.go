// Package reference makes the pages of what our kinds hold, from their CRDs, and of what the configuration
// file holds, from its types.
package reference

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const head = `# Reference: kinds and fields

Written by ` + "`make generate`" + ` from the API types; ` + "`kubectl explain KIND.FIELD`" + ` says the same. People write WarmPools, DemandEvents, and the approval of a CapacityPlan; the other kinds are written by Forewarm. Annotations are in [ceilings](ceilings.md) and [pods](pods.md). A field without a default may be left out unless it is marked as required.

`

// Page is the page of all CRDs in a folder.
func Page(folder string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("no CRDs in %s: say the folder with their *.yaml files", folder)
	}
	var page strings.Builder
	page.WriteString(head)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		crd := apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(data, &crd); err != nil {
			return "", fmt.Errorf("CRD %s: %w", file, err)
		}
		for _, version := range crd.Spec.Versions {
			section(&page, crd.Spec, version)
		}
	}
	return page.String(), nil
}

func section(page *strings.Builder, spec apiextensionsv1.CustomResourceDefinitionSpec, version apiextensionsv1.CustomResourceDefinitionVersion) {
	schema := version.Schema.OpenAPIV3Schema
	scope := "in a namespace"
	if spec.Scope == apiextensionsv1.ClusterScoped {
		scope = "of the cluster"
	}
	fmt.Fprintf(page, "## %s\n\n`%s/%s`, %s. %s\n\n| field | type | default | meaning |\n|---|---|---|---|\n",
		spec.Names.Kind, spec.Group, version.Name, scope, text(schema.Description))
	for _, name := range []string{"spec", "status"} {
		if part, ok := schema.Properties[name]; ok {
			fields(page, name, part)
		}
	}
	// A kind may have fields beside spec and status.
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, name) {
			row(page, name, schema.Properties[name], slices.Contains(schema.Required, name))
			fields(page, name, schema.Properties[name])
		}
	}
	page.WriteString("\n")
}

// fields writes a row for each field below a path.
func fields(page *strings.Builder, path string, schema apiextensionsv1.JSONSchemaProps) {
	if schema.Items != nil && schema.Items.Schema != nil {
		fields(page, path+"[]", *schema.Items.Schema)
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		below := schema.Properties[name]
		row(page, path+"."+name, below, slices.Contains(schema.Required, name))
		fields(page, path+"."+name, below)
	}
}

func row(page *strings.Builder, path string, schema apiextensionsv1.JSONSchemaProps, required bool) {
	value := ""
	switch {
	case schema.Default != nil:
		value = "`" + string(schema.Default.Raw) + "`"
	case required:
		value = "required"
	}
	fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", path, kind(schema), value, text(schema.Description))
}

// kind names the type of a field, or the values that it may have.
func kind(schema apiextensionsv1.JSONSchemaProps) string {
	switch {
	case len(schema.Enum) > 0:
		var values []string
		for _, v := range schema.Enum {
			values = append(values, strings.Trim(string(v.Raw), `"`))
		}
		return strings.Join(values, ", ")
	case schema.XIntOrString:
		return "number or text"
	case schema.Items != nil && schema.Items.Schema != nil:
		return "list of " + kind(*schema.Items.Schema)
	case schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil:
		return "map of " + kind(*schema.AdditionalProperties.Schema)
	case schema.Format != "":
		return schema.Type + " (" + schema.Format + ")"
	}
	return schema.Type
}

// text is a description in one cell of a table.
func text(description string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(description), " "), "|", `\|`)
}
